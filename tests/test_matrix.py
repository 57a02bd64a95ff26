"""Methods on tiny models of many architectures: all that the plan does not refuse is made and validated."""

import json
import subprocess

import matrix
import pytest
import tiny_models
from shared import ROOT

FAST = [
    f"{model}/{method}"
    for model in ("tiny-llama", "tiny-gemma2", "tiny-qwen2", "tiny-qwen3-moe")
    for method in ("rtn/w4a16", "gptq-llmcompressor/w4a16", "smoothquant/w8a8")
] + [
    "tiny-gemma3/gptq-llmcompressor/w4a16",
    "tiny-gemma3/smoothquant/w8a8",
    "tiny-phi3/smoothquant/w8a8",
    "tiny-qwen2/awq-llmcompressor/w4a16",
]


def in_workflow(*command: str) -> None:
    subprocess.run([ROOT / "workflow/in-env", "workflow", "python", *command], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with models, texts and planned cells."""
    folder = tmp_path_factory.mktemp("matrix")
    in_workflow("-m", "demo", "data", "--out", f"{folder}/store")
    tiny_models.main(folder / "models")
    in_workflow("tests/matrix.py", "plan", str(folder))
    return folder


def faults(place, environment: str, only: tuple[str, ...] = ()) -> list[str]:
    """Cells that were made and are not validated, with what happened."""
    matrix.make(place, environment, only)
    cells = [one for one in json.loads((place / "cells.json").read_text()) if one["environment"] == environment]
    outcomes = [(one, matrix.known(matrix.outcome_path(place, one))) for one in cells if one["refused"] is None]
    made = [(cell, found) for cell, found in outcomes if found]
    assert made
    return [
        f"{cell['model']}/{cell['method']} {found['outcome']}: {found['message']}"
        for cell, found in made
        if found["outcome"] != matrix.VALIDATED
    ]


@pytest.mark.toolkit("main")
def test_a_few_cells(place):
    assert faults(place, "cpu/main", tuple(FAST)) == []


@pytest.mark.slow
@pytest.mark.toolkit("main")
def test_all_cells_of_main(place):
    assert faults(place, "cpu/main") == []


@pytest.mark.slow
@pytest.mark.toolkit("gptqmodel")
def test_all_cells_of_gptqmodel(built_by_main):
    assert faults(built_by_main, "cpu/gptqmodel") == []


@pytest.mark.slow
@pytest.mark.toolkit("autoawq")
def test_all_cells_of_autoawq(built_by_main):
    assert faults(built_by_main, "cpu/autoawq") == []


@pytest.fixture(scope="session")
def built_by_main(tmp_path_factory):
    """As `place`, with models that today's transformers wrote."""
    folder = tmp_path_factory.mktemp("matrix")
    in_workflow("-m", "demo", "data", "--out", f"{folder}/store")
    build = [ROOT / "workflow/in-env", "cpu/main", "python", "tests/tiny_models.py", f"{folder}/models"]
    subprocess.run(build, check=True, cwd=ROOT)
    in_workflow("tests/matrix.py", "plan", str(folder))
    return folder


OUTCOMES = [
    {"model": "tiny-llama", "method": "rtn/w4a16", "outcome": matrix.VALIDATED, "reason": None, "seconds": 1.26},
    {"model": "tiny-llama", "method": "awq/w4a16", "outcome": matrix.REFUSED, "reason": "no such layer", "seconds": None},
    {"model": "tiny-gemma", "method": "rtn/w4a16", "outcome": matrix.CRASHED, "reason": "KeyError", "seconds": 0.1},
    {"model": "tiny-gemma", "method": "awq/w4a16", "outcome": matrix.REFUSED, "reason": "no such layer", "seconds": None},
]


def test_the_page_shows_seconds_reasons_and_faults():
    text = matrix.page(OUTCOMES)
    assert "| llama | 1.3 s | a |" in text and "| gemma | **crashed** | a |" in text and "- **a** no such layer" in text
    assert "4 cells: 1 validated, 2 refused by the plan, 1 crashed; 1 CPU seconds in all." in text


def test_a_cell_that_was_not_run_or_failed_is_an_error(tmp_path):
    cell = {"model": "tiny-llama", "method": "rtn/w4a16", "environment": "cpu/main", "spec": "0" * 64, "refused": None}
    (tmp_path / "cells.json").write_text(json.dumps([cell]))
    with pytest.raises(
        matrix.UserError, match="1 cells are neither validated nor refused by the plan, first tiny-llama/rtn/w4a16 not run"
    ):
        matrix.table(tmp_path, tmp_path)


def test_the_page_in_docs_is_that_of_its_record():
    measured = json.loads((ROOT / "docs" / matrix.MEASURED).read_text())
    assert matrix.page(measured["cells"]) == (ROOT / "docs" / matrix.PAGE).read_text()
    assert len(measured["cells"]) == len(tiny_models.MATRIX) * sum(map(len, matrix.VARIANTS.values()))
