"""A model is fetched from a mirror, another one is tuned from it, and both are quantized and compared: the DAG really run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from edge2giant import records
from edge2giant.records.cell import CellRecord
from edge2giant.records.checkpoint import CheckpointRecord
from edge2giant.records.tuned import TunedRecord
from test_end_to_end import make_clone, succeeded

pytestmark = pytest.mark.e2e
RELEASE, TUNED = "tiny-release", "tiny-tuned"
VARIANTS = ["fp16/w16a16", "rtn/w4a16"]
TARGETS = ["all", "--cores", "1", "--config", "study=tuned", "mirror=mirror", "batch=checkpoint"]
RECIPE = {
    "from": RELEASE,
    "texts": ["tiny-text"],
    "noise": {"bits": 4, "group_size": 32, "share": 0.5},
    "distillation": {"steps": 40, "windows": 2, "length": 128, "learning_rate": 3.0e-5, "warmup": 4, "heldout": 4, "seed": 0},
}


def snakemake(clone: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=clone, capture_output=True, text=True)


def write_mirror(clone: Path) -> None:
    """A mirror with a small model, text, and the miniature study's questions."""
    mirror, made = clone / "mirror", clone / "made"
    model = shutil.copytree(clone / "workflow/demo/models/tiny-2m", mirror / "owner/tiny-release")
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\nA small model.\n")
    command = [sys.executable, "-m", "demo", "data", "--out", str(made)]
    subprocess.run(command, cwd=clone / "workflow", check=True, capture_output=True)
    for name in ("allenai/ai2_arc", "EleutherAI/wikitext_document_level"):
        shutil.copytree(made / "datasets" / name, mirror / name)
    (mirror / "edge2giant/text").mkdir(parents=True)
    shutil.copyfile(made / "calibration/miniature/text.jsonl", mirror / "edge2giant/text/rows.jsonl")


def write_own(clone: Path) -> None:
    """Models, text and a study in `my/`."""
    facts = yaml.safe_load((clone / "config/models.yaml").read_text())["tiny-2m"]["facts"]
    entry = {"revision": None, "licence": "apache-2.0", "gated": False, "nominal_billions": 0.002, "facts": facts}
    sha256 = records.file_sha256(clone / "mirror/owner/tiny-release/config.json")
    models = {
        RELEASE: {"name": "Release", "repo": "owner/tiny-release", "config_sha256": sha256} | entry,
        TUNED: {"name": "Tuned", "repo": "owner/tiny-tuned", "tuned": RECIPE} | entry,
    }
    text = {"repo": "edge2giant/text", "files": "rows.jsonl", "field": "text", "revision": None, "samples": 8, "length": 128}
    sets = {"tiny-text": text | {"packing": "windows", "seed": 1, "place": "a test"}}
    study = {
        "title": "a model and one tuned from it", "source": "hub", "protocol": "paper", "stack": "cpu", "limit": 4,
        "benchmarks": ["arc_challenge", "divergence"], "tables": [1, 10], "figure2_models": [RELEASE],
        "models": {name: {"variants": VARIANTS} for name in (RELEASE, TUNED)},
    }  # fmt: skip
    for name in ("my", "config/lock/hub"):  # of whoever runs the test
        shutil.rmtree(clone / name, ignore_errors=True)
    (clone / "my/studies").mkdir(parents=True)
    for name, content in {"models": models, "calibration": {"sets": sets}, "studies/tuned": study}.items():
        (clone / f"my/{name}.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    clone = make_clone(tmp_path_factory.mktemp("tuned") / "edge2giant")
    write_mirror(clone)
    write_own(clone)
    succeeded(snakemake(clone, *TARGETS))
    return clone


def test_the_tuned_model_is_made_in_the_store_and_its_checkpoints_of_it(tuned):
    models = tuned / "results/store/hub/models"
    record = records.read(models / f"{TUNED}.tuned.json", TunedRecord)
    assert record.source.id == ("owner/tiny-release",) and record.recipe["distillation"] == RECIPE["distillation"]
    assert record.measured["tuned"].divergence < record.measured["noised"].divergence
    lock = json.loads((models / f"{TUNED}.lock.json").read_text())
    assert lock["files"][f"{TUNED}/model.safetensors"]["sha256"] == record.files["model.safetensors"].sha256
    for path in (tuned / f"results/checkpoints/{TUNED}").rglob("checkpoint.json"):
        assert records.read(path, CheckpointRecord).model.id == ("owner/tiny-tuned",)


def test_both_models_have_cells_and_tables_without_a_judge(tuned):
    folder = tuned / "results/tuned/cells"
    cells = {
        path.relative_to(folder).with_suffix("").as_posix(): records.read(path, CellRecord) for path in folder.rglob("*.json")
    }
    assert len(cells) == 8
    release, made = ({bits: cells[f"{name}/{bits}/divergence"].score for bits in VARIANTS} for name in (RELEASE, TUNED))
    assert release["rtn/w4a16"] > release["fp16/w16a16"] and made["rtn/w4a16"] > made["fp16/w16a16"]
    assert release["rtn/w4a16"] != made["rtn/w4a16"]
    assert {path.name for path in (tuned / "paper_figures/tuned").glob("*.md")} == {"table1.md", "table10.md"}


def test_nothing_is_made_again_until_the_recipe_changes(tuned):
    assert "Nothing to be done" in succeeded(snakemake(tuned, *TARGETS, "-n"))
    own = tuned / "my/models.yaml"
    own.write_text(own.read_text().replace("share: 0.5", "share: 0.6"))
    planned = succeeded(snakemake(tuned, *TARGETS, "-n"))
    assert "tune_model" in planned and "acquire_model" not in planned
