"""What a study takes, and what is known against it, before it runs: `snakemake plan`.

Reads the configuration as it is now: no weights, no network, no results.
"""

import argparse
import sys
from collections import Counter
from functools import cached_property
from pathlib import Path

from edge2giant import environments, errors, records
from edge2giant.config import Config, Study, load
from edge2giant.config.clusters import Cluster
from edge2giant.errors import UserError
from edge2giant.plan import evaluate, quantize, repeats, resources
from edge2giant.plan.placement import Placement
from edge2giant.quantize import preflight, sizes, toolkits
from edge2giant.schemes.limits import DEGRADED, REFUSED
from edge2giant.schemes.scheme import Scheme
from edge2giant.schemes.unquantized import SixteenBits
from edge2giant.specs.variant import Variant

FALLBACK, CUSTOM = "fallback", "custom"
LEVELS = (REFUSED, DEGRADED, FALLBACK, CUSTOM)
"""Worst first; a variant counts as its worst."""


class Overview:
    """What a study takes on one cluster."""

    def __init__(self, config: Config, study: Study, cluster: Cluster):
        self.config, self.study, self.cluster = config, study, cluster
        self.requests = resources.Requests(config, cluster)
        self.environment = config.environment(study.stack, "evaluate")
        self.packages = set(environments.distributions(self.environment))

    def counts(self) -> list[dict]:
        """Checkpoints of each model, and its cells of each suite."""
        entries = self.config.benchmarks
        by_model = Counter((cell.variant.model, entries[cell.benchmark].suite) for cell in self.study.cells)
        suites = {entries[name].suite for name in self.study.benchmarks}
        shown = {name: f"{suite.short_label} cells" for name, suite in self.config.suites.items() if name in suites}
        return [
            {"model": model, "checkpoints": count} | {label: by_model[model, name] for name, label in shown.items()}
            for model, count in Counter(variant.model for variant in self.study.variants).items()
        ]

    @cached_property
    def lines(self) -> list[dict]:
        """What each variant takes: environment, bytes, GPUs, cells, and what is known against it (`quantize.preflight`)."""
        return [self._line(variant) for variant in self.study.variants]

    def _line(self, variant: Variant) -> dict:
        spec = quantize.checkpoint_spec(self.config, self.study, variant)
        scheme = quantize.scheme(self.config, self.study, variant)
        unplaced: list[str] = []
        making = self._place(resources.quantize_job(self.config, spec), unplaced)
        evaluation = self._place(resources.evaluate_job(self.config, self.study, variant), unplaced)
        known = self._findings(variant, self._device(making), self._device(evaluation))
        return {
            "model": variant.model,
            "variant": variant.method_bits,
            "scheme": scheme.label,
            "environment": spec.environment,
            "checkpoint": spec.folder,
            "gigabytes": round(self._planned_gb(variant.model, scheme), 3),
            "quantize on": in_words(making),
            "evaluate on": "nowhere" if unplaced else in_words(evaluation),
            "BOS": {True: "yes", False: "no", None: "tokenizer's rule"}[self._bos(variant.model)],
            "cells": len(self.study.scored(variant)),
            "verdict": "; ".join(unplaced + known) or "ok",
        }

    def _bos(self, model: str) -> bool | None:
        return self.config.protocols[self.study.protocol].needs_bos(self.config.models[model].facts.model_type)

    def _place(self, job: resources.Job, unplaced: list[str]) -> Placement | None:
        """GPUs of a job; why there are none goes to `unplaced`."""
        try:
            return self.requests.place(job)
        except UserError as error:
            unplaced.append(f"{REFUSED}: {error.what} ({error.hint})")
            return None

    def _device(self, place: Placement | None) -> str:
        return f"cuda:{self.cluster.partitions[place.partition].compute_capability}" if place else "cpu"

    def _findings(self, variant: Variant, *devices: str) -> list[str]:
        """What is known against a variant, and where the study leaves the recipe because of it."""
        changed = quantize.changes_of(self.config, self.study, variant)
        verdicts = self._verdicts(variant, changed, *devices)
        found = [f"{v.level}: {v.reason} ({v.hint})" for v in verdicts]
        if changed:
            avoided = [v.reason for v in self._verdicts(variant, None, *devices) if v not in verdicts]
            change = quantize.in_words(changed)
            found.append(f"{FALLBACK}: {change}, since {', '.join(avoided)}" if avoided else f"{CUSTOM}: {change}")
        return found

    def _verdicts(self, variant: Variant, settings: dict | None, makes: str, evaluates: str) -> list[preflight.Verdict]:
        """Verdicts on making a variant's checkpoint and on loading it, each on the device that it is placed on.

        The config.json of a published checkpoint is not fetched yet, so it is judged by its recipe.
        """
        stack, spec = self.config.stacks[self.study.stack], quantize.made_spec(self.config, self.study, variant, settings)
        facts = self.config.models[variant.model].facts
        published = self.study.checkpoints.get(variant.method_bits) == "published"
        making = [] if published else toolkits.check_making(spec.toolkit, facts, spec.recipe, makes)
        scheme = quantize.scheme_of(spec, facts)
        loading = preflight.check(scheme, stack.engine, stack.engine_version, evaluates)
        fits = preflight.check_groups(scheme, facts) + preflight.check_layers(scheme, facts)
        fits += preflight.check_joined(scheme, facts, stack.engine)
        dtype = evaluate.engine_spec(self.config, self.study, variant.model).settings["dtype"]
        precision = preflight.check_precision(facts, dtype, "evaluated")
        return making + fits + preflight.without_met_needs(loading, self.environment, self.packages) + precision

    def hardware(self) -> list[dict]:
        """What the engine does with each scheme of the study on each kind of GPU of the cluster."""
        stack = self.config.stacks[self.study.stack]
        if stack.device == "cpu":
            return []
        found = [quantize.scheme(self.config, self.study, variant) for variant in self.study.variants]
        schemes = {scheme.label: scheme for scheme in found}
        capabilities = {name: entry.compute_capability for name, entry in self.cluster.partitions.items()}

        def answer(scheme: Scheme, capability: str) -> str:
            verdicts = preflight.check(scheme, stack.engine, stack.engine_version, f"cuda:{capability}")
            levels = {verdict.level for verdict in verdicts}
            return "refused" if REFUSED in levels else "other kernels" if DEGRADED in levels else "native"

        return [
            {"scheme": label} | {f"{name} ({cap})": answer(scheme, cap) for name, cap in capabilities.items()}
            for label, scheme in schemes.items()
        ]

    def _planned_gb(self, model: str, scheme: Scheme) -> float:
        """Estimated size of a model's weights, in 10^9 bytes."""
        return sizes.planned_bytes(self.config.models[model].facts, scheme)["total"] / 1e9

    def disk(self) -> list[str]:
        """What the study takes of a disk, in words. Checkpoints that only link to the store take nothing of their own."""
        models = sum(self._planned_gb(model, SixteenBits()) for model in self.study.models)
        made, linked = {}, {}
        for variant, line in zip(self.study.variants, self.lines, strict=True):
            if self.study.checkpoints.get(variant.method_bits) == "published":
                linked[line["checkpoint"]] = line["gigabytes"]
            elif not toolkits.links(self.config.toolkit(variant)):
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


def totals(lines: list[dict]) -> str:
    """How many variants have which verdict; one with several counts as the worst."""
    worst = Counter(next((level for level in LEVELS if f"{level}: " in line["verdict"]), "ok") for line in lines)
    shown = ("ok", *((CUSTOM,) if worst[CUSTOM] else ()), FALLBACK, DEGRADED, REFUSED)
    return f"{len(lines)} variants: " + ", ".join(f"{worst[level]} {level}" for level in shown)


def in_words(place: Placement | None) -> str:
    """GPUs of a job."""
    if place is None:
        return "CPU"
    return f"{place.gpus} x {place.gpu}" + (f" on {place.nodes} nodes" if place.nodes > 1 else "")


def gb(gigabytes: float) -> str:
    return f"{gigabytes:,.1f} GB" if gigabytes >= 1 else f"{gigabytes:.3f} GB"


def table(lines: list[dict], total: bool = False) -> str:
    """Lines of a plain table for a terminal, with a sum of its numbers where `total`."""
    heads = list(lines[0])
    body = [dict(zip(heads, heads, strict=True)), *lines]
    if total:
        body.append({head: sum(line[head] for line in lines) if head != heads[0] else "total" for head in heads})
    widest = {head: max(len(str(line[head])) for line in body) for head in heads}
    return "\n".join("  ".join(f"{line[head]!s:<{widest[head]}}" for head in heads).rstrip() for line in body)


def show(overview: Overview, out: Path) -> None:
    """Print the plan and write it as CSV.

    Raises
    ------
    UserError
        If a variant cannot run as the study asks for it.
    """
    study, lines = overview.study, overview.lines
    records.write_csv(out, lines)
    print(f"study {study.name}: {study.title} (protocol {study.protocol}, stack {study.stack})\n")
    print(table(overview.counts(), total=True), table(lines), sep="\n\n")
    if hardware := overview.hardware():
        print(f"\nkernels of {study.stack} by GPU (compute capability)\n", table(hardware), sep="\n")
    print(f"\n{len(study.cells)} cells of {len(lines)} checkpoints; as CSV: {out}", *overview.disk(), totals(lines), sep="\n")
    for name, repeat in repeats.of(overview.config, study).items():
        also = f"`snakemake plan --config study={repeat.name}`"
        print(f"repeat {name}: {len(repeat.cells)} cells of {len(repeat.variants)} checkpoints, for the noise floor ({also})")
    refused = [line for line in lines if "refused:" in line["verdict"]]
    if refused:
        first = "{model}/{variant}: {verdict}".format_map(refused[0])
        what = f"{len(refused)} of {len(lines)} variants cannot run on stack {study.stack}, first {first}"
        hint = "change the recipe by `recipe_settings`, or take another stack"
        raise UserError(what, study.file, hint)


def main() -> None:
    top = argparse.ArgumentParser(prog="python -m edge2giant.plan.overview", description=__doc__)
    top.add_argument("--study", required=True)
    top.add_argument("--cluster", help="entry of config/clusters.yaml; the first if left out")
    top.add_argument("--out", required=True, type=Path, help="CSV to write")
    options = top.parse_args()
    config = load()
    show(Overview(config, config.study(options.study), config.cluster(options.cluster)), options.out)


if __name__ == "__main__":
    sys.exit(errors.run(main))
