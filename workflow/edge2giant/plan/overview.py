"""What a study takes, and what is known against it, before it runs: `snakemake plan`.

Reads the configuration as it is now: no weights, no network, no results.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from edge2giant import environments, errors, records
from edge2giant.config import Config, Study
from edge2giant.config.clusters import Cluster
from edge2giant.errors import UserError
from edge2giant.plan import quantize, resources
from edge2giant.plan.placement import Placement
from edge2giant.quantize import preflight, sizes, toolkits
from edge2giant.schemes.limits import DEGRADED, REFUSED
from edge2giant.schemes.scheme import Scheme
from edge2giant.schemes.unquantized import SixteenBits
from edge2giant.specs.variant import Variant

FALLBACK = "fallback"
LEVELS = (FALLBACK, DEGRADED, REFUSED)


def counts(config: Config, study: Study) -> list[dict]:
    """Checkpoints of each model, and its cells of each suite."""
    by_model = Counter((cell.variant.model, config.benchmarks[cell.benchmark].suite) for cell in study.cells)
    checkpoints = Counter(variant.model for variant in study.variants)
    suites = {config.benchmarks[name].suite for name in study.benchmarks}
    shown = {name: f"{suite.short_label} cells" for name, suite in config.suites.items() if name in suites}
    return [
        {"model": model, "checkpoints": checkpoints[model]} | {label: by_model[model, name] for name, label in shown.items()}
        for model in checkpoints
    ]


def lines_of(config: Config, study: Study, cluster: Cluster) -> list[dict]:
    """What each variant takes: environment, bytes, GPUs, cells, and what is known against it (`quantize.preflight`)."""
    return [line_of(config, study, variant, cluster) for variant in study.variants]


def line_of(config: Config, study: Study, variant: Variant, cluster: Cluster) -> dict:
    """The plan of one variant."""
    spec, scheme = quantize.checkpoint_spec(config, study, variant), quantize.scheme(config, study, variant)
    jobs = (resources.quantize_job(config, spec), resources.evaluate_job(config, study, variant))
    requests = resources.Requests(config, cluster)
    places = {job.phase: requests.place(job) for job in jobs}
    return {
        "model": variant.model,
        "variant": variant.method_bits,
        "scheme": scheme.label,
        "environment": spec.environment,
        "checkpoint": spec.folder,
        "gigabytes": round(planned_gb(config, variant.model, scheme), 3),
        "quantize on": in_words(places["quantize"]),
        "evaluate on": in_words(places["evaluate"]),
        "cells": len(study.benchmarks_of(variant)),
        "verdict": "; ".join(findings(config, study, variant, places, cluster)) or "ok",
    }


def findings(config: Config, study: Study, variant: Variant, places: dict, cluster: Cluster) -> list[str]:
    """What is known against a variant, and where the study leaves the recipe because of it."""
    changed = study.recipe_settings.get(variant.method_bits)
    verdicts = known_against(config, study, variant, changed, places, cluster)
    found = [f"{v.level}: {v.reason} ({v.hint})" for v in verdicts]
    if changed:
        avoided = [v.reason for v in known_against(config, study, variant, None, places, cluster) if v not in verdicts]
        change = ", ".join(f"{key} {json.dumps(value)}" for key, value in changed.items())
        found.append(f"{FALLBACK}: {change}" + (f", since {', '.join(avoided)}" if avoided else ""))
    return found


def totals(lines: list[dict]) -> str:
    """How many variants have which verdict."""
    found = {level: sum(f"{level}: " in line["verdict"] for line in lines) for level in LEVELS}
    fine = sum(line["verdict"] == "ok" for line in lines)
    several = sum(found.values()) + fine - len(lines)
    text = f"{len(lines)} variants: {fine} ok, " + ", ".join(f"{count} {level}" for level, count in found.items())
    return text + (f" ({several} with two verdicts)" if several else "")


def in_words(place: Placement | None) -> str:
    """GPUs of a job."""
    if place is None:
        return "CPU"
    return f"{place.gpus} x {place.gpu}" + (f" on {place.nodes} nodes" if place.nodes > 1 else "")


def known_against(
    config: Config, study: Study, variant: Variant, settings: dict | None, places: dict, cluster: Cluster
) -> list[preflight.Verdict]:
    """Verdicts on making a variant's checkpoint and on loading it, each on the hardware it is placed on.

    The config.json of a published checkpoint is not fetched yet, so it is judged by its recipe.
    """
    stack, environment = config.stacks[study.stack], config.environment(study.stack, "evaluate")
    spec = quantize.made_spec(config, study, variant, settings)
    scheme = toolkits.module(spec.toolkit).scheme(spec.recipe)

    def device(phase: str) -> str:
        place = places[phase]
        return f"cuda:{cluster.partitions[place.partition].compute_capability}" if place else "cpu"

    published = study.checkpoints.get(variant.method_bits) == "published"
    making = [] if published else toolkits.check_making(spec.toolkit, variant.model, device("quantize"))
    loading = preflight.check(scheme, stack.engine, stack.engine_version, device("evaluate"))
    present = set(environments.distributions(environment, config.root))
    return making + preflight.without_met_needs(loading, environment, present)


def disk(config: Config, study: Study, lines: list[dict]) -> list[str]:
    """What the study takes of a disk, in words. Checkpoints that only link to the store take nothing of their own."""
    models = sum(planned_gb(config, model, SixteenBits()) for model in study.models)
    made, linked = {}, {}
    for variant, line in zip(study.variants, lines, strict=True):
        if study.checkpoints.get(variant.method_bits) == "published":
            linked[line["checkpoint"]] = line["gigabytes"]
        elif not toolkits.links(config.toolkit(variant)):
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


def planned_gb(config: Config, model: str, scheme: Scheme) -> float:
    """Estimated size of a model's weights, in 10^9 bytes."""
    return sizes.planned_bytes(config.models[model].facts, scheme)["total"] / 1e9


def table(lines: list[dict], total: bool = False) -> str:
    """Lines of a plain table for a terminal, with a sum of its numbers where `total`."""
    heads = list(lines[0])
    body = [dict(zip(heads, heads, strict=True)), *lines]
    if total:
        body.append({head: sum(line[head] for line in lines) if head != heads[0] else "total" for head in heads})
    widest = {head: max(len(str(line[head])) for line in body) for head in heads}
    return "\n".join("  ".join(f"{line[head]!s:<{widest[head]}}" for head in heads).rstrip() for line in body)


def show(config: Config, study: Study, cluster: Cluster, out: Path) -> None:
    """Print the plan and write it as CSV.

    Raises
    ------
    UserError
        If a variant cannot run as the study asks for it.
    """
    lines = lines_of(config, study, cluster)
    records.write_csv(out, lines)
    print(f"study {study.name}: {study.title} (protocol {study.protocol}, stack {study.stack})\n")
    print(table(counts(config, study), total=True), table(lines), sep="\n\n")
    print(f"\n{len(study.cells)} cells of {len(lines)} checkpoints; as CSV: {out}", *disk(config, study, lines), sep="\n")
    print(totals(lines))
    refused = [line for line in lines if "refused:" in line["verdict"]]
    if refused:
        first = refused[0]
        name = f"{first['model']}/{first['variant']}"
        raise UserError(
            f"{len(refused)} variants cannot run on stack {study.stack}, first {name}: {first['verdict']}",
            f"config/studies/{study.name}.yaml",
            "change the recipe by `recipe_settings`, or take another stack",
        )


def main() -> None:
    from edge2giant import config as configuration

    top = argparse.ArgumentParser(prog="python -m edge2giant.plan.overview", description=__doc__)
    top.add_argument("--study", required=True)
    top.add_argument("--cluster", help="entry of config/clusters.yaml; the first if left out")
    top.add_argument("--out", required=True, type=Path, help="CSV to write")
    options = top.parse_args()
    config = configuration.load()
    show(config, config.study(options.study), config.cluster(options.cluster), options.out)


if __name__ == "__main__":
    sys.exit(errors.run(main))
