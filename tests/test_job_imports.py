"""A job imports in its environment without pydantic and without the configuration."""

import os
import subprocess
import sys

import pytest
from shared import ROOT

BLOCKED = (
    "import sys; sys.modules['pydantic'] = None; sys.modules['edge2giant.config'] = None; sys.modules['edge2giant.plan'] = None"
)
QUANTIZE = ("quantize.__main__", "quantize.core", "quantize.calibration", "quantize.toolkits", "specs.quantize")
TUNE = ("tune.__main__", "tune.making", "specs.tune")
EVALUATE = ("evaluate.__main__", "evaluate.answer_cache", "engine.settings", "engine.plan", "specs.evaluate")
WORKFLOW = tuple(f"{name}.__main__" for name in ("judge", "scoring", "stats", "store", "paper", "audit", "claims", "report"))


def imported(modules: tuple[str, ...]) -> subprocess.CompletedProcess:
    code = "; ".join([BLOCKED, *(f"import edge2giant.{module}" for module in modules)])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param((*QUANTIZE, *EVALUATE, *TUNE), marks=pytest.mark.toolkit("main")),
        pytest.param(QUANTIZE, marks=pytest.mark.toolkit("autoawq")),
        pytest.param(QUANTIZE, marks=pytest.mark.toolkit("gptqmodel")),
        pytest.param(QUANTIZE, marks=pytest.mark.toolkit("autogptq")),
        # a judge that its job serves runs in the environment of the engine
        pytest.param((*EVALUATE, "judge.__main__"), marks=pytest.mark.toolkit("vllm")),
        pytest.param(WORKFLOW, id="workflow"),
    ],
)
def test_entry_points_import_without_the_configuration(modules):
    done = imported(modules)
    assert done.returncode == 0, done.stderr[-2000:]
