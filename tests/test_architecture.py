"""The house keeps its floors: docs/architecture.md says who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from shared import ROOT

PACKAGE = ROOT / "workflow/edge2giant"
FLOORS = {
    1: {"grid", "records", "jsonl", "mt_bench", "store", "failures", "provenance", "environments", "errors", "offline"},
    2: {"quantize", "engine", "evaluate", "judge", "score", "stats", "miniature", "rerun"},
    3: {"paper", "audit", "claims", "report"},
    4: {"dag", "paths", "study", "cluster", "acquisition"},
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
NEIGHBOURS = {
    ("evaluate", "engine"),
    ("score", "judge"),
    ("audit", "paper"),
    ("claims", "paper"),
    ("claims", "audit"),
    ("report", "paper"),
}
JUST_ENOUGH = "import sys; sys.path.insert(0, 'workflow'); from edge2giant import dag, grid; grid.load(); print(*sys.modules)"


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Rooms of the package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "edge2giant":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge2giant."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("edge2giant.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_floors_below(path):
    own = room(path)
    if own == "__init__":
        assert not imports(path)
        return
    for other in imports(path) - {own}:
        below = FLOOR[other] < FLOOR[own] or FLOOR[other] == FLOOR[own] in (1, 4)
        assert below or (own, other) in NEIGHBOURS, f"{path} imports {other}"


def test_what_the_snakefile_imports_needs_only_yaml_and_jsonschema():
    run = subprocess.run([sys.executable, "-c", JUST_ENOUGH], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    heavy = {
        "numpy",
        "pandas",
        "torch",
        "transformers",
        "pyarrow",
        "scipy",
        "matplotlib",
        "lm_eval",
        "vllm",
        "snakemake",
    }
    assert not loaded & heavy


def test_the_package_never_imports_snakemake():
    for path in modules():
        assert "import snakemake" not in path.read_text(encoding="utf-8"), path
