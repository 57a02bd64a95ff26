"""Environments without conda: the pins of `envs/<stack>/<name>.yaml` as the virtual environment `.venvs/<stack>/<name>`.

Reads the YAML that conda reads too, so there is one source of pins. A script `<name>.post-deploy.sh` beside it is run inside the
finished environment, as Snakemake does for conda. Writes `.venvs` alone.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from edge2giant import ROOT, errors
from edge2giant.errors import UserError


def requirements(path: Path) -> list[str]:
    """The pip pins of a conda environment file.

    Raises
    ------
    UserError
        If the file is missing or holds no list of pip pins.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return next(part["pip"] for part in document["dependencies"] if isinstance(part, dict))
    except FileNotFoundError:
        known = sorted(p.relative_to(ROOT / "envs").with_suffix("").as_posix() for p in (ROOT / "envs").rglob("*.yaml"))
        raise UserError("is missing", path, f"environments: {', '.join(known)}") from None
    except (yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise UserError("is not a conda environment with a pip section", path, "see envs/cpu/main.yaml") from None


def distributions(name: str, root: Path = ROOT) -> dict[str, str]:
    """Distribution and version of everything that an environment pins, its post-deploy script's `pin=` too."""
    recipe = root / "envs" / f"{name}.yaml"
    script = recipe.with_suffix(".post-deploy.sh")
    lines = requirements(recipe)
    if script.exists():
        lines = lines + re.findall(r"^pin=(\S+)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    pins = (re.sub(r"\[.*?\]", "", line).split("==") for line in lines)
    return {pin[0].lower().replace("_", "-"): pin[1] for pin in pins if len(pin) == 2}


def make(name: str, root: Path = ROOT) -> None:
    """Make `.venvs/<name>` again from `envs/<name>.yaml`; it is removed if an installation fails.

    Raises
    ------
    UserError
        If a pin cannot be installed.
    """
    recipe, target = root / "envs" / f"{name}.yaml", root / ".venvs" / name
    pins = requirements(recipe)
    uv = shutil.which("uv") or "uv"
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    python = target / "bin/python"
    try:
        run(uv, "venv", "-q", "--python", sys.executable, str(target))
        options = ("-q", "--compile-bytecode", "--python", str(python), "-r", "/dev/stdin")
        run(uv, "pip", "install", *options, text="\n".join(pins))
        script = recipe.with_suffix(".post-deploy.sh")
        if script.exists():
            run("bash", str(script), env={"CONDA_PREFIX": str(target), "PATH": f"{target}/bin:{os.environ['PATH']}"})
    except subprocess.CalledProcessError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise UserError(f"could not be installed: {error.stderr.strip()[-600:]}", recipe, "correct that pin") from None


def run(*command: str, text: str = "", env: dict | None = None) -> None:
    surroundings = os.environ | (env or {}) | {"UV_LINK_MODE": "hardlink"}
    subprocess.run(command, input=text, capture_output=True, text=True, check=True, env=surroundings)


def main() -> None:
    top = argparse.ArgumentParser(prog="python -m edge2giant.environments", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="install environments")
    making.add_argument("names", nargs="+", metavar="STACK/NAME")
    for name in top.parse_args().names:
        make(name)


if __name__ == "__main__":
    sys.exit(errors.run(main))
