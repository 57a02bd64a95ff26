"""The layers of docs/architecture.md: modules depend downwards only, and never on themselves through others."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared import ROOT

PACKAGE = ROOT / "workflow/edge2giant"
LAYERS = (
    {"errors", "ROOT"},
    {"records", "jsonl", "provenance", "specs", "typed", "models", "schemes"},
    {"config", "add_model", "environments", "failures", "offline", "store", "mt_bench", "divergence", "pages", "published"},
    {"quantize", "engine", "evaluate", "judge", "scoring", "stats", "plan", "rerun", "tune"},
    {"paper"},
    {"audit", "claims", "gate"},
    {"report"},
    {"cluster"},
    {"trial"},
)
TEXT = {".py", ".smk", ".md", ".yaml", ".json", ".j2", ".jinja", ".rst", ".css", ".js", ".csv", ""}
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part(path: Path) -> str:
    """The package or top-level module that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Dotted names below edge2giant that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "edge2giant":
            base = node.module.removeprefix("edge2giant").lstrip(".")
            found |= {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("edge2giant.") for a in node.names if a.name.startswith("edge2giant.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_imports_from_its_own_layer_or_below(path):
    own = part(path)
    others = {dotted.split(".")[0] for dotted in imports(path)} - {own}
    if own == "__init__":
        assert not others
        return
    above = sorted(other for other in others if LAYER[other] > LAYER[own])
    assert not above, f"{name(path)} imports {', '.join(above)}"


def module_graph() -> dict[str, set[str]]:
    """Which module imports which when it is loaded."""
    known = {name(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in modules()}
    graph = {}
    for module, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "edge2giant":
                base = node.module.removeprefix("edge2giant").lstrip(".")
                for alias in node.names:
                    whole = f"{base}.{alias.name}".lstrip(".")
                    found.add(whole if whole in known else base)
        graph[module] = {other for other in found if other in known} - {module}
    return graph


def test_no_import_is_circular():
    list(graphlib.TopologicalSorter(module_graph()).static_order())


def test_what_the_snakefile_imports_is_light():
    phases = ", ".join(path.stem for path in (PACKAGE / "plan").glob("[a-z]*.py"))
    code = f"import sys; sys.path.insert(0, 'workflow'); from edge2giant.plan import {phases}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "torch", "transformers", "pyarrow", "scipy", "matplotlib", "lm_eval", "vllm", "snakemake"}
    assert not set(run.stdout.split()) & heavy


def test_the_package_never_imports_snakemake():
    for path in modules():
        assert "import snakemake" not in path.read_text(encoding="utf-8"), path


def test_no_module_is_longer_than_350_lines():
    long = {name(path): count for path in modules() if (count := len(path.read_text(encoding="utf-8").splitlines())) > 350}
    assert not long


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]


def test_no_class_has_more_than_15_public_methods():
    many = {}
    for path in modules():
        for one in classes(path):
            methods = [item for item in one.body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
            if len(methods) > 15:
                many[f"{name(path)}: {one.name}"] = len(methods)
    assert not many


def test_each_class_name_is_used_once():
    places: dict[str, list[str]] = {}
    for path in modules():
        for one in classes(path):
            places.setdefault(one.name, []).append(name(path))
    assert not {title: found for title, found in places.items() if len(found) > 1}


def test_yaml_is_read_by_the_config_package_alone():
    """`environments` reads the pins of envs/, which are no configuration; the other uses write YAML."""
    readers = [name(path) for path in modules() if re.search(r"yaml\.(safe_)?load\b|YAML\(", path.read_text(encoding="utf-8"))]
    assert [reader for reader in readers if not reader.startswith("config/")] == ["environments.py"]


def loads(tree: ast.AST) -> list[ast.Call]:
    """Calls by which transformers or a toolkit picks a class by a folder's files."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    ways = ("from_pretrained", "from_quantized", "from_config", "load")
    return [one for one in calls if one.func.attr in ways and re.match(r"(\w+\.)*(Auto|GPTQModel)", ast.unparse(one.func.value))]


def test_no_code_of_a_model_is_run():
    """Left out, `trust_remote_code` is true for AutoAWQ, and a question on the terminal for transformers."""
    files = [*modules(), *(ROOT / "templates").rglob("*.py")]
    calls = [one for path in files for one in loads(ast.parse(path.read_text(encoding="utf-8")))]
    assert len(calls) > 10
    assert not [found for one in calls if "trust_remote_code=False" not in (found := ast.unparse(one))]


WORDS = re.compile(r"\b(house|cure|proven)\b", re.IGNORECASE)


def test_the_words_of_the_first_design_are_gone():
    files = [p for top in ("workflow", "docs", "config") for p in (ROOT / top).rglob("*") if p.is_file() and p.suffix in TEXT] + [
        ROOT / "README.md"
    ]
    found = {p.relative_to(ROOT).as_posix() for p in files if WORDS.search(p.read_text(encoding="utf-8"))}
    assert not found
