"""`make try`: what it writes to `my/`, what it leaves out and why, and a whole run of a model in a folder."""

import json
import shutil
import subprocess

import pytest
import yaml
from edge2giant import config
from edge2giant.errors import UserError
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store.local import LocalModel
from edge2giant.trial import choice, machine, steps
from edge2giant.trial.machine import Gpu, Machine
from shared import ROOT

LEFT_OUT = (".venv", ".venvs", ".git", ".snakemake", "results", "paper_figures", "logs", "my")
TINY = ROOT / "workflow/demo/models/tiny-0.4m"
H100 = Gpu("NVIDIA H100 80GB HBM3", 81559, "9.0")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """The demonstration's data sets, which are laid out as the hub."""
    made = tmp_path_factory.mktemp("mirror")
    command = [ROOT / "workflow/in-env", "workflow", "python", "-m", "demo", "data", "--out", str(made)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return made / "datasets"


@pytest.fixture
def root(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(TINY, tmp_path / "Tiny Model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "gpus", tuple)
    return tmp_path


def wish(root, mirror, said: list, **more) -> steps.Wish:
    return steps.Wish(root, str(root / "Tiny Model"), mirror=str(mirror), say=said.append, **more)


def study_of(root, name: str) -> dict:
    return yaml.safe_load((root / f"my/studies/{name}.yaml").read_text())


def test_a_model_in_a_folder_gets_entry_cluster_and_study_and_config_stays(root, mirror):
    before = {path: path.read_bytes() for path in (root / "config").rglob("*") if path.is_file()}
    said: list[str] = []
    trial = steps.prepare(asked := wish(root, mirror, said, benchmarks="gsm8k wikitext", limit=3))
    steps.announce(asked, trial)
    assert {path: path.read_bytes() for path in (root / "config").rglob("*") if path.is_file()} == before
    entry = config.load(root).models["tiny-model"]
    assert (entry.repo, entry.folder) == ("local/Tiny-Model", str(root / "Tiny Model")) and len(entry.revision) == 40
    assert study_of(root, "tiny-model-gsm8k-wikitext-3")["limit"] == 3
    assert trial.study.variants[0].method_bits == choice.FP16
    assert trial.config.cluster("here").partitions == {} and trial.config.cluster("here").cpu.tflops > 0
    text = "\n".join(said)
    assert "no GPU" in text and "A quick look, not whole benchmarks: GSM8K 3 questions of each task" in text
    assert "left out gptq-llmcompressor/w4a16: its calibration text: " in text and "is not in the mirror" in text
    assert "fetch    " in text and "local/Tiny-Model" in text and "time     about " in text


def test_the_same_command_writes_the_same_files_and_other_weights_are_another_revision(root, mirror):
    files = [root / "my/models.yaml", root / "my/studies/tiny-model-gsm8k.yaml", root / "my/clusters.yaml"]
    written = []
    for _ in range(2):
        steps.prepare(wish(root, mirror, [], benchmarks="gsm8k"))
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1]
    path = root / "Tiny Model/tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"changed": True}))
    before = config.load(root).models["tiny-model"].revision
    assert steps.prepare(wish(root, mirror, [], benchmarks="gsm8k")).config.models["tiny-model"].revision != before


def test_a_folder_of_links_is_read_and_files_that_changed_are_refused(root):
    folder = root / "snapshot"
    folder.mkdir()
    for path in (root / "Tiny Model").iterdir():
        (folder / path.name).symlink_to(path)
    piece = FetchSpec("model", "x", "local/x", None, "models/x", "models/x.lock.json")
    source = LocalModel(folder)
    listing = source.listing(piece, None)
    source.fetch(piece, listing, root / "copy")
    copied = root / "copy/model.safetensors"
    assert not copied.is_symlink() and copied.read_bytes() == (TINY / "model.safetensors").read_bytes()
    assert source.listing(piece, listing.commit).commit == listing.commit
    with (root / "Tiny Model/model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"x")
    with pytest.raises(UserError, match="has other files than when the model was added"):
        source.listing(piece, listing.commit)


def test_on_gpus_the_stack_is_vllm_and_the_machine_is_a_cluster(root, mirror, monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: (H100, H100))
    trial = steps.prepare(wish(root, mirror, [], benchmarks="gsm8k"))
    here = trial.config.cluster("here").partitions["here"]
    assert (here.gpus_per_node, here.gpu_memory_gib, here.compute_capability, here.tflops) == (2, 79.6, "9.0", 989)
    assert (
        trial.stack == trial.study.stack == "current"
        and "fp8-dynamic/w8a8" in study_of(root, "tiny-model-gsm8k")["models"]["tiny-model"]["variants"]
    )


def test_groups_that_do_not_fit_are_made_smaller(root):
    loaded = config.load(root)
    entry = {
        "extends": "edge",
        "title": "x",
        "models": {"smollm2-135m-it": {"variants": ["fp16/w16a16", "rtn/w4a16"]}},
        "recipe_settings": {},
        "benchmarks": ["mmlu"],
    }
    loaded = steps.written(root, "groups", entry)
    seen = steps.overview.Overview(loaded, loaded.study("groups"), loaded.cluster("one-24gb"))
    assert "rtn/w4a16" in choice.refused(seen)
    assert choice.group_sizes(loaded, seen, "smollm2-135m-it") == {"rtn/w4a16": {"group_size": 64}}


def test_a_run_without_any_cell_still_ends_with_its_tables(root, mirror):
    trial = steps.prepare(wish(root, mirror, [], benchmarks="gsm8k mmlu wikitext", limit=2))
    text = "\n".join(steps.shown(root, trial, "results"))
    assert text.count("not run") >= 3 * len(trial.study.variants) and "GSM8K" in text and "Perplexity (word)" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmarks": "mmul"}, "BENCHMARKS: unknown set of benchmarks 'mmul'"),
        ({"methods": "awq-llmcompresor"}, "METHODS: unknown method 'awq-llmcompresor'"),
        ({"methods": "rtn/w8a8"}, "METHODS: unknown width of rtn 'w8a8'"),
        ({"benchmarks": "mt_bench"}, "BENCHMARKS: no benchmark can be fetched"),
    ],
)
def test_a_mistake_is_one_line(root, mirror, changes, message):
    with pytest.raises(UserError) as caught:
        steps.prepare(wish(root, mirror, [], **changes))
    assert str(caught.value).startswith(message)


def test_a_model_that_is_nowhere_is_one_line(root, mirror):
    with pytest.raises(UserError, match="MODEL=nowhere: is neither a folder nor an id on the hub"):
        steps.prepare(steps.Wish(root, "nowhere", mirror=str(mirror), say=str))


def test_sets_of_benchmarks():
    loaded = config.load(ROOT)
    assert set(choice.benchmarks(loaded, "quick")) == set(choice.QUICK)
    assert len(choice.benchmarks(loaded, "leaderboard")) == 12
    assert choice.benchmarks(loaded, "fidelity,gsm8k") == ("gsm8k", "wikitext", "divergence")


def test_nvidia_smi_is_read(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text('#!/bin/sh\necho "NVIDIA H100 80GB HBM3, 81559, 9.0"\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.gpus() == (H100,)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus() == ()
    assert "1 x NVIDIA H100 80GB HBM3 (80 GiB, 9.0)" in Machine((H100,), 8, 64.0).words


@pytest.mark.e2e
def test_make_try_runs_to_a_table_and_a_report_and_resumes(tmp_path, mirror):
    clone, model = tmp_path / "clone", tmp_path / "tiny"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    for name in (".venv", ".venvs"):
        (clone / name).symlink_to(ROOT / name)
    shutil.copytree(TINY, model)
    options = ("BENCHMARKS=gsm8k wikitext", "METHODS=rtn/w4a16", "LIMIT=3", f"MIRROR={mirror}")
    command = ["make", "-s", "try", f"MODEL={model}", *options]
    run = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    print(run.stdout[-3000:], run.stderr[-3000:])
    assert run.returncode == 0
    assert "Perplexity (word)" in run.stdout and "report   paper_figures/tiny-gsm8k-wikitext-3/report/index.html" in run.stdout
    report = (clone / "paper_figures/tiny-gsm8k-wikitext-3/report/index.html").read_text()
    assert "A quick look, not whole benchmarks" in report and "2409.11055" not in report
    assert sorted(path.name for path in (clone / "my").iterdir()) == ["clusters.yaml", "lock", "models.yaml", "studies"]
    assert not list((clone / "config/lock").rglob("*.json"))
    again = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
