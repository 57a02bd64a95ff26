"""The sections of a report: scores, the paper's tables, analyses, cost, provenance and failures."""

from collections import Counter, defaultdict
from dataclasses import astuple, replace

from edge2giant.audit.report import FINDING
from edge2giant.claims.report import PART
from edge2giant.pages import grids
from edge2giant.pages.grids import Column, Grid, Section, Value
from edge2giant.paper import numerals, render, tables
from edge2giant.paper.values import Table
from edge2giant.records.cell import CellRecord, Cost
from edge2giant.records.units import UNITS
from edge2giant.report.gather import Key, ReportMaterial, page_of
from edge2giant.specs.study import FP16
from edge2giant.stats.family import REPEAT

VARIANT = [Column("Model", "choice"), Column("Method", "choice")]
BENCHMARK = Column("Benchmark", "choice")
PAGE = Column("Page", "link")
COMPARISON = {
    "verdict": Column("Verdict", "choice"),
    "model": VARIANT[0],
    "method": VARIANT[1],
    "bits": Column("Bits", "choice"),
    "benchmark": BENCHMARK,
    "regenerated": Column("regenerated", "number"),
    "published": Column("printed", "number"),
    "difference": Column("difference", "signed"),
    "difference_stderr": Column("± error", "number", "standard error of the difference"),
    "z": Column("z", "number"),
    "p_holm": Column("p (Holm)", "p"),
    "reason": Column("Why not compared", "long"),
    "remarks": Column("Remarks", "long"),
}
STATISTICS = {
    "model": VARIANT[0],
    "method_b": VARIANT[1],
    "bits_b": Column("Bits", "choice"),
    "benchmark": BENCHMARK,
    "score_a": Column("FP16", "number"),
    "score_b": Column("quantized", "number"),
    "difference": Column("difference", "signed"),
    "low": Column("low", "signed", "lower end of the 95% interval of the difference"),
    "high": Column("high", "signed", "upper end of the 95% interval of the difference"),
    "p_value": Column("p", "p"),
    "p_holm": Column("p (Holm)", "p", "over all cells; over all suites or variants for pooled rows"),
    "p_check": Column("p (check)", "p", "exact McNemar or permutation test"),
    "detectable": Column("detectable", "number", "smallest true difference that is found with 80% power"),
    "a_right_b_wrong": Column("lost", "count", "right under FP16, wrong here"),
    "a_wrong_b_right": Column("gained", "count", "wrong under FP16, right here"),
    "recovery": Column("recovery %", "number", "score in percent of the FP16 score, with its 95% interval; none near chance"),
    "questions": Column("questions", "count"),
    "clusters": Column("units", "count", "questions that share a passage are one unit"),
    "test": Column("Test", "choice"),
    "warnings": Column("Warnings", "long"),
}
NOISE = {
    REPEAT: Column("Repeat", "choice"),
    **{name: STATISTICS[name] for name in ("model", "method_b", "bits_b", "benchmark")},
    "score_a": Column("score", "number"),
    "score_b": Column("again", "number"),
    **{name: STATISTICS[name] for name in ("difference", "low", "high", "p_value")},
    "a_right_b_wrong": Column("lost", "count", "right at first, wrong again"),
    "a_wrong_b_right": Column("gained", "count", "wrong at first, right again"),
    "agreement": Column("equal answers", "number", "share of answers that are the same", digits=4),
    **{name: STATISTICS[name] for name in ("questions", "clusters", "warnings")},
}
PRINTED = (Column("printed", "number", digits=None), Column("against printed", "signed"))
SCORES = [
    *VARIANT,
    BENCHMARK,
    Column("Score", "number"),
    Column("± error", "number", "standard error"),
    Column("against FP16", "signed"),
    *PRINTED,
    Column("Questions", "count"),
    Column("Seconds", "number", digits=1),
    Column("Warnings", "count"),
    PAGE,
]
COST = [
    *VARIANT,
    *(Column(name, "count") for name in ("Cells", "Seconds", "GPU seconds")),
    Column("GPUs", "choice"),
    Column("Engine start (s)", "count", "counted once for cells that share a start"),
    *(Column(name, "count") for name in ("Requests", "Tokens in")),
    Column("from cache", "count", "tokens in that the prefix cache served"),
    Column("Tokens out", "count"),
    *(Column(name, "number") for name in ("Peak GPU (GB)", "Checkpoint (GB)")),
]
FAILURES = [*VARIANT, BENCHMARK, Column("Phase", "choice"), Column("Reason", "long"), Column("Log"), Column("Time")]
SETUP = ["Engine", "Version", "Kernel", "dtype", "GPUs", "Stack", "Protocol", "Commit", "Environment", "Host"]
NO_CELL = "No cell is made."
PRINTED_BELOW = " The small line below is what the paper prints."
COMPARED = "Regenerated less printed, cell by cell; verdicts by Holm over a table."
PAIRED = (
    "Every quantized variant against FP16 on the same questions; `average` pools a suite and `all` a variant. Other columns:"
    " statistics.csv, explained in docs/statistics.md."
)
REPEATED = "The same variants run once more, as the study's `repeats` say; in no family of tests."
AUDITED = "The printed numbers against each other; no run is needed for this."
JUDGED = "The findings of the paper, judged by the regenerated numbers."
JUDGED_AS_PRINTED = "The same findings, judged by the numbers that the paper prints."
ANALYSES = {
    "comparison": (COMPARISON, Section("comparison", "Against the paper", COMPARED, nav="Against the paper")),
    "statistics": (STATISTICS, Section("statistics", "Paired statistics", PAIRED, nav="Statistics")),
    "audit": (FINDING, Section("audit", "Audit of the printed tables", AUDITED, nav="Audit")),
    "claims": (PART, Section("claims", "Claims on these cells", JUDGED, nav="Claims")),
    "printed claims": (
        PART,
        Section("printed-claims", "Claims on the printed numbers", JUDGED_AS_PRINTED, nav="Claims as printed"),
    ),
}


def size(value: float | None) -> Value:
    """Bytes in 10^9, to four significant digits."""
    known = grids.number(None if value is None else value / 1e9)
    return known if known.order == "" else Value(numerals.gigabytes(value / 1e9), known.order)


def _variant(material: ReportMaterial, key: Key) -> list[str]:
    return [material.names.model(key[0]), material.names.method_bits(*key[1:3])]


def _page(key: Key) -> Value:
    return Value("open", href=page_of(key), hidden="/".join(key))


def of_study(material: ReportMaterial) -> list[Section]:
    """All sections below the map, in their order."""
    analyses = [name for name in ANALYSES if material.spec.paper or name in ("statistics", *material.analyses)]
    return [
        _tables(material),
        *([Section("figure2", "Figure 2: MT-Bench by category", nav="Figure 2")] if material.judged else []),
        _scores(material),
        *(_analysis(material, name) for name in analyses),
        _cost(material),
        _provenance(material),
        _failures(material),
    ]


def _scores(material: ReportMaterial) -> Section:
    paper = material.spec.paper
    grid = Grid("scores", "Every cell", [column for column in SCORES if paper or column not in PRINTED])
    for key, cell in material.cells.items():
        printed = cell.published
        name = material.names.benchmark(key[3]) + (" (confidential)" if material.confidential(key[3]) else "")
        digits = UNITS[cell.unit].digits
        scores = [grids.number(value, digits) for value in (cell.score, cell.stderr)]
        scores += [grids.number(material.against_fp16(key), digits, signed=True)]
        scores += [printed and printed.value, printed and printed.difference] if paper else []
        took = [cell.n, cell.cost.seconds, len(cell.warnings)]
        grid.rows.append([*_variant(material, key), name, *scores, *took, _page(key)])
    printed = sum(cell.published is not None for cell in material.cells.values())
    text = f"The paper prints a value for {printed} of these {len(material.cells)} cells." if paper else ""
    return Section("scores", "Every cell", text, [grid], nav="Every cell", empty=NO_CELL)


def _tables(material: ReportMaterial) -> Section:
    """Tables that show any variant of the study, by the code that makes the paper's files."""
    cells, made = list(material.cells.values()), []
    for layout in material.spec.tables:
        if layout.variants:
            table = tables.regenerated(material.spec, layout.number, cells, material.published, material.reasons)
            made.append(_table_grid(table, folded=len(made) > 1))
    paper = material.spec.paper
    text = "A cell shows the score with its difference from FP16." + PRINTED_BELOW * paper
    empty = "No table has a variant of this study."
    return Section("tables", "The paper's tables" if paper else "Tables", text, made, nav="Tables", empty=empty)


def _table_grid(table: Table, folded: bool) -> Grid:
    storage = Column("GB", "number", "nominal storage", digits=None)
    columns = [*VARIANT, storage, *(Column(column.label, "score", ", ".join(column.below)) for column in table.columns)]
    grid = Grid(f"table{table.number}", table.caption, columns, notes=table.notes, page=50, folded=folded)
    for row in table.rows:
        method = row.method_label if row.variant.method == FP16[0] else f"{row.method_label} {row.bits_label}"
        entries = (render.value(entry, grid.name) for entry in row.entries)
        grid.rows.append([row.model_label, method + row.mark, row.storage, *entries])
    return grid


def _analysis(material: ReportMaterial, name: str) -> Section:
    """A section of one CSV; without the CSV it says so, and nothing leads to it."""
    columns, section = ANALYSES[name]
    records = material.analyses.get(name)
    if records is None:
        return Section(section.name, section.title, empty="This report was made without this analysis.")
    labels = material.names
    label = {"model": labels.model, "method": labels.method, "method_b": labels.method, "benchmark": labels.benchmark}
    shown = [{key: label.get(key, str)(value) for key, value in record.items()} for record in records]
    for record in shown if name == "statistics" else []:
        record["recovery"] = _recovery(record)
    counted = {(record.get("id", place), record[next(iter(columns))]) for place, record in enumerate(shown)}
    counts = grids.counts(word for _, word in counted) if name != "statistics" else []
    made = [grids.of_records(section.name, section.title, [one for one in shown if not one.get(REPEAT)], columns)]
    if again := [one for one in shown if one.get(REPEAT)]:
        made.append(grids.of_records("noise-floor", "Noise floor", again, NOISE, notes=[REPEATED], folded=False))
    return replace(section, grids=made, counts=counts)


def _recovery(record: dict) -> Value:
    """With its interval on a second line."""
    ends = [grids.number(record.get(f"recovery_{end}"), 1) for end in ("low", "high")]
    between = "" if "" in (end.order for end in ends) else f"{ends[0].text} to {ends[1].text}"
    return grids.number(record.get("recovery"), 1, sub=between)


def _cost(material: ReportMaterial) -> Section:
    """What each variant took, from its cells."""
    groups: dict[tuple, list[CellRecord]] = defaultdict(list)
    for key, cell in material.cells.items():
        groups[key[:3]].append(cell)
    rows = [[*_variant(material, (*key, "")), *_spent(cells)] for key, cells in groups.items()]
    return Section("cost", "Cost", grids=[Grid("cost", "Cost of evaluation by variant", COST, rows)], nav="Cost", empty=NO_CELL)


def _spent(cells: list[CellRecord]) -> list[object]:
    costs = [cell.cost for cell in cells]
    summed = ("seconds", "gpu_seconds", "requests", "tokens_in", "tokens_cached", "tokens_out")
    seconds, gpu_seconds, *counts = (sum(getattr(cost, name) for cost in costs) for name in summed)
    starts = {cost.load_seconds for cost in costs}
    return [
        len(cells),
        seconds,
        gpu_seconds,
        ", ".join(sorted({_gpus(cost, "CPU") for cost in costs})),
        sum(starts),
        *counts,
        size(max(cost.peak_gpu_bytes or 0 for cost in costs) or None),
        size(cells[0].checkpoint.bytes),
    ]


def _gpus(cost: Cost, without: str) -> str:
    return f"{cost.gpu_count} x {cost.gpu_name}" if cost.gpu_name else without


def _provenance(material: ReportMaterial) -> Section:
    """What the cells were made with: one line for each distinct set-up, package version, data set revision and warning."""
    cells = list(material.cells.values())
    warnings = [
        [*_variant(material, key), material.names.benchmark(key[3]), warning, _page(key)]
        for key, cell in material.cells.items()
        for warning in cell.warnings
    ]
    setups = Counter(map(_setup, cells)).most_common()
    made = [
        _counted("setups", "Set-ups", [Column(head, "choice") for head in SETUP], setups),
        _counted("packages", "Packages", [Column("Package"), Column("Version")], _pairs(cells, "packages")),
        _counted("datasets", "Data sets", [Column("Data set"), Column("Revision")], _pairs(cells, "datasets")),
        Grid("warnings", "Warnings of the cells", [*VARIANT, BENCHMARK, Column("Warning", "long"), PAGE], warnings, folded=True),
    ]
    made[0].folded = False
    return Section("provenance", "Provenance", grids=[grid for grid in made if grid.rows], nav="Provenance", empty=NO_CELL)


def _counted(name: str, caption: str, columns: list[Column], found: list[tuple[tuple, int]]) -> Grid:
    """A grid of things with the number of cells that have each."""
    rows = [[*parts, count] for parts, count in found]
    return Grid(name, caption, [*columns, Column("Cells", "count")], rows, folded=True)


def _pairs(cells: list[CellRecord], name: str) -> list[tuple[tuple, int]]:
    return sorted(Counter(pair for cell in cells for pair in getattr(cell.provenance, name).items()).items(), key=str)


def _setup(cell: CellRecord) -> tuple[str, ...]:
    engine, made = cell.engine, cell.provenance
    commit = (made.git_commit or "unknown")[:12] + (" + changes" if made.git_dirty else "")
    known = (engine.name, engine.version, engine.kernel, engine.dtype, _gpus(cell.cost, "none"))
    run = (cell.cell.stack, cell.cell.protocol, commit, (made.environment_sha256 or "unknown")[:12], made.host)
    return (*known, *run)


def _failures(material: ReportMaterial) -> Section:
    """Every failure record with its reason."""
    grid = Grid("failed-variants", "Failed variants", FAILURES)
    for record in material.failures:
        variant = _variant(material, (*astuple(record.variant), ""))
        benchmark = material.names.benchmark(record.benchmark) if record.benchmark else "all"
        rest = [record.phase, Value(record.reason, mark="bad"), record.log, record.time]
        grid.rows.append([*variant, benchmark, *rest])
    nav = f"Failures ({len(grid.rows)})" if grid.rows else "Failures"
    return Section("failures", "Failed variants", grids=[grid], nav=nav, empty="No failure is recorded.")
