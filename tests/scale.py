"""How long `snakemake -n all` takes on a grid of many cells: the paper's rows repeated under other model names.

python tests/scale.py 600 6000
"""

import argparse
import copy
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("Snakefile", "workflow", "config", "profiles", "envs", "slurm")


def clone(folder: Path) -> None:
    """Copy what a dry run reads."""
    for name in PARTS:
        source = ROOT / name
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def enlarge(folder: Path, cells: int) -> int:
    """Write study `scale` with at least so many cells and return their number."""
    models = yaml.safe_load((folder / "config/models.yaml").read_text())
    study = yaml.safe_load((folder / "config/studies/paper.yaml").read_text())
    copies, more, count = {}, {}, 0
    for number in range(10**6):
        for name, entry in study["models"].items():
            copied = f"{name}.{number}"
            copies[copied], more[copied] = entry, copy.deepcopy(models[name])
            count += 12 * len(entry["variants"]) + len(entry["judged"])
            if count >= cells:
                break
        if count >= cells:
            break
    (folder / "config/models.yaml").write_text(yaml.safe_dump(models | more))
    changed = study | {"models": copies, "figure2_models": list(copies)[:1]}
    (folder / "config/studies/scale.yaml").write_text(yaml.safe_dump(changed))
    return count


def plan(folder: Path, study: str, *more: str) -> tuple[float, float, float, float, float]:
    """Wall and CPU seconds to the first line of a dry run and to its end, and its peak memory in MB."""
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "all", *more, "--config", f"study={study}", "--", "all"]
    environment = os.environ | {"PYTHONPATH": str(folder / "workflow")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    run = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    run.stdout.readline()
    first, used = time.monotonic() - began, psutil.Process(run.pid).cpu_times()
    said, _ = run.communicate()
    if run.returncode:
        raise SystemExit(said.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return first, used.user + used.system, time.monotonic() - began, cpu, after.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=int, nargs="+")
    args = parser.parse_args()
    columns = "study", "cells", "first line: wall s", "CPU s", "all: wall s", "CPU s", "CPU ms a cell", "MB"
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for wanted in [0, *args.cells]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            clone(folder)
            study, cells = ("scale", enlarge(folder, wanted)) if wanted else ("paper", 636)
            first, begun, wall, cpu, memory = plan(folder, study)
            numbers = f"{first:.1f} | {begun:.1f} | {wall:.1f} | {cpu:.1f} | {1000 * cpu / cells:.1f} | {memory:.0f}"
            print(f"| {study} | {cells} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
