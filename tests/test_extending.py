"""The walks of docs/extending.md, run as they stand in one clone; its hub is a folder with the demonstration's model and data."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edge2giant import config
from shared import ROOT
from test_end_to_end import make_clone

pytestmark = pytest.mark.e2e
WALKS = dict(re.findall(r"^## (.+?)\n.*?^```bash\n(.*?)^```", (ROOT / "docs/extending.md").read_text(), re.MULTILINE | re.DOTALL))
QUESTIONS = 8


def bash(clone: Path, text: str) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=clone, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    root = make_clone(tmp_path_factory.mktemp("extending") / "edge2giant")
    bash(root, "snakemake --cores 2 results/store/miniature/nltk.lock.json")
    mirror = root.parent / "mirror"
    shutil.copytree(root / "results/store/miniature/datasets", mirror)
    shutil.copytree(root / "workflow/demo/models/tiny-0.4m", mirror / "mylab/Tiny-Chat")
    questions = mirror / "allenai/sciq/data"
    questions.mkdir(parents=True)
    lines = [
        json.dumps({"question": f"What is {n} and {n}?", "distractor1": str(n), "distractor2": str(n + 1), "distractor3": "0",
                    "correct_answer": str(2 * n), "support": ""})
        for n in range(2, 2 + QUESTIONS)
    ]  # fmt: skip
    for split in ("train", "validation", "test"):
        (questions / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    with (root / "config/config.yaml").open("a") as stream:
        stream.write(f"mirror: {mirror}\n")
    return root


def cell(text: str) -> str:
    """Path of the cell that a walk makes."""
    return re.search(r"results/\S+\.json", text)[0]


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_makes_its_cell(clone, name):
    bash(clone, WALKS[name])
    record = json.loads((clone / cell(WALKS[name])).read_text())
    assert 0 <= record["score"] <= 100 and record["n"] > 0


def test_every_walk_is_there():
    assert list(WALKS) == ["A model", "A method", "A toolkit", "A scheme", "A benchmark", "A judge"]


def test_the_templates_environment_has_the_pins_of_the_one_that_it_was_tried_in():
    def pins(file: str) -> set[str]:
        return set(re.findall(r"- (\S+==\S+)", (ROOT / file).read_text()))

    assert pins("templates/new_toolkit/environment.yaml") <= pins("envs/cpu/main.yaml")
    assert "nearest" not in config.load().methods, "the template is not an entry of the workflow"
