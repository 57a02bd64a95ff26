"""What a study cost, beside what it was forecast to cost: a CSV line for each step, sums for tables and phases, and a figure."""

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from edge2giant import records
from edge2giant.cluster import forecast
from edge2giant.cluster.forecast import Line
from edge2giant.errors import UserError
from edge2giant.specs.variant import Variant

if TYPE_CHECKING:
    from edge2giant.config import Config, Study

HOUR = 3600
ORDER = ("quantize", "load", "Table 1", "Table 2", "Figure 2")
LABELS = {"quantize": "making checkpoints", "load": "starting engines"}


def measure(lines: list[Line], config: "Config", results: Path, cells: dict[Variant, dict[str, dict]]) -> None:
    """Fill in what the cells and checkpoints of a run say; what does not exist stays None."""
    for line in lines:
        found = cells[Variant(line.model, line.method, line.bits)]
        if line.step == "cell" and (cost := found.get(line.benchmark)):
            _take(line, cost["seconds"], cost["gpu_count"], cost["gpu_name"])
        if line.step == "load":
            _take_load(line, found, config)
        if line.step == "quantize":
            _take_making(line, results, found)


def _take(line: Line, seconds: float, gpus: int, name: str | None) -> None:
    line.seconds, line.gpu_seconds, line.measured_on = round(seconds, 1), round(seconds * gpus, 1), name or "cpu"


def _cells(study: "Study", variant: Variant, results: Path) -> dict[str, dict]:
    """Costs of a variant's finished cells, with the checkpoint that they scored."""
    found = {}
    for benchmark in study.benchmarks_of(variant):
        path = results / study.name / "cells" / variant.path / f"{benchmark}.json"
        if path.is_file():
            record = records.read_json(path)
            found[benchmark] = record["cost"] | {"digest": record["checkpoint"]["digest"]}
    return found


def counted(cells: dict[Variant, dict[str, dict]]) -> dict[str, tuple[float, float]]:
    """Computed and generated tokens of each benchmark, as its finished cells have counted them on average."""
    costs: dict[str, list[dict]] = {}
    for found in cells.values():
        for benchmark, cost in found.items():
            costs.setdefault(benchmark, []).append(cost)
    return {
        benchmark: (mean(cost["tokens_in"] - cost["tokens_cached"] for cost in found), mean(cost["tokens_out"] for cost in found))
        for benchmark, found in costs.items()
    }


def _take_load(line: Line, found: dict[str, dict], config: "Config") -> None:
    """An engine's start is counted once for the cells that it served: those of one batch carry the same seconds."""
    served = [cost for name, cost in found.items() if line.benchmark in ("all", name, config.benchmarks[name].suite)]
    starts = {cost["load_seconds"]: cost for cost in served}
    if starts:
        first = next(iter(starts.values()))
        _take(line, sum(starts), first["gpu_count"], first["gpu_name"])


def _take_making(line: Line, results: Path, found: dict[str, dict]) -> None:
    """The making of the checkpoint that the variant's cells scored, or of the only one there is."""
    wanted = {cost["digest"] for cost in found.values()}
    folder = results / "checkpoints" / line.model / line.method / line.bits
    for path in sorted([*folder.glob("*/checkpoint.json"), *folder.glob("*.json")]):  # the second outlives the weights
        record = json.loads(path.read_text(encoding="utf-8"))
        if not wanted or record["digest"] in wanted:
            gpus = 1 if (record.get("memory") or {}).get("peak_gpu_bytes") else 0
            _take(line, record["seconds"]["total"], gpus, None)


def totals(lines: Iterable[Line]) -> dict[str, dict[str, float | None]]:
    """GPU-seconds and seconds by phase and table; a sum over nothing known is None."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.place or line.step, []).append(line)
    names = ("forecast_seconds", "forecast_gpu_seconds", "seconds", "gpu_seconds")
    return {key: {name: _sum(getattr(line, name) for line in groups[key]) for name in names} for key in ORDER if key in groups}


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def sentences(lines: list[Line]) -> list[str]:
    """Lines for the terminal: forecast GPU-hours by table and GPU type, and what was measured."""
    found = []
    for key, sums in totals(lines).items():
        members = [line for line in lines if (line.place or line.step) == key]
        text = f"{LABELS.get(key, key)}: "
        text += _forecast(sums)
        if by_type := _by_type(members):
            text += f" ({', '.join(f'{name} {_hours(value)}' for name, value in by_type.items())})"
        done = sum(line.seconds is not None for line in members)
        if done:
            text += f"; measured {_hours(sums['gpu_seconds'])} GPU-hours and {_hours(sums['seconds'])} hours"
            text += f" for {done} of {len(members)}"
        found.append(text)
    return found


def _forecast(sums: dict[str, float | None]) -> str:
    if sums["forecast_seconds"] is None:
        return "no forecast"
    if sums["forecast_gpu_seconds"]:
        return f"about {_hours(sums['forecast_gpu_seconds'])} GPU-hours forecast"
    return f"about {_hours(sums['forecast_seconds'])} hours forecast, without GPU"


def _by_type(members: list[Line]) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in members:
        if line.gpu and line.forecast_gpu_seconds:
            found[line.gpu] = found.get(line.gpu, 0) + line.forecast_gpu_seconds
    return dict(sorted(found.items()))


def _hours(seconds: float | None) -> str:
    hours = (seconds or 0) / HOUR
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"


def write_csv(lines: list[Line], path: Path) -> None:
    """One line for each step, and one for each sum (step `sum`)."""
    sums = [{"step": "sum", "place": LABELS.get(place, place)} | found for place, found in totals(lines).items()]
    records.write_csv(path, [*(line.record() for line in lines), *sums])


def draw(lines: list[Line], title: str, prefix: Path) -> None:
    """Bars by model: forecast and measured GPU-hours (hours of wall time where no GPU took part), stacked by phase and table."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    unit = "gpu_seconds" if any(line.gpu_seconds or line.forecast_gpu_seconds for line in lines) else "seconds"
    models = list(dict.fromkeys(line.model for line in lines))
    bars = [("forecast", f"forecast_{unit}"), ("measured", unit)]
    bars = [(name, key) for name, key in bars if _sum(getattr(line, key) for line in lines)]
    figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.32 * len(models) * max(1, len(bars))), layout="constrained")
    colours = dict(zip(ORDER, ("#4477aa", "#ccbb44", "#228833", "#ee6677", "#aa3377"), strict=True))
    thickness = 0.8 / max(1, len(bars))
    for number, (name, key) in enumerate(bars):
        left = [0.0] * len(models)
        for group in ORDER:
            values = [_hours_of(lines, model, group, key) for model in models]
            places = [index + (number - (len(bars) - 1) / 2) * thickness for index in range(len(models))]
            label = LABELS.get(group, group) if number == 0 else None
            axes.barh(
                places,
                values,
                thickness * 0.9,
                left,
                color=colours[group],
                alpha=0.55 if name == "forecast" and len(bars) > 1 else 1,
                label=label,
            )
            left = [a + b for a, b in zip(left, values, strict=True)]
    axes.set_yticks(range(len(models)), models)
    axes.invert_yaxis()
    axes.set_xlabel(
        f"{'GPU-hours' if unit == 'gpu_seconds' else 'hours'} ({' above '.join(name for name, _ in bars) or 'nothing known'})"
    )
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    if bars:
        axes.legend(frameon=False, fontsize=8)
    for suffix in ("svg", "png", "pdf"):
        figure.savefig(f"{prefix}.{suffix}", dpi=200)
    plt.close(figure)


def _hours_of(lines: list[Line], model: str, group: str, key: str) -> float:
    return (_sum(getattr(line, key) for line in lines if line.model == model and (line.place or line.step) == group) or 0) / HOUR


def report(config: "Config", study: "Study", cluster_name: str | None, batch: str, results: Path, prefix: Path) -> list[str]:
    """Write `<prefix>.csv` and the figure; return lines for the terminal.

    Raises
    ------
    UserError
        If a variant fits nowhere on the cluster.
    """
    if not study.variants:
        raise UserError("has no variants", f"study {study.name}")
    cluster = config.cluster(cluster_name)
    cells = {variant: _cells(study, variant, results) for variant in study.variants}
    lines = forecast.lines(config, study, cluster, config.workload, batch, counted(cells))
    measure(lines, config, results, cells)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    write_csv(lines, prefix.with_name(f"{prefix.name}.csv"))
    draw(lines, f"Study {study.name} on {cluster.title}", prefix)
    return sentences(lines)
