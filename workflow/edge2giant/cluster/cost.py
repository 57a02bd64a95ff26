"""What a study cost, beside what it was forecast to cost: a CSV line for each step, sums for tables and phases, and a figure."""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from edge2giant import records
from edge2giant.cluster.forecast import Forecast, Line
from edge2giant.errors import UserError
from edge2giant.plan import evaluate
from edge2giant.records.cell import CellRecord, Cost
from edge2giant.records.checkpoint import CheckpointRecord
from edge2giant.specs.variant import Cell, Variant

if TYPE_CHECKING:
    from edge2giant.config import Config, Study

HOUR = 3600
COLOURS = ("#4477aa", "#ccbb44", "#228833", "#ee6677", "#aa3377", "#66ccee", "#bbbbbb")
LABELS = {"quantize": "making checkpoints", "load": "starting engines"}
QUANTITIES = ("forecast_seconds", "forecast_gpu_seconds", "seconds", "gpu_seconds")


def measure(lines: list[Line], config: "Config", results: Path, cells: dict[Variant, dict[str, CellRecord]]) -> None:
    """Fill in what the cells and checkpoints of a run say; what does not exist stays None."""
    for line in lines:
        found = cells[Variant(line.model, line.method, line.bits)]
        if line.step == "cell" and (cell := found.get(line.benchmark)):
            line.measure(cell.cost.seconds, cell.cost.gpu_count, cell.cost.gpu_name)
        if line.step == "load":
            batches = {name: (evaluate.WHOLE, name, config.benchmarks[name].suite) for name in found}
            _measure_start(line, [cell.cost for name, cell in found.items() if line.benchmark in batches[name]])
        if line.step == "quantize":
            _measure_making(line, results, {cell.checkpoint.digest for cell in found.values()})


def _measure_start(line: Line, served: list[Cost]) -> None:
    """An engine's start is counted once for the cells that it served: those of one batch carry the same seconds."""
    if served:
        seconds = dict.fromkeys(cost.load_seconds for cost in served)
        line.measure(sum(seconds), served[0].gpu_count, served[0].gpu_name)


def _measure_making(line: Line, results: Path, digests: set[str]) -> None:
    """The making of the checkpoint that the variant's cells scored, or of the only one there is."""
    # A record beside the checkpoint's folder outlives the weights.
    for path in sorted((results / "checkpoints" / line.model / line.method / line.bits).glob("*.json")):
        record = records.read(path, CheckpointRecord)
        if not digests or record.digest in digests:
            line.measure(record.seconds.total, 1 if record.memory.peak_gpu_bytes else 0, None)


def _cells(study: "Study", variant: Variant, results: Path) -> dict[str, CellRecord]:
    """A variant's finished cells by benchmark."""
    paths = {name: results / Cell(study.name, variant, name).path for name in study.scored(variant)}
    return {name: records.read(path, CellRecord) for name, path in paths.items() if path.is_file()}


def counted(cells: dict[Variant, dict[str, CellRecord]]) -> dict[str, tuple[float, float]]:
    """Computed and generated tokens of each benchmark, as its finished cells have counted them on average."""
    tokens = defaultdict(list)
    for found in cells.values():
        for benchmark, cell in found.items():
            tokens[benchmark].append((cell.cost.tokens_in - cell.cost.tokens_cached, cell.cost.tokens_out))
    return {benchmark: tuple(map(mean, zip(*each, strict=True))) for benchmark, each in tokens.items()}


def groups(lines: list[Line]) -> dict[str, list[Line]]:
    """Lines by phase, then by the place of their numbers."""
    names = dict.fromkeys([*LABELS, *(line.group for line in lines)])
    return {name: found for name in names if (found := [line for line in lines if line.group == name])}


def total(lines: Iterable[Line], quantity: str) -> float | None:
    """A sum over what is known; None if nothing is."""
    known = [value for line in lines if (value := getattr(line, quantity)) is not None]
    return sum(known) if known else None


def sentences(lines: list[Line]) -> list[str]:
    """Lines for the terminal: forecast GPU-hours by table and GPU type, and what was measured."""
    found = []
    for group, members in groups(lines).items():
        text = f"{LABELS.get(group, group)}: {_forecast(members)}"
        if done := sum(line.seconds is not None for line in members):
            text += f"; measured {_hours(total(members, 'gpu_seconds'))} GPU-hours and {_hours(total(members, 'seconds'))} hours"
            text += f" for {done} of {len(members)}"
        found.append(text)
    return found


def _forecast(members: list[Line]) -> str:
    seconds, gpu_seconds = total(members, "forecast_seconds"), total(members, "forecast_gpu_seconds")
    if seconds is None:
        return "no forecast"
    if not gpu_seconds:
        return f"about {_hours(seconds)} hours forecast, without GPU"
    by_type = defaultdict(float)
    for line in members:
        by_type[line.gpu] += line.forecast_gpu_seconds or 0
    types = ", ".join(f"{name} {_hours(value)}" for name, value in sorted(by_type.items()) if value)
    return f"about {_hours(gpu_seconds)} GPU-hours forecast ({types})"


def _hours(seconds: float) -> str:
    hours = seconds / HOUR
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"


def write_csv(lines: list[Line], path: Path) -> None:
    """One line for each step, and one for each sum (step `sum`)."""
    sums = [
        {"step": "sum", "place": LABELS.get(group, group)} | {quantity: total(members, quantity) for quantity in QUANTITIES}
        for group, members in groups(lines).items()
    ]
    records.write_csv(path, [*map(asdict, lines), *sums])


def draw(lines: list[Line], title: str, prefix: Path) -> None:
    """Bars by model: forecast and measured GPU-hours (hours of wall time where no GPU took part), stacked by phase and table."""
    from edge2giant.paper import plotting
    from edge2giant.paper.plotting import plt

    plotting.use_style()
    unit = "gpu_seconds" if any(line.gpu_seconds or line.forecast_gpu_seconds for line in lines) else "seconds"
    models = list(dict.fromkeys(line.model for line in lines))
    bars = {name: key for name, key in (("forecast", f"forecast_{unit}"), ("measured", unit)) if total(lines, key)}
    height = 0.8 / max(1, len(bars))
    figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.32 * len(models) * max(1, len(bars))), layout="constrained")
    for number, (name, key) in enumerate(bars.items()):
        places = [index + (number - (len(bars) - 1) / 2) * height for index in range(len(models))]
        left = [0.0] * len(models)
        for (group, members), colour in zip(groups(lines).items(), itertools.cycle(COLOURS), strict=False):
            hours = [(total((line for line in members if line.model == model), key) or 0) / HOUR for model in models]
            label, alpha = LABELS.get(group, group) if number == 0 else None, 0.55 if name == "forecast" and len(bars) > 1 else 1
            axes.barh(places, hours, height * 0.9, left, color=colour, alpha=alpha, label=label)
            left = [a + b for a, b in zip(left, hours, strict=True)]
    axes.set_yticks(range(len(models)), models)
    axes.invert_yaxis()
    axes.set_xlabel(f"{'GPU-hours' if unit == 'gpu_seconds' else 'hours'} ({' above '.join(bars) or 'nothing known'})")
    axes.set_title(title)
    if bars:
        axes.legend(frameon=False)
    plotting.save(figure, prefix, ("svg", "png", "pdf"))


def report(config: "Config", study: "Study", cluster_name: str | None, batch: str, results: Path, prefix: Path) -> list[str]:
    """Write `<prefix>.csv` and the figure; return lines for the terminal."""
    if not study.variants:
        raise UserError("has no variants", f"study {study.name}")
    cluster = config.cluster(cluster_name)
    cells = {variant: _cells(study, variant, results) for variant in study.variants}
    lines = Forecast(config, study, cluster, batch, counted(cells)).lines()
    measure(lines, config, results, cells)
    write_csv(lines, prefix.with_name(f"{prefix.name}.csv"))
    draw(lines, f"Study {study.name} on {cluster.title}", prefix)
    return sentences(lines)
