"""The smoke study as a compute node sees it: no network, an empty home, secrets lying about. Then every artefact is searched.

One run serves three questions: does the study run without network, does it leave the home alone, and does a secret get anywhere.
"""

import os
import shutil
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from acquire_cli import fetching, piece
from edge2giant import records, typed
from edge2giant.records.cell import CellRecord
from shared import ROOT

LEFT_OUT = (".venv", ".venvs", ".git", ".snakemake", "results", "paper_figures", "logs", ".gpu", "__pycache__", "tests")
IN_FILES = {"hub token": "hf_PLANTEDhubtokenQ7x", "judge key": "sk-PLANTEDjudgekeyZ3w"}
IN_ENVIRONMENT = {
    "HF_TOKEN": "hf_PLANTEDenvironmentB5",
    "OPENAI_API_KEY": "sk-PLANTEDenvironmentC6",
    "AWS_SECRET_ACCESS_KEY": "PLANTEDawsD7",
}
PLANTED = [*IN_FILES.values(), *IN_ENVIRONMENT.values()]
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("unshare") is None or os.geteuid() != 0, reason="a network namespace needs unshare (util-linux) and root"
    ),
]


def cut_off(command: str) -> list[str]:
    """A command in a network namespace of its own that has loopback and nothing else."""
    return ["unshare", "--net", "bash", "-euc", f"ip link set lo up; {command}"]


class Watcher(threading.Thread):
    """Looks at the command line and the environment of every process while a run lasts."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen: set[tuple[str, str]] = set()
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                for part, secrets in (("cmdline", PLANTED), ("environ", IN_FILES.values())):
                    self._look(process / part, part, secrets)

    def _look(self, path: Path, part: str, secrets) -> None:
        try:
            content = path.read_bytes()
        except OSError:
            return
        self.seen |= {(part, secret) for secret in secrets if secret.encode() in content}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Folder with `clone` (the tree), `home` (empty) and `watched`; the smoke study has run in it."""
    folder = tmp_path_factory.mktemp("offline")
    clone, home = folder / "clone", folder / "home"
    home.mkdir()
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    for name in (".venv", ".venvs"):
        if (ROOT / name).exists():
            (clone / name).symlink_to(ROOT / name)
    for name, secret in (("hub.token", IN_FILES["hub token"]), ("judge.key", IN_FILES["judge key"])):
        (folder / name).write_text(secret + "\n")
        (folder / name).chmod(0o600)
    judges = clone / "config/judges.yaml"
    text, mark = judges.read_text(), "\nminiature:\n"
    assert mark in text
    judges.write_text(text.replace(mark, f"{mark}  key_file: {folder / 'judge.key'}\n"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_", "PYTEST_"))}
    environment = kept | IN_ENVIRONMENT | {"HOME": str(home)}
    command = (
        f"{sys.executable} -m snakemake --profile profiles/miniature --printshellcmds all"
        f" --config study=smoke batch=checkpoint token_file={folder / 'hub.token'}"
    )
    watcher = Watcher()
    watcher.start()
    run = subprocess.run(cut_off(command), cwd=clone, env=environment, capture_output=True, text=True)
    watcher.done.set()
    watcher.join()
    (folder / "watched").write_text(repr(sorted(watcher.seen)))
    (folder / "printed").write_text(run.stdout + run.stderr)
    assert run.returncode == 0, (run.stdout + run.stderr)[-6000:]
    return folder


def cells(world: Path) -> list[dict]:
    return [
        typed.as_json(records.read(path, CellRecord)) for path in sorted((world / "clone/results/smoke/cells").rglob("*.json"))
    ]


def test_the_namespace_has_no_network():
    probe = f"{sys.executable} -c \"import socket; socket.create_connection(('192.0.2.1', 80), 3)\""
    assert subprocess.run(cut_off(probe), capture_output=True).returncode != 0


def test_the_whole_study_runs_without_network(world):
    assert len(cells(world)) == 6
    assert (world / "clone/paper_figures/smoke/table1.csv").exists() and (
        world / "clone/paper_figures/smoke/figure2.pdf"
    ).exists()


def test_the_home_stays_as_it_was(world):
    allowed = {".cache", ".config", ".local"}  # fontconfig, snakemake's and matplotlib's own folders
    heavy = [path for path in (world / "home").rglob("*") if path.is_file() and path.stat().st_size > 10_000_000]
    assert {path.name for path in (world / "home").iterdir()} <= allowed and not heavy


def test_no_secret_is_in_any_file_of_the_run(world):
    found = []
    for path in (world / "clone").rglob("*"):
        if path.is_symlink() or not path.is_file() or (".venv" in path.parts or ".venvs" in path.parts):
            continue
        content = path.read_bytes()
        found += [f"{path.relative_to(world)}: {secret[:14]}..." for secret in PLANTED if secret.encode() in content]
        found += [f"{path.relative_to(world)} (inflated)" for secret in PLANTED if secret.encode() in _inflated(path, content)]
    assert not found


def _inflated(path: Path, content: bytes) -> bytes:
    """What a PDF's or PNG's compressed streams hold."""
    if path.suffix not in (".pdf", ".png"):
        return b""
    out, at = b"", content.find(b"\x78")
    while at >= 0 and len(out) < 10**7:
        try:
            out += zlib.decompressobj().decompress(content[at:])
            at = content.find(b"\x78", at + 100)
        except zlib.error:
            at = content.find(b"\x78", at + 1)
        if content.count(b"\x78", max(at, 0)) > 5000:
            break
    return out


def test_no_secret_is_printed(world):
    printed = (world / "printed").read_text()
    assert not [secret for secret in PLANTED if secret in printed]


def test_no_secret_is_in_a_command_line_or_another_jobs_environment(world):
    assert (world / "watched").read_text() == "[]"


def test_no_place_of_this_machine_is_in_a_cell(world):
    for cell in cells(world):
        assert str(world) not in str(cell) and str(ROOT) not in str(cell)


def test_gpqas_questions_are_in_no_cell_and_no_table(world):
    """Hashes and correctness alone leave the answer cache."""
    import pyarrow.parquet

    data = world / "clone/results/store/miniature/datasets/Idavidrein/gpqa"
    rows = [row for path in data.rglob("*.parquet") for row in pyarrow.parquet.read_table(path).to_pylist()]
    questions = [row["Question"][:40].encode() for row in rows]
    assert questions
    published = [world / "clone/results/smoke/cells", world / "clone/paper_figures"]
    for path in (path for folder in published for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [question for question in questions if question in content], path
    for table in (world / "clone/results/smoke/cells").rglob("gpqa.samples.parquet"):
        assert not set(pyarrow.parquet.read_table(table)["prediction"].to_pylist()) & {row["Correct Answer"] for row in rows}


def test_fetching_without_network_is_one_line(world):
    command = (
        f'PYTHONPATH={ROOT / "workflow"} {sys.executable} -c "from edge2giant.store import retries; retries.ATTEMPTS = 1;'
        " import sys; from edge2giant import errors; from edge2giant.store import __main__ as cli;"
        f' sys.exit(errors.run(lambda: cli.main({fetching(piece("model", "org/tiny"), world / "fetched")})))"'
    )
    run = subprocess.run(cut_off(command), capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("error: org/tiny: could not be fetched") and len(run.stderr.splitlines()) == 1
