"""What a study consists of: `rows` lists the lines of its tables, `show` counts its cells, `plan` says what it will take.

Reads `config/` alone: no weights, no network, no results.
"""

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path

from edge2giant import environments, errors, grid, paths, records
from edge2giant.cluster import resources
from edge2giant.errors import UserError
from edge2giant.plan import quantize
from edge2giant.quantize import preflight, sizes, toolkits
from edge2giant.specs.variant import Variant, widths

FALLBACK = "fallback"
LEVELS = (FALLBACK, preflight.DEGRADED, preflight.REFUSED)


def rows(house: grid.House, study: grid.Study) -> list[dict]:
    """The lines of a study's tables in order: model, method, bits, nominal storage in GB, and the benchmarks to expect."""
    return [
        {
            "model": row.model,
            "label": house.models[row.model]["name"],
            "method": row.method,
            "bits": row.bits,
            "storage_gb": nominal_gb(house, row),
            "benchmarks": study.benchmarks_of(row),
        }
        for row in study.rows
    ]


def nominal_gb(house: grid.House, row: grid.Row) -> float:
    """Parameters times weight bits over 8, in 10^9 bytes: what the paper prints as storage."""
    return house.models[row.model]["nominal_billions"] * widths(row.bits)[0] / 8


def counts(study: grid.Study) -> list[dict]:
    """Checkpoints, leaderboard cells and MT-Bench cells of each model."""
    by_model = Counter((cell.model, cell.benchmark == "mt_bench") for cell in study.cells)
    checkpoints = Counter(row.model for row in study.rows)
    return [
        {
            "model": model,
            "checkpoints": checkpoints[model],
            "leaderboard cells": by_model[model, False],
            "MT-Bench cells": by_model[model, True],
        }
        for model in checkpoints
    ]


def plan(house: grid.House, study: grid.Study, cluster: dict) -> list[dict]:
    """What each row will take: environment, bytes, GPUs, cells, and what is known against it (`quantize.preflight`)."""
    return [planned(house, study, row, cluster) for row in study.rows]


def planned(house: grid.House, study: grid.Study, row: grid.Row, cluster: dict) -> dict:
    """The plan of one row."""
    spec = paths.checkpoint_spec(house, study, row)
    jobs = (resources.making(house, row, spec), resources.evaluation(house, study, row))
    places = {job.phase: resources.place(house, cluster, job) for job in jobs}
    return {
        "model": row.model,
        "scheme": row.scheme,
        "environment": spec.environment,
        "checkpoint": spec.folder,
        "gigabytes": round(planned_gb(house, row.model, widths(row.bits)[0]), 3),
        "quantize on": placement(places["quantize"]),
        "evaluate on": placement(places["evaluate"]),
        "cells": len(study.benchmarks_of(row)),
        "verdict": "; ".join(findings(house, study, row, places, cluster)) or "ok",
    }


def findings(house: grid.House, study: grid.Study, row: grid.Row, places: dict, cluster: dict) -> list[str]:
    """What is known against a row, and where the study leaves the recipe because of it."""
    changed = study.recipe_settings.get(row.scheme)
    verdicts = known_against(house, study, row, changed, places, cluster)
    found = [f"{v.level}: {v.reason} ({v.hint})" for v in verdicts]
    if changed:
        avoided = [v.reason for v in known_against(house, study, row, None, places, cluster) if v not in verdicts]
        change = ", ".join(f"{key} {json.dumps(value)}" for key, value in changed.items())
        found.append(f"{FALLBACK}: {change}" + (f", since {', '.join(avoided)}" if avoided else ""))
    return found


def judged(lines: list[dict]) -> str:
    """How many rows have which verdict; a row may have several."""
    counts = {level: sum(f"{level}: " in line["verdict"] for line in lines) for level in LEVELS}
    fine = sum(line["verdict"] == "ok" for line in lines)
    return f"rows: {fine} ok, " + ", ".join(f"{count} {level}" for level, count in counts.items())


def placement(place) -> str:
    """GPUs of a job in words."""
    if place is None:
        return "CPU"
    return f"{place.gpus} x {place.gpu}" + (f" on {place.nodes} nodes" if place.nodes > 1 else "")


def known_against(
    house: grid.House, study: grid.Study, row: grid.Row, settings: dict | None, places: dict, cluster: dict
) -> list[preflight.Verdict]:
    """Verdicts on making a row's checkpoint and on loading it, each on the hardware it is placed on.

    A published checkpoint, whose own config nobody has read yet, is judged as what its recipe says that it is.
    """
    stack, environment = house.stacks[study.stack], house.environment(study.stack, "evaluate")
    spec = quantize.made_spec(house.config, house.config.study(study.name), Variant(*grid.astuple(row)), settings)
    traits = toolkits.module(spec.toolkit).traits(spec.recipe, spec.variant.bits)

    def device(phase: str) -> str:
        place = places[phase]
        return f"cuda:{cluster['partitions'][place.partition]['compute_capability']}" if place else "cpu"

    published = study.checkpoints.get(row.scheme) == "published"
    making = [] if published else preflight.check_making(spec.toolkit, row.model, device("quantize"))
    loading = preflight.check(traits, stack["engine"], stack["engine_version"], device("evaluate"))
    return making + preflight.without_met_needs(loading, environment, set(environments.distributions(environment, house.root)))


def disk(house: grid.House, study: grid.Study, lines: list[dict]) -> list[str]:
    """What the study takes of a disk, in words. Rows that only link to the store take nothing of their own."""
    models = sum(planned_gb(house, model, 16) for model in study.rows_by_model)
    made, linked = {}, {}
    for row, line in zip(study.rows, lines, strict=True):
        published = study.checkpoints.get(row.scheme) == "published"
        if published:
            linked[line["checkpoint"]] = line["gigabytes"]
        elif not toolkits.links(house.toolkit(row)):
            made[line["checkpoint"]] = line["gigabytes"]
    store = models + sum(linked.values())
    whole, largest = sum(made.values()), max(made.values(), default=0)
    fetched = f" and {len(linked)} published checkpoints" if linked else ""
    ends, at_once = f"{gb(store)} in the end", f"at most {gb(store + largest)} if one job runs at a time"
    return [
        f"disk: {gb(store)} of unquantized models{fetched} in the store, {gb(whole)} of {len(made)} checkpoints made",
        f"  keep_checkpoints: true   {gb(store + whole)} in the end",
        f"  keep_checkpoints: false  {ends}, {at_once}, up to {gb(store + whole)} if all are made before one is evaluated",
    ]


def gb(gigabytes: float) -> str:
    return f"{gigabytes:,.1f} GB" if gigabytes >= 1 else f"{gigabytes:.3f} GB"


def planned_gb(house: grid.House, model: str, bits: int) -> float:
    """Estimated size of a model's weights, in 10^9 bytes."""
    return sizes.planned_bytes(house.models[model]["architecture"], bits)["total"] / 1e9


def table(lines: list[dict], total: bool = False) -> str:
    """Lines of a plain table for a terminal, with a sum of its numbers if asked."""
    heads = list(lines[0])
    body = [dict(zip(heads, heads, strict=True)), *lines]
    if total:
        body.append({head: sum(line[head] for line in lines) if head != heads[0] else "total" for head in heads})
    widest = {head: max(len(str(line[head])) for line in body) for head in heads}
    return "\n".join("  ".join(f"{line[head]!s:<{widest[head]}}" for head in heads).rstrip() for line in body)


def show(house: grid.House, study: grid.Study, cluster: dict, out: Path) -> None:
    """Print the plan and write it as CSV.

    Raises
    ------
    UserError
        If a row cannot run as the study asks for it.
    """
    lines = plan(house, study, cluster)
    with records.atomic(out) as stream:
        writer = csv.DictWriter(stream, lines[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    print(f"study {study.name}: {study.title} (protocol {study.protocol}, stack {study.stack})\n")
    print(table(counts(study), total=True), table(lines), sep="\n\n")
    print(f"\n{len(study.cells)} cells of {len(lines)} checkpoints; as CSV: {out}", *disk(house, study, lines), sep="\n")
    print(judged(lines))
    refused = [line for line in lines if "refused:" in line["verdict"]]
    if refused:
        first = refused[0]
        name = f"{first['model']}/{first['scheme']}"
        raise UserError(
            f"{len(refused)} rows cannot run on stack {study.stack}, first {name}: {first['verdict']}",
            f"config/studies/{study.name}.yaml",
            "change the recipe by `recipe_settings`, or take another stack",
        )


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.study", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    for name, text in (
        ("rows", "the lines of the study's tables, as JSON"),
        ("plan", "what the study takes, and what is against it"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--study", required=True)
        command.add_argument("--out", required=True, type=Path)
    counting = commands.add_parser("show", help="its cells by model")
    counting.add_argument("--study", required=True)
    commands.choices["plan"].add_argument("--cluster", help="entry of config/clusters.yaml; the first if left out")
    return top


def main() -> None:
    args = parser().parse_args()
    house = grid.load()
    study = house.study(args.study)
    if args.command == "rows":
        records.write_json(args.out, rows(house, study))
    elif args.command == "show":
        print(f"study {study.name}: {study.title}\n{table(counts(study), total=True)}\n{len(study.cells)} cells")
    else:
        show(house, study, resources.cluster_of(house, args.cluster), args.out)


if __name__ == "__main__":
    sys.exit(errors.run(main))
