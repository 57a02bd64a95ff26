"""How to make one cell again: its commands as a shell script, and what differs here from where it was made.

Reads a cell record, `config/` and the working tree. Runs nothing, writes nothing but its output.
"""

import argparse
import shlex
import sys
from pathlib import Path

from edge2giant import config as configuration
from edge2giant import environments, errors, provenance, records, store
from edge2giant.records.cell import CellRecord
from edge2giant.records.lock import Lock


def script(record: dict, path: str) -> list[str]:
    """Commands that make a cell alone, at the commit and in the environments that it was made in.

    Parameters
    ----------
    record : dict
        Cell record.
    path : str
        Path of the cell below the repository, which is also Snakemake's target.
    """
    cell, made = record["cell"], record["provenance"]
    lines = ["set -e"]
    if made["git_commit"]:
        lines.append(f"git checkout {shlex.quote(made['git_commit'])}")
    if made["git_dirty"]:
        lines.append("# the tree had changes that were not committed: this commit alone does not give the same code")
    stack, study, target = (shlex.quote(part) for part in (cell["stack"], cell["study"], path))
    by_conda = made.get("installer") == "conda"
    lines += [
        "" if by_conda else f"make setup envs STACK={stack}",
        f"snakemake {'--sdm conda' if by_conda else ''} --cores all --config study={study} batch=benchmark -- {target}",
        f"# expected: score {record['score']!r}, samples {record['samples']['sha256']}",
    ]
    return [" ".join(line.split()) for line in lines if line]


def facts(record: dict) -> list[str]:
    """Where and with what a cell was made, for the head of the script."""
    made, engine, cost = record["provenance"], record["engine"], record["cost"]
    gpu = f"{cost['gpu_count']} x {cost['gpu_name']}" if cost["gpu_name"] else "no GPU"
    driver = made["packages"].get("nvidia-driver")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made["packages"].items()))
    return [
        f"made {made['started']} on {made['host']} with {gpu}{f', driver {driver}' if driver else ''}",
        f"engine {engine['name']} ({engine['version']}), kernel {engine['kernel']}, {engine['dtype']}",
        f"environment {made['environment_sha256'][:16]} by {made.get('installer') or 'an unknown installer'}: {versions}",
        f"data {', '.join(f'{name} {revision[:16]}' for name, revision in sorted(made['datasets'].items()))}",
        f"checkpoint {record['checkpoint']['digest'][:16]}, recipe {record['checkpoint']['recipe'].get('spec', '')[:16]}",
    ]


def differences(record: dict, config: configuration.Config) -> list[str]:
    """What is other here than where the cell was made."""
    made, cell = record["provenance"], record["cell"]
    commit, dirty = provenance.git_state(config.root)
    found = []
    if made["git_commit"] != commit:
        found.append(f"this tree is at commit {commit}, the cell is of {made['git_commit']}")
    if dirty:
        found.append("this tree has changes that are not committed")
    if cell["study"] not in config.studies:
        return [*found, f"study {cell['study']} is not in config/studies"]
    study = config.study(cell["study"])
    if (study.protocol, study.stack) != (cell["protocol"], cell["stack"]):
        found.append(f"study {study.name} now has protocol {study.protocol} and stack {study.stack}")
    environment = config.root / "envs" / f"{config.environment(study.stack, 'evaluate')}.yaml"
    found += environment_differences(made["packages"], environment)
    lock = config.root / store.lock_of_benchmark(f"results/store/{study.source}", cell["benchmark"])
    if lock.exists() and (revision := records.read_json(lock, Lock)["revision"]) not in made["datasets"].values():
        found.append(f"the data in the store are at {revision[:16]}")
    return found


def environment_differences(packages: dict, path: Path) -> list[str]:
    """Packages of a cell whose pins in an environment file are others now."""
    if not path.exists():
        return [f"{path.name} is not there"]
    pins = dict(pin.split("==") for pin in environments.requirements(path) if pin.count("==") == 1)
    same = {name.replace("_", "-"): version.split("+")[0] for name, version in pins.items()}
    return [
        f"{name} {version} is pinned as {same[name.replace('_', '-')]} now"
        for name, version in sorted(packages.items())
        if same.get(name.replace("_", "-"), version.split("+")[0]) != version.split("+")[0]
    ]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.rerun", description=__doc__)
    top.add_argument("cell", type=Path, help="results/<study>/cells/.../<benchmark>.json")
    return top


def main(arguments: list[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    record = records.read_json(args.cell, CellRecord)
    config = configuration.load()
    cell = record["cell"]
    path = f"results/{cell['study']}/cells/{cell['model']}/{cell['method']}/{cell['bits']}/{cell['benchmark']}.json"
    for line in [*facts(record), *(f"DIFFERS HERE: {line}" for line in differences(record, config))]:
        print("#", *line.split())  # a record must not be able to leave the comment
    print("\n".join(script(record, path)))


if __name__ == "__main__":
    sys.exit(errors.run(main))
