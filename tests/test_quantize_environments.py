"""Every environment file: exact pins, all that the stacks name, the paper's versions.

And (slow) pins that still resolve together.
"""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from edge2giant import config
from shared import ROOT

FILES = sorted((ROOT / "envs").glob("*/*.yaml"))
NEEDED = ("jsonschema", "pyyaml")
LAGGING = "certifi<=2026.10.19"
"""vLLM 0.33.0 asks for a certifi of the day before its release, which a package mirror may not have yet."""


def name(path: Path) -> str:
    return path.relative_to(ROOT / "envs").with_suffix("").as_posix()


def pins(path: Path) -> dict[str, str]:
    """Distribution -> version of an environment, with what its post-deploy script installs."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = next(part["pip"] for part in document["dependencies"] if isinstance(part, dict))
    script = path.with_suffix(".post-deploy.sh")
    if script.exists():
        lines = lines + re.findall(r"^pin=(\S+)$", script.read_text(), re.MULTILINE)
    return dict(re.sub(r"\[.*?\]", "", line).lower().split("==") for line in lines)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_pins_are_exact_and_enough_for_the_package(path):
    found = pins(path)
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.+!-]*", version) for version in found.values())
    if path.stem != "fastchat":
        assert set(NEEDED) <= set(found)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["channels"] == ["conda-forge"] and document["dependencies"][:2] == ["python=3.11", "pip"]


def test_every_environment_of_the_stacks_is_there():
    loaded = config.load()
    wanted = {loaded.environment(stack, name) for stack, entry in loaded.stacks.items() for name in entry.environments}
    assert wanted <= {name(path) for path in FILES}


def test_paper2024_has_the_versions_of_appendix_d1():
    with (ROOT / "config/published/versions.csv").open(encoding="utf-8") as stream:
        printed = {r["name"].replace("_", "-"): r["value"] for r in csv.DictReader(stream) if r["kind"] == "package"}
    found: dict[str, set[str]] = {}
    for path in (ROOT / "envs/paper2024").glob("*.yaml"):
        for package, version in pins(path).items():
            found.setdefault(package.replace("_", "-"), set()).add(version)
    for package, version in printed.items():
        assert version in found[package], package
    assert found["transformers"] == {"4.47.1"} and found["accelerate"] == {"1.2.1"}
    assert all(int(v.split(".")[0]) < 4 for v in found["datasets"])


def test_vllm_and_llmcompressor_are_never_neighbours_but_in_2024():
    for path in FILES:
        if "paper2024" not in path.parts:
            assert not {"vllm", "llmcompressor"} <= pins(path).keys(), name(path)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_pyarrow_and_numpy_are_of_one_time(path):
    """No resolver knows this: pyarrow's wheels name no numpy, and 26 refuses to be imported beside numpy 1."""
    found = pins(path)
    if found.get("numpy", "2").startswith("1."):
        assert int(found.get("pyarrow", "0").split(".")[0]) < 20


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name)
def test_pins_resolve_together(path, tmp_path):
    """Ask the resolver, install nothing. GPU builds are resolved for Linux as the files state."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    assert uv, "uv is in envs/workflow.yaml"
    (tmp_path / "in.txt").write_text("\n".join(f"{k}=={v}" for k, v in pins(path).items()))
    (tmp_path / "override.txt").write_text(LAGGING)
    command = [uv, "pip", "compile", "-q", "in.txt", "-o", "out.txt", "--overrides", "override.txt", "--python-version", "3.11"]
    command += ["--python-platform", "x86_64-manylinux_2_28"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-800:]
