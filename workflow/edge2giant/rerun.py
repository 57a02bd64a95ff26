"""How to make one cell again: its commands as a shell script, and what differs here from where it was made.

Reads a cell record and what its jobs were told, and compares both with the working tree. Runs and writes nothing.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

from edge2giant import config as configuration
from edge2giant import environments, errors, provenance, records, specs
from edge2giant.config import Config
from edge2giant.errors import UserError
from edge2giant.plan import Plan, evaluate, quantize
from edge2giant.records.cell import CellRecord
from edge2giant.records.lock import Lock


def script(record: CellRecord, path: str) -> list[str]:
    """Commands that make a cell alone, at the commit and in the environments that it was made in.

    Parameters
    ----------
    path : str
        Path of the cell below the repository, which is also Snakemake's target.
    """
    cell, made = record.cell, record.provenance
    lines = ["set -e"]
    if made.git_commit:
        lines.append(f"git checkout {shlex.quote(made.git_commit)}")
    if made.git_dirty:
        lines.append("# the tree had changes that were not committed: this commit alone does not give the same code")
    stack, study, target = (shlex.quote(part) for part in (cell.stack, cell.study, path))
    by_conda = made.installer == "conda"
    lines += [
        "" if by_conda else f"make setup envs STACK={stack}",
        f"snakemake {'--sdm conda' if by_conda else ''} --cores all --config study={study} batch=benchmark -- {target}",
        f"# expected: score {record.score!r}, samples {record.samples.sha256}",
    ]
    return [" ".join(line.split()) for line in lines if line]


def facts(record: CellRecord) -> list[str]:
    """Where and with what a cell was made, for the head of the script."""
    made, engine, cost = record.provenance, record.engine, record.cost
    gpu = f"{cost.gpu_count} x {cost.gpu_name}" if cost.gpu_name else "no GPU"
    driver = made.packages.get("nvidia-driver")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.packages.items()))
    return [
        f"made {made.started} on {made.host} with {gpu}{f', driver {driver}' if driver else ''}",
        f"engine {engine.name} ({engine.version}), kernel {engine.kernel}, {engine.dtype}",
        f"environment {made.environment_sha256[:16]} by {made.installer or 'an unknown installer'}: {versions}",
        f"data {', '.join(f'{name} {revision[:16]}' for name, revision in sorted(made.datasets.items()))}",
        f"checkpoint {record.checkpoint.digest[:16]}, recipe {record.checkpoint.recipe.get('spec', '')[:16]}",
    ]


def differences(record: CellRecord, config: Config, results: Path) -> list[str]:
    """What is other here than where the cell was made: code, what its jobs were told, packages, data."""
    made, cell = record.provenance, record.cell
    commit, dirty = provenance.git_state(config.root)
    found = []
    if made.git_commit != commit:
        found.append(f"this tree is at commit {commit}, the cell is of {made.git_commit}")
    if dirty:
        found.append("this tree has changes that are not committed")
    wildcards = SimpleNamespace(**asdict(cell), batch=cell.benchmark)
    try:
        evaluation = evaluate.spec(Plan(config, None), wildcards)
        checkpoint = quantize.checkpoint_spec(config, config.study(cell.study), evaluation.variant)
    except UserError as error:
        return [*found, str(error)]
    told = specs.path(results, record.checkpoint.recipe.get("spec", ""))
    found += spec_differences("checkpoint", told, lambda text: text, asdict(checkpoint))
    entry = results / "answer_cache" / made.fingerprint / "entry.json"
    found += spec_differences("evaluation", entry, lambda text: text["identity"], evaluation.of(evaluation.benchmarks[0]))
    found += environment_differences(made.packages, environments.distributions(evaluation.environment))
    lock = results / "store" / checkpoint.store / evaluation.benchmarks[0].locks[0]
    if lock.exists() and (revision := records.read(lock, Lock).revision) not in made.datasets.values():
        found.append(f"the data in the store are at {revision[:16]}")
    return found


def spec_differences(job: str, told: Path, of: Callable[[dict], dict], planned: dict) -> list[str]:
    """What a job was told, where its record is still here, and would be told otherwise now."""
    if not told.is_file():
        return []
    before, now = of(records.read_json(told)), json.loads(records.canonical(planned))
    return [
        f"{job}: {key} was {records.canonical(before.get(key))}, is {records.canonical(value)} now"
        for key, value in now.items()
        if before.get(key) != value
    ]


def environment_differences(packages: dict, pins: dict[str, str]) -> list[str]:
    """Packages of a cell that are pinned otherwise now; what follows a + says which build it is."""
    now = {name: pins.get(name.lower().replace("_", "-"), version) for name, version in sorted(packages.items())}
    return [
        f"{n} {packages[n]} is pinned as {pin} now" for n, pin in now.items() if pin.split("+")[0] != packages[n].split("+")[0]
    ]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.rerun", description=__doc__)
    top.add_argument("cell", type=Path, help="results/<study>/cells/.../<benchmark>.json")
    top.add_argument("--results", type=Path, default=Path("results"), help="folder of results")
    return top


def main(arguments: list[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    record = records.read(args.cell, CellRecord)
    cell = record.cell
    path = f"results/{cell.study}/cells/{cell.variant.path}/{cell.benchmark}.json"
    for line in [*facts(record), *(f"DIFFERS HERE: {line}" for line in differences(record, configuration.load(), args.results))]:
        print("#", *line.split())  # a record must not be able to leave the comment
    print("\n".join(script(record, path)))


if __name__ == "__main__":
    sys.exit(errors.run(main))
