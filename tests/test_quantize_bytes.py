"""The bytes that the plan counts, on disk and on a GPU, are those of the files that toolkits write."""

import pytest
import yaml
from edge2giant.engine import plan
from edge2giant.models import read
from edge2giant.quantize import calibration, compat, core, sizes, tensors, toolkits
from edge2giant.schemes import mixed
from quantize_model import calibration_set, write_model, write_text, write_tokenizer
from shared import ROOT

METHODS = yaml.safe_load((ROOT / "config/recipes.yaml").read_text(encoding="utf-8"))["methods"]
HERE = {
    "rtn": "main",
    "llmcompressor": "main",
    "autoround": "main",
    "gptqmodel": "gptqmodel",
    "autoawq": "autoawq",
    "none": "main",
}
"""Environment of each toolkit that runs on a CPU."""
SLOW = ("autoround", "awq")
CASES = [
    pytest.param(
        method, bits, id=f"{method}-{bits}",
        marks=[pytest.mark.toolkit(HERE[entry["toolkit"]]), *[pytest.mark.slow] * any(word in method for word in SLOW)],
    )
    for method, entry in METHODS.items() if entry["toolkit"] in HERE for bits in entry["bits"]
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("bytes")
    write_tokenizer(write_model(root / "model"))
    write_text(root / "calibration", 1)
    return root


@pytest.mark.parametrize(("method", "bits"), CASES)
def test_planned_bytes_are_those_of_the_files(place, tmp_path, method, bits):
    name, width = METHODS[method]["toolkit"], METHODS[method]["bits"][bits]
    recipe = yaml.safe_load(yaml.safe_dump(width["recipe"]).replace("{first}|{last}", "1"))
    recipe |= {"iters": 1} if name == "autoround" else {}
    facts = read.read(place / "model", "tiny", read.tensors_of(place / "model", "tiny"))
    scheme = mixed.in_model(toolkits.module(name).scheme(recipe), facts, toolkits.left_out(name, recipe))
    with compat.readable(place / "model") as view:
        drawn = calibration.load(calibration_set(), place / "calibration", view) if width["calibration"] else None
        core.quantize(name, recipe, place / "model", view, drawn, tmp_path)
    made = tensors.Tensors(tmp_path)
    stored = sum(made.read(one).nbytes for one in made.names)
    assert sizes.planned_bytes(facts, scheme)["total"] == pytest.approx(stored, rel=0.005)
    assert plan.weight_bytes(facts, scheme) == pytest.approx(stored, rel=0.03), "it counts the inputs' groups of GPTQ once"
