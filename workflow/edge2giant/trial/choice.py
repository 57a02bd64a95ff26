"""What `make try` runs: benchmarks by the name of a set, methods by the stack, and of these what can run here."""

from collections.abc import Iterable
from typing import Any

from edge2giant.config import Config
from edge2giant.config.checks import FP16
from edge2giant.errors import UserError, unknown
from edge2giant.plan import quantize
from edge2giant.plan.overview import Overview
from edge2giant.quantize import changes, preflight
from edge2giant.schemes.limits import REFUSED
from edge2giant.specs.variant import Variant

QUICK = ("mmlu", "gsm8k", "ifeval", "mmlu_pro", "wikitext", "divergence")
"""What says most for its time: two sets of choices, two of written answers, perplexity, divergence on 50 thousand tokens."""
QUICK_WINDOWS = 98
LEADERBOARD = ("leaderboard_v1", "leaderboard_v2")
METHODS = {
    "cpu": (FP16, "rtn/w4a16", "fp8-dynamic/w8a8", "gptq-llmcompressor/w4a16", "smoothquant/w8a8"),
    "current": (
        FP16, "fp8-dynamic/w8a8", "smoothquant/w8a8", "gptq-llmcompressor/w8a16", "gptq-llmcompressor/w4a16",
        "awq-llmcompressor/w4a16", "nvfp4-llmcompressor/w4a16",
    ),
}  # fmt: skip
"""By stack, cheapest first."""
GROUPS = (64, 32)
"""Sizes of groups to take, the larger first, where a recipe's own does not divide a model's layers."""


def words(asked: str) -> list[str]:
    """Names given with commas or spaces."""
    return asked.replace(",", " ").split()


def benchmarks(config: Config, asked: str) -> tuple[str, ...]:
    """Benchmarks of a set (`quick`, `leaderboard`), of suites, or by their names, in the order of benchmarks.yaml."""
    chosen: set[str] = set()
    for word in words(asked):
        suites = LEADERBOARD if word == "leaderboard" else (word,)
        of_suites = {name for name, one in config.benchmarks.items() if one.suite in suites}
        found = set(QUICK) if word == "quick" else of_suites or {word} & set(config.benchmarks)
        if not found:
            raise unknown("set of benchmarks", word, ["quick", "leaderboard", *config.suites, *config.benchmarks], "BENCHMARKS")
        chosen |= found
    if not chosen:
        raise UserError("is empty", "BENCHMARKS", "name a set, suites or benchmarks")
    return tuple(name for name in config.benchmarks if name in chosen)


def methods(config: Config, asked: str | None, stack: str) -> tuple[str, ...]:
    """Method and bits of each variant: those asked for, by default the stack's; the unquantized model is always the first.

    Raises
    ------
    UserError
        If a method or its bits are unknown, or the stack has no environment for its toolkit.
    """
    found = []
    for word in words(asked) if asked else METHODS[stack]:
        method, _, bits = word.partition("/")
        if method not in config.methods:
            raise unknown("method", method, config.methods, "METHODS")
        widths = config.methods[method].bits
        if bits and bits not in widths:
            raise unknown(f"width of {method}", bits, widths, "METHODS")
        if (toolkit := config.methods[method].toolkit) not in config.stacks[stack].environments:
            raise UserError(f"stack {stack} has no environment for toolkit {toolkit}", f"METHODS, {word}", "take another method")
        found += [f"{method}/{one}" for one in ([bits] if bits else widths)]
    return tuple(dict.fromkeys([FP16, *found]))


def group_sizes(config: Config, overview: Overview, model: str) -> dict[str, dict[str, Any]]:
    """Groups of another size for recipes whose own does not divide the model's layers, where one does."""
    facts, found = config.models[model].facts, {}
    for variant in overview.study.variants:
        recipe, calibration = quantize.base_recipe(config, variant)
        takes = changes.taken(config.toolkit(variant), recipe, calibration is not None)
        size = quantize.scheme(config, overview.study, variant).group_size
        if "group_size" not in takes or size <= 0 or preflight.divides(size, facts):
            continue
        if fits := next((one for one in GROUPS if one < size and preflight.divides(one, facts)), None):
            found[variant.method_bits] = {"group_size": fits}
    return found


def refused(overview: Overview) -> dict[str, str]:
    """Method and bits of the variants that cannot run here, with the reason."""
    lines = {f"{line['variant']}": line["verdict"] for line in overview.lines}
    return {name: verdict for name, verdict in lines.items() if f"{REFUSED}: " in verdict}


def calibrated_by(config: Config, overview: Overview, sets: Iterable[str]) -> list[str]:
    """Method and bits whose calibration text is one of some sets."""
    specs = {one: quantize.checkpoint_spec(config, overview.study, one) for one in overview.study.variants}
    return [one.method_bits for one, spec in specs.items() if spec.calibration and spec.calibration.name in set(sets)]


def environments(config: Config, stack: str, variants: Iterable[Variant]) -> list[str]:
    """Environments that the jobs of some variants need."""
    toolkits = ["evaluate", *(config.toolkit(one) for one in variants)]
    return list(dict.fromkeys(config.environment(stack, one) for one in toolkits))
