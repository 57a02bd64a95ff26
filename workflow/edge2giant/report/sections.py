"""The sections of a report as grids: scores, the paper's tables, analyses, cost, provenance and failures."""

from collections import Counter, defaultdict

from edge2giant.mt_bench import CATEGORIES
from edge2giant.paper import frames, tables
from edge2giant.paper.values import Table, TableEntry
from edge2giant.report import grids
from edge2giant.report.gather import Key, ReportMaterial, page_of
from edge2giant.report.grids import Column, Grid, Value
from edge2giant.specs.study import FP16, TableLayout

VARIANT = [Column("Model", "choice"), Column("Method", "choice")]
COMPARISON = {
    "verdict": Column("Verdict", "choice"),
    "model": Column("Model", "choice"),
    "method": Column("Method", "choice"),
    "bits": Column("Bits", "choice"),
    "benchmark": Column("Benchmark", "choice"),
    "regenerated": Column("regenerated", "number"),
    "published": Column("printed", "number"),
    "difference": Column("difference", "number"),
    "difference_stderr": Column("± error", "number", "standard error of the difference"),
    "z": Column("z", "number"),
    "p_holm": Column("p (Holm)", "number"),
    "reason": Column("Why not compared", "long"),
    "remarks": Column("Remarks", "long"),
}
STATISTICS = {
    "model": Column("Model", "choice"),
    "method_b": Column("Method", "choice"),
    "bits_b": Column("Bits", "choice"),
    "benchmark": Column("Benchmark", "choice"),
    "score_a": Column("FP16", "number"),
    "score_b": Column("quantized", "number"),
    "difference": Column("difference", "number"),
    "low": Column("low", "number", "lower end of the 95% interval of the difference"),
    "high": Column("high", "number", "upper end of the 95% interval of the difference"),
    "p_value": Column("p", "number"),
    "p_holm": Column("p (Holm)", "number"),
    "p_bh": Column("p (B-H)", "number", "Benjamini-Hochberg"),
    "a_right_b_wrong": Column("lost", "count", "right under FP16, wrong here"),
    "a_wrong_b_right": Column("gained", "count", "wrong under FP16, right here"),
    "agreement": Column("agreement", "number", "share of equal answers"),
    "recovery": Column("recovery %", "number", "score in percent of the FP16 score"),
    "questions": Column("questions", "count"),
    "test": Column("Test", "choice"),
    "warnings": Column("Warnings", "long"),
}
AUDIT = {
    "severity": Column("Severity", "choice"),
    "check": Column("Check", "choice"),
    "where": Column("Where", "long"),
    "printed": Column("Printed"),
    "recomputed": Column("Recomputed"),
    "correction": Column("Correction", "long"),
    "comment": Column("Comment", "long"),
}
CLAIMS = {
    "verdict": Column("Verdict", "choice"),
    "id": Column("Claim"),
    "place": Column("Section"),
    "statement": Column("Statement", "long"),
    "status": Column("Reading", "choice"),
    "finding": Column("Finding", "long"),
    "counterexamples": Column("Counterexamples", "long"),
    "missing": Column("Missing", "long"),
    "note": Column("Note", "long"),
}
SCORES = [
    *VARIANT,
    Column("Benchmark", "choice"),
    Column("Score", "number"),
    Column("± error", "number", "standard error"),
    Column("against FP16", "number"),
    Column("printed", "number"),
    Column("against printed", "number"),
    Column("Questions", "count"),
    Column("Seconds", "number"),
    Column("Warnings", "count"),
    Column("Page", "link"),
]
COST = [
    *VARIANT,
    Column("Cells", "count"),
    Column("Seconds", "number"),
    Column("GPU seconds", "number"),
    Column("GPUs", "choice"),
    Column("Engine start (s)", "number", "counted once for cells that share a start"),
    Column("Requests", "count"),
    Column("Tokens in", "count"),
    Column("from cache", "number", "tokens in that the prefix cache served"),
    Column("Tokens out", "count"),
    Column("Peak GPU (GB)", "number"),
    Column("Checkpoint (GB)", "number"),
]


def _variant(material: ReportMaterial, key: Key) -> list[Value]:
    names = material.names
    return [Value(names.model(key[0])), Value(names.method_bits(key[1], key[2]))]


def scores(material: ReportMaterial) -> Grid:
    """Every cell that was made, with a link to its page."""
    grid = Grid("scores", "Every cell", SCORES)
    for key, cell in material.cells.items():
        printed = cell["published"] or {}
        name = material.names.benchmark(key[3]) + (" (confidential)" if material.confidential(key[3]) else "")
        grid.rows.append(
            [
                *_variant(material, key),
                Value(name),
                grids.number(cell["score"]),
                grids.number(cell["stderr"]),
                grids.number(material.against_fp16(key), signed=True),
                Value(str(printed["value"]), float(printed["value"])) if printed else grids.number(None),
                grids.number(printed.get("difference"), signed=True),
                grids.number(cell["n"], 0),
                grids.number(cell["cost"]["seconds"], 1),
                grids.number(len(cell["warnings"]), 0),
                Value("open", href=page_of(key), hidden="/".join(key)),
            ]
        )
    return grid


def paper_tables(material: ReportMaterial) -> list[tuple[Table, Grid]]:
    """Tables 1, 2 and 4 to 7, those that show any variant of the study, by the code that makes the paper's files."""
    cells, published, made = list(material.cells.values()), material.published, []
    for layout in material.spec.tables:
        if _planned(layout, material):
            table = tables.regenerated(material.spec, layout.number, cells, published, material.reasons)
            made.append((table, _table_grid(table)))
    return made


def _planned(layout: TableLayout, material: ReportMaterial) -> bool:
    """Whether the study has any benchmark of a table, on a variant that the table shows."""
    suites = {name: entry.suite for name, entry in material.spec.benchmarks.items()}
    entries = (material.spec.by_variant[variant] for variant in layout.variants)
    return any(suites[name] == layout.suite for entry in entries for name in entry.benchmarks)


def _table_grid(table: Table) -> Grid:
    heads = [*VARIANT, Column("GB", "number", "nominal storage"), *(Column(heading, "score") for _, heading in table.columns)]
    grid = Grid(f"table{table.number}", table.caption, heads, notes=table.notes, page=50)
    for row in table.rows:
        method = row.method_label if row.variant.method == FP16[0] else f"{row.method_label} {row.bits_label}"
        size = grids.number(row.storage)
        lead = [Value(row.model_label), Value(method + row.mark), Value(row.storage, size.order)]
        grid.rows.append([*lead, *(_entry(entry) for entry in row.entries)])
    return grid


def _entry(entry: TableEntry) -> Value:
    printed = {"sub": f"printed {entry.published.text}", "subdelta": entry.published.arrow} if entry.published else {}
    if entry.score is None:
        note = f" [{entry.note}]" if entry.note else ""
        return Value(entry.text + note, "", "bad" if entry.state == "failed" else "soft", **printed)
    order = grids.number(entry.score.text).order
    return Value(entry.score.text + entry.marks, order, entry.score.direction, delta=entry.score.arrow, **printed)


def analysis(material: ReportMaterial, name: str, caption: str, columns: dict[str, Column]) -> Grid | None:
    """Grid of one CSV, or None when it was not given."""
    records = material.analyses.get(name)
    if records is None:
        return None
    names = material.names
    shown = [
        record
        | {key: names.model(record[key]) for key in ("model",) if record.get(key)}
        | {key: names.method(record[key]) for key in ("method", "method_b") if record.get(key)}
        | {key: names.benchmark(record[key]) for key in ("benchmark",) if record.get(key)}
        for record in records
    ]
    return grids.of_records(grids.slug(name), caption, shown, columns)


def counts(grid: Grid) -> list[tuple[str, int]]:
    """How often each value of a grid's first column occurs."""
    return Counter(row[0].text for row in grid.rows).most_common()


def cost(material: ReportMaterial) -> Grid:
    """What each variant took, from its cells."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for key, cell in material.cells.items():
        groups[key[:3]].append(cell)
    grid = Grid("cost", "Cost of evaluation by variant", COST)
    for key, cells in groups.items():
        grid.rows.append([*_variant(material, (*key, "")), *_cost(cells)])
    return grid


def _cost(cells: list[dict]) -> list[Value]:
    costs = [cell["cost"] for cell in cells]
    total = {name: sum(cost[name] or 0 for cost in costs) for name in costs[0] if name not in ("gpu_name", "gpu_count")}
    gpus = sorted({f"{cost['gpu_count']} x {cost['gpu_name']}" if cost["gpu_name"] else "CPU" for cost in costs})
    starts = {cost["load_seconds"] for cost in costs}
    peak = max(cost["peak_gpu_bytes"] or 0 for cost in costs)
    return [
        grids.number(len(cells), 0),
        grids.number(total["seconds"], 0),
        grids.number(total["gpu_seconds"], 0),
        Value(", ".join(gpus)),
        grids.number(sum(start or 0 for start in starts), 0),
        *(grids.number(total[name], 0) for name in ("requests", "tokens_in", "tokens_cached", "tokens_out")),
        grids.size(peak or None),
        grids.size(cells[0]["checkpoint"]["bytes"]),
    ]


def provenance(material: ReportMaterial) -> list[Grid]:
    """What the cells were made with: one line for each distinct set-up, package version, data set revision and warning."""
    cells = list(material.cells.values())
    return [grid for grid in (_setups(cells), _packages(cells), _data(cells), _warnings(material)) if grid.rows]


def _setups(cells: list[dict]) -> Grid:
    heads = ["Engine", "Version", "Kernel", "dtype", "GPUs", "Stack", "Protocol", "Commit", "Environment", "Host"]
    grid = Grid("setups", "Set-ups", [*(Column(head, "choice") for head in heads), Column("Cells", "count")])
    found: Counter = Counter()
    for cell in cells:
        engine, made, spent = cell["engine"], cell["provenance"], cell["cost"]
        commit = (made["git_commit"] or "unknown")[:12] + (" + changes" if made["git_dirty"] else "")
        gpus = f"{spent['gpu_count']} x {spent['gpu_name']}" if spent["gpu_name"] else "none"
        known = (engine["name"], engine["version"], engine["kernel"], engine["dtype"], gpus)
        run = (
            cell["cell"]["stack"],
            cell["cell"]["protocol"],
            commit,
            (made["environment_sha256"] or "unknown")[:12],
            made["host"],
        )
        found[(*known, *run)] += 1
    grid.rows = [[*(grids.text(part) for part in parts), grids.number(count, 0)] for parts, count in found.most_common()]
    return grid


def _packages(cells: list[dict]) -> Grid:
    found = Counter(pair for cell in cells for pair in cell["provenance"]["packages"].items())
    heads = [Column("Package"), Column("Version"), Column("Cells", "count")]
    rows = [
        [Value(name), grids.text(version), grids.number(count, 0)] for (name, version), count in sorted(found.items(), key=str)
    ]
    return Grid("packages", "Packages", heads, rows)


def _data(cells: list[dict]) -> Grid:
    found = Counter(pair for cell in cells for pair in cell["provenance"]["datasets"].items())
    heads = [Column("Data set"), Column("Revision"), Column("Cells", "count")]
    rows = [
        [Value(name), grids.text(revision), grids.number(count, 0)] for (name, revision), count in sorted(found.items(), key=str)
    ]
    return Grid("datasets", "Data sets", heads, rows)


def _warnings(material: ReportMaterial) -> Grid:
    heads = [*VARIANT, Column("Benchmark", "choice"), Column("Warning", "long"), Column("Page", "link")]
    rows = [
        [
            *_variant(material, key),
            Value(material.names.benchmark(key[3])),
            Value(warning),
            Value("open", href=page_of(key), hidden="/".join(key)),
        ]
        for key, cell in material.cells.items()
        for warning in cell["warnings"]
    ]
    return Grid("warnings", "Warnings of the cells", heads, rows)


def failures(material: ReportMaterial) -> Grid:
    """Every failure record with its reason."""
    heads = [
        *VARIANT,
        Column("Benchmark", "choice"),
        Column("Phase", "choice"),
        Column("Reason", "long"),
        Column("Log"),
        Column("Time"),
    ]
    grid = Grid("failed-variants", "Failed variants", heads)
    for record in material.failures:
        key = (record["model"], record["method"], record["bits"], record["benchmark"] or "")
        benchmark = material.names.benchmark(key[3]) if key[3] else "all"
        rest = [Value(benchmark), Value(record["phase"]), Value(record["reason"], mark="bad")]
        grid.rows.append([*_variant(material, key), *rest, grids.text(record["log"]), grids.text(record["time"])])
    return grid


def storage_note(material: ReportMaterial) -> str:
    """How many of the cells the paper prints a value for."""
    printed = sum(cell["published"] is not None for cell in material.cells.values())
    return f"The paper prints a value for {printed} of these {len(material.cells)} cells."


def mt_bench(material: ReportMaterial):
    """MT-Bench frame of the cells, categories only; empty when there are none."""
    frame = frames.mt_bench_of(list(material.cells.values()))
    return frame[frame["category"].isin(CATEGORIES)]
