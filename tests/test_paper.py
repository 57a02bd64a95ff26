"""The tables: printed digits, arrows, missing cells, escaping, and the command line."""

import csv
import shutil
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import factories
import pytest
from hypothesis import given
from hypothesis import strategies as st

pd = pytest.importorskip("pandas", reason="needs the workflow environment")
pytest.importorskip("matplotlib", reason="needs the workflow environment")

from edge2giant import typed  # noqa: E402
from edge2giant.errors import UserError  # noqa: E402
from edge2giant.mt_bench import CATEGORIES  # noqa: E402
from edge2giant.paper import frames, marks, numerals, render, tables  # noqa: E402
from edge2giant.paper.values import Table  # noqa: E402
from edge2giant.records.failure import Failure  # noqa: E402
from edge2giant.specs.study import Labels  # noqa: E402
from shared import ROOT  # noqa: E402
from study_specs import PUBLISHED, arguments_of, spec_of, spec_with  # noqa: E402

HOSTILE = '<script>alert(1)</script> & "q" $x_1^2$ \\input{/etc/passwd} | `a` **b** %'
LABELS = Labels(models={"mini-2m": "Mini-2M", "hostile": HOSTILE})
MINIATURE = [
    ("mini-2m", "fp16", "w16a16"),
    ("mini-2m", "gptq-llmcompressor", "w4a16"),
    ("mini-2m", "awq", "w4a16"),
]


def run(*arguments: object) -> subprocess.CompletedProcess:
    """Run the command line as the workflow does."""
    return subprocess.run(
        [sys.executable, "-m", "edge2giant.paper", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )


def printed(number: int) -> Table:
    return tables.published(spec_of("paper"), number, PUBLISHED)


def regenerated(cells, number=1, failures=(), rows=MINIATURE, **changes) -> Table:
    spec = spec_with(rows, labels=LABELS, **changes)
    return tables.regenerated(spec, number, list(cells), PUBLISHED, tables.failure_reasons(failures))


def test_factories_make_valid_records():
    cells = factories.study_cells(MINIATURE)
    assert len(cells) == 39
    assert typed.problem(Failure, typed.as_json(factories.make_failure())) is None


def test_published_frames_hold_every_printed_row():
    scores, ratings = frames.published_scores(PUBLISHED), frames.published_ratings(PUBLISHED)
    assert scores.shape == (700, len(frames.COLUMNS)) and list(scores.columns) == frames.COLUMNS
    assert ratings.shape == (432, len(frames.COLUMNS))
    assert scores.drop_duplicates(frames.VARIANT).shape[0] == 50
    assert ratings.drop_duplicates(frames.VARIANT).shape[0] == 36
    assert ratings["method"].notna().all() and not (ratings["method"] == "gptq").any()
    assert set(ratings["benchmark"]) == {*CATEGORIES, "turn 1", "turn 2", "average"}
    first = scores.iloc[7]
    assert (first["method"], first["bits"], first["printed"], first["printed_delta"]) == (
        "gptq-autogptq",
        "w4a16",
        "51.28",
        "-1.88",
    )


@pytest.mark.parametrize("number", [1, 2, 4, 5])
def test_every_printed_value_stands_in_the_csv_with_its_digits(number):
    """Golden: the CSV has exactly the digits and signed differences of the transcription."""
    found = render.tidy(printed(number))
    with (PUBLISHED / "scores.csv").open() as stream:
        lines = [row for row in csv.DictReader(stream) if int(row["table"]) == number]
    values = [found.loc[place // 7, row["benchmark"]] for place, row in enumerate(lines)]
    deltas = [found.loc[place // 7, f"{row['benchmark']}_difference"] for place, row in enumerate(lines)]
    assert values == [row["value"] for row in lines]
    assert deltas == [row["printed_delta"] for row in lines]
    assert list(found["storage_gb"]) == [row["storage_gb"] for row in lines if row["benchmark"] == "average"]


@pytest.mark.parametrize("number", [6, 7])
def test_printed_mt_bench_tables_keep_their_digits(number):
    found = render.tidy(printed(number))
    lines = frames.keep(frames.published_ratings(PUBLISHED), table=number)
    columns = list(dict.fromkeys(lines["benchmark"].str.replace(" ", "_")))
    shown = [value for row in found[columns].itertuples(index=False) for value in row]
    assert shown == list(lines["printed"])
    assert len(found) == 36


def test_table_1_has_the_paper_form():
    table = printed(1)
    assert [group[0].variant.model for group in table.groups][:2] == ["llama-2-7b-chat", "llama-2-13b-chat"]
    assert len(table.rows) == 41 and len(table.groups) == 9
    assert [row.method_label for row in table.groups[3]] == [
        "FP16",
        "FP8",
        "GPTQ*",
        "GPTQ**",
        "GPTQ**",
        "SmoothQuant",
        "AWQ",
    ]
    assert [row.bits_label for row in table.groups[3]] == [
        "16/16",
        "8/8",
        "4/16",
        "4/16",
        "8/16",
        "8/8",
        "4/16",
    ]
    assert not any(entry.score.arrow for row in table.rows if row.variant.method == "fp16" for entry in row.entries)
    assert all(entry.score.arrow for row in table.rows if row.variant.method != "fp16" for entry in row.entries)
    assert any(note == "Toolkits: GPTQ*: autogptq; GPTQ**: llmcompressor; GPTQ***: autoround." for note in table.notes)


SIGN = {kind: fault.sign for kind, fault in marks.FAULTS.items()}


def marked(number: int, kind: str) -> list[tuple[str, str, str, str]]:
    """Model, method, column and printed number of every score or difference that bears the sign of a kind of mark."""
    table = printed(number)
    return [
        (row.variant.model, row.variant.method, column.name, text)
        for row in table.rows
        for column, entry in zip(table.columns, row.entries, strict=True)
        for signs, text in ((entry.score.marks, entry.score.text), (entry.score.delta_marks, entry.score.delta))
        if SIGN[kind] in signs
    ]


def test_off_grid_ratings_of_table_6_are_flagged():
    """36 printed ratings are no mean of 20 whole ratings (7.83), 16 of them FP16; the others are (8.10)."""
    table, found = printed(6), marked(6, "ratings")
    fp16 = [text for _, method, _, text in found if method == "fp16"]
    assert (len(found), len(fp16)) == (36, 16) and "7.83" in fp16 and "8.10" not in fp16
    assert [row.mark == tables.COMPUTED for row in table.rows] == [row.variant.method != "fp16" for row in table.rows]
    assert any(note.startswith(SIGN["ratings"]) for note in table.notes)


def test_printed_differences_that_do_not_add_up_are_flagged():
    """11 of the 532 printed differences of Tables 1, 2, 4 and 5 are not score minus FP16, two more only by rounding."""
    found = [one for number in (1, 2, 4, 5) for one in marked(number, "difference")]
    assert len(found) == 11 and ("llama-3.2-3b-it", "fp8", "truthfulqa", "+0.19") in found
    state = render.tidy(printed(1)).set_index(["model", "method"])["truthfulqa_state"]
    assert state["Llama-3.2-3B-it", "FP8"] == "difference does not add up"


def test_wrong_averages_and_misprints_are_flagged_and_explained():
    assert [text for number in (1, 2) for *_, text in marked(number, "average")] == ["61.45", "61.13", "46.42"]
    values = [text for number in (1, 2) for *_, text in marked(number, "misprint") if text[0] not in "+-"]
    assert values == ["47.79", "56.69", "27.37"]
    note = next(note for note in printed(2).notes if note.startswith(SIGN["misprint"]))
    assert "Llama-3.1-405B-it FP8 8/8, GPQA: 27.37 for 27.47" in note
    assert [text for *_, text in marked(7, "turns")] == ["5.85", "7.18", "9.10"]
    assert marked(4, "grid") == [("vicuna-7b-v1.3", "awq", "arc_challenge", "51.20")] and not marked(2, "grid")


@pytest.mark.parametrize("number", [1, 2])
def test_wrong_sizes_are_flagged_and_no_note_contradicts_them(number):
    table = printed(number)
    wrong = [(row.variant.model, row.storage) for row in table.rows if SIGN["storage"] in row.storage]
    assert wrong == [("llama-3.2-1b-it", "0.5\N{LOZENGE}"), ("llama-3.2-3b-it", "1.5\N{LOZENGE}")]
    assert not any("parameters times weight bits" in note for note in table.notes)
    assert render.tidy(table)["remark"].tolist().count("other size") == 2


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6, 7])
def test_every_sign_has_its_note_and_every_note_its_sign(number):
    table = printed(number)
    shown = "".join(
        [row.storage + row.mark for row in table.rows]
        + [entry.score.marks + entry.score.delta_marks for row in table.rows for entry in row.entries]
    )
    signs = {*marks.MEANINGS, tables.COMPUTED}
    assert {sign for sign in signs if sign in shown} == {note[0] for note in table.notes if note[0] in signs}


def test_table_6_prints_the_differences_alone():
    text = render.text(printed(6), "md")
    assert "| Vicuna-7B-v1.3 | GPTQ\N{DOUBLE DAGGER} | (\N{DOWNWARDS ARROW}0.05) |" in text
    assert render.tidy(printed(6))["writing"][1] == "8.05"


def test_table_7_has_the_marks_and_costs_that_the_paper_prints():
    table = printed(7)
    assert [row.method_label for row in table.rows] == ["FP16", "GPTQ*", "AWQ"] * 12
    assert [row.cost for row in table.rows][:4] == ["4.96", "", "", "4.47"] and table.costs and not table.sizes
    assert "Toolkits: GPTQ*: autogptq." in table.notes
    contradicted = [row.variant.model for row in table.rows if SIGN["toolkit"] in row.mark]
    assert contradicted == ["llama-3.1-405b-it", "llama-3.2-1b-it", "llama-3.2-3b-it", "llama-3.3-70b-it"]
    for kind in ("html", "md", "tex"):
        assert "API cost (USD)" in render.text(table, kind)


def test_headings_carry_shots_and_metric_below_one_that_spans_them():
    table = printed(2)
    assert table.span == "Open LLM Leaderboard v2"
    assert {column.name: column.below for column in table.columns}["bbh"] == ("3-shot", "acc_norm")
    assert {column.name: column.below for column in printed(1).columns}["truthfulqa"] == ("0-shot", "mc2")  # lm-eval says acc
    assert printed(1).columns[0].below == ("25-shot", "acc_norm") and printed(1).columns[-1].below == ()
    html, tex = render.text(table, "html"), render.text(table, "tex")
    assert 'colspan="7">Open LLM Leaderboard v2</th>' in html and "<small>3-shot</small><small>acc_norm</small>" in html
    assert r"\multicolumn{7}{c}{Open LLM Leaderboard v2}" in tex and r"{\scriptsize 3-shot}" in tex
    assert "(\N{DOWNWARDS ARROW}1.88)" in render.text(printed(1), "html")


@given(st.integers(0, 10000), st.integers(0, 10000))
def test_arrow_shows_the_sign_and_the_exact_size(value, base):
    score, fp16 = f"{Decimal(value) / 100:.2f}", f"{Decimal(base) / 100:.2f}"
    delta = numerals.difference(score, fp16)
    text, direction = numerals.arrow(delta)
    size = Decimal(text.strip(numerals.UP + numerals.DOWN))
    assert size >= 0 and "-" not in text and "+" not in text
    signed = {"up": size, "down": -size, "same": Decimal(0)}[direction]
    assert signed == Decimal(score) - Decimal(fp16)
    assert text[0] == {"up": numerals.UP, "down": numerals.DOWN, "same": "0"}[direction]
    assert len(text.partition(".")[2]) == 2


@given(st.floats(-1000, 1000, allow_nan=False))
def test_fixed_never_strays_by_more_than_half_a_digit(value):
    text = numerals.fixed(value)
    assert abs(Decimal(text) - Decimal(repr(value))) <= Decimal("0.005")
    assert text != "-0.00"


@given(st.floats(1e-7, 1e5))
def test_gigabytes_keep_three_significant_digits(size):
    assert float(numerals.gigabytes(size)) == pytest.approx(size, rel=6e-3, abs=6e-8)


def test_averages_and_differences_of_regenerated_tables():
    table = regenerated(factories.study_cells(MINIATURE))
    fp16, gptq, _ = table.rows
    assert [entry.score.text for entry in fp16.entries] == [
        "50.00",
        "51.00",
        "52.00",
        "53.00",
        "54.00",
        "55.00",
        "52.50",
    ]
    assert gptq.entries[-1].score.text == "52.25" and gptq.entries[-1].score.arrow == numerals.DOWN + "0.25"
    assert fp16.storage == "0.004" and fp16.model_label == "Mini-2M"


def test_a_table_adds_up_to_what_it_shows():
    """Rounding comes first: 50.004 and 49.996 both show 50.00, so that the difference is 0.00."""
    made = [factories.cell_record(model="mini-2m", score=50.004)]
    made += [factories.cell_record(model="mini-2m", method="awq", bits="w4a16", score=49.996)]
    entry = regenerated(made, rows=[MINIATURE[0], MINIATURE[2]]).rows[1].entries[0]
    assert (entry.score.text, entry.score.delta, entry.score.direction) == ("50.00", "0.00", "same")


@pytest.mark.parametrize("kind", ["csv", "html", "md", "tex"])
def test_failed_and_missing_cells_are_visible(kind):
    """awq failed at gsm8k, nothing else of it ran; gptq lacks mmlu: nobody can take that for a score."""
    cells = [c for c in factories.study_cells(MINIATURE[:2]) if c.cell.benchmark != "mmlu"]
    failure = factories.make_failure(benchmark="gsm8k", phase="evaluate", reason="out of\nmemory at 78 GB")
    table = regenerated(cells, failures=[failure])
    states = [entry.state for entry in table.rows[2].entries]
    assert states == ["not run", "failed", "not run", "not run", "not run", "not run", "incomplete"]
    assert table.rows[1].entries[3].state == "not run" and table.rows[1].entries[-1].state == "incomplete"
    text = render.text(table, kind)
    assert "failed" in text and "not run" in text
    assert "out of memory at 78 GB" in text


def test_failure_without_a_benchmark_stands_for_its_variant():
    table = regenerated(factories.study_cells(MINIATURE[:2]), failures=[factories.make_failure()])
    assert {entry.state for entry in table.rows[2].entries[:-1]} == {"failed"}
    assert {entry.reason for entry in table.rows[2].entries[:-1]} == {"quantize: out of memory"}


def test_benchmarks_outside_the_study_are_not_called_missing():
    table = regenerated([factories.cell_record(model="mini-2m")], rows=MINIATURE[:1], benchmarks=["arc_challenge"])
    assert [entry.state for entry in table.rows[0].entries] == ["ok", *["not planned"] * 5, "incomplete"]


def test_models_of_the_appendix_leave_the_main_table():
    """The paper prints Gemma-2B in Table 4 and Llama-2-7B in Table 1; a model that it does not know goes to Table 1."""
    paper = spec_of("paper")
    shown = {number: {variant.model for variant in paper.table(number).variants} for number in (1, 4)}
    assert "llama-2-7b-chat" in shown[1] - shown[4] and "gemma-2b-it" in shown[4] - shown[1]
    assert not spec_of("miniature").table(4).variants and len(spec_of("miniature").table(1).variants) == 8


def test_columns_and_models_stand_where_the_paper_prints_them():
    """config/benchmarks.yaml says the same as the printed numbers."""
    for layout in spec_of("paper").tables[:4]:
        frame = frames.keep(frames.published_scores(PUBLISHED), table=layout.number)
        assert layout.columns == tuple(dict.fromkeys(frame["benchmark"])) and layout.printed
        assert {variant.model for variant in layout.variants} == set(frame["model"])


def test_printed_values_stand_beside():
    rows = [("llama-2-7b-chat", "fp16", "w16a16"), ("llama-2-7b-chat", "awq", "w4a16")]
    cells = [
        factories.cell_record(model=model, method=method, bits=bits, study="paper", score=score)
        for (model, method, bits), score in zip(rows, (53.5, 52.0), strict=True)
    ]
    table = regenerated(cells, rows=rows, study="paper")
    entry = table.rows[1].entries[0]
    assert (entry.score.text, entry.score.delta) == ("52.00", "-1.50")
    assert (entry.published.text, entry.published.delta) == ("52.47", "-0.69")
    assert "52.47" in render.text(table, "html") and "52.47" in render.text(table, "tex")
    assert render.tidy(table).loc[1, "arc_challenge_published_difference"] == "-0.69"


def test_a_misprint_beside_a_regenerated_score_is_marked():
    rows = [("llama-3.2-3b-it", "fp16", "w16a16")]
    model, method, bits = rows[0]
    cell = factories.cell_record(model=model, method=method, bits=bits, study="paper", benchmark="truthfulqa", score=49.9)
    table = regenerated([cell], rows=rows, study="paper")
    entry = table.rows[0].entries[4]
    assert (entry.score.shown, entry.published.shown) == ("49.90", f"47.79{SIGN['misprint']}")
    assert any("truthfulqa: 47.79 for 49.79" in note for note in table.notes)
    assert render.tidy(table).loc[0, "truthfulqa_published_remark"] == "probable misprint"
    assert f"47.79{SIGN['misprint']}" in render.text(table, "html")


def test_the_readme_shows_rows_of_table_1():
    shown = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| Llama-2-7B-Chat")
    ]
    lines = render.text(printed(1), "md").replace("\\", "").splitlines()
    assert shown and all(line in lines for line in shown)


class Tags(HTMLParser):
    """Counts tags and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_hostile_labels_stay_text():
    rows = [("hostile", "fp16", "w16a16"), ("hostile", "awq<b>", "w4a16")]
    failure = factories.make_failure(model="hostile", method="awq<b>", reason=HOSTILE)
    table = regenerated(factories.study_cells(rows[:1]), failures=[failure], rows=rows)
    page = Tags()
    page.feed(render.text(table, "html"))
    assert "script" not in page.tags and "b" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on")]
    markdown = render.text(table, "md")
    assert "<script" not in markdown and "**b**" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {12}
    tex = render.text(table, "tex")
    assert "\\input{" not in tex and "\\textbackslash{}input" in tex


def test_html_is_accessible_and_whole():
    text = render.text(printed(1), "html")
    page = Tags()
    page.feed(text)
    assert page.tags.count("caption") == 1 and page.tags.count("tbody") == 9
    assert (
        text.count('scope="col"') == 11
        and text.count('scope="colgroup"') == 1
        and text.count('scope="row"') == 41
        and text.count('scope="rowgroup"') == 9
    )
    assert not {"link", "img", "iframe"} & set(page.tags) and "://" not in text
    assert "prefers-color-scheme: dark" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not on this machine")
@pytest.mark.slow
def test_tex_compiles(tmp_path):
    rows = [("hostile", "fp16", "w16a16"), ("hostile", "awq", "w4a16")]
    failure = factories.make_failure(model="hostile", reason=HOSTILE)
    table = regenerated(factories.study_cells(rows[:1]), failures=[failure], rows=rows)
    render.write(table, tmp_path / "table1")
    packages = r"\usepackage{booktabs}\usepackage{graphicx}"
    page = r"\documentclass{article}" + packages + r"\begin{document}\input{table1}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_two_runs_write_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        render.write(printed(2), tmp_path / folder / "table2")
    for kind in ("csv", "html", "md", "tex"):
        assert (tmp_path / f"a/table2.{kind}").read_bytes() == (tmp_path / f"b/table2.{kind}").read_bytes()


def test_same_cell_twice_is_refused(tmp_path):
    paths = factories.write_records(tmp_path, [factories.make_cell(), factories.make_cell()])
    with pytest.raises(UserError, match="same cell"):
        frames.read_cells(paths)


@pytest.mark.parametrize("study", [None, "miniature"])
def test_cells_of_two_studies_are_refused(tmp_path, study):
    paths = factories.write_records(tmp_path, [factories.make_cell(), factories.make_cell(study="smoke")])
    with pytest.raises(UserError, match="is a cell of study smoke"):
        frames.read_cells(paths, study)


def test_mt_bench_parts_become_categories():
    cell = factories.cell_record(benchmark="mt_bench", score=6.5, ratings={"stem": 7.25, "turn 2": 6.0})
    frame = frames.ratings_of([cell])
    found = frame.set_index("benchmark")["value"]
    assert found["stem"] == 7.25 and found["turn 2"] == 6.0 and found["average"] == 6.5
    assert len(frame) == 11


def test_command_writes_all_formats(tmp_path):
    named = arguments_of(spec_of("paper"), tmp_path)
    done = run("table", *named, "--number", 1, "--out-prefix", tmp_path / "t1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / f"t1.{kind}") for kind in ("csv", "tex", "html", "md")]
    frame = pd.read_csv(tmp_path / "t1.csv")
    assert frame.shape[0] == 41 and frame["average"].max() == 82.20


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), ('{"schema": 1}', "is not a valid CellRecord")],
)
def test_a_bad_cell_is_one_line(tmp_path, text, message):
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    named = arguments_of(spec_of("miniature"), tmp_path)
    done = run("table", *named, "--number", 1, "--cells", bad, "--out-prefix", tmp_path / "t")
    assert done.returncode == 2 and message in done.stderr and str(bad) in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_measured_storage_stands_beside_the_nominal_one():
    table = regenerated([factories.cell_record(model="mini-2m", checkpoint={"bytes": 4_250_000})], rows=MINIATURE[:1])
    assert table.rows[0].storage == "0.004"
    assert list(render.tidy(table)["storage_measured_gb"]) == ["0.00425"]


@pytest.mark.parametrize("kind", ["md", "html", "tex"])
def test_a_custom_recipe_and_bits_on_average_stand_in_the_table(kind):
    spec = spec_with(MINIATURE, labels=LABELS)
    own = replace(spec.variants[1], changed="group_size 32", effective_bits=5.34)
    spec = replace(spec, variants=(spec.variants[0], own, spec.variants[2]))
    table = tables.regenerated(spec, 1, factories.study_cells(MINIATURE), PUBLISHED, {})
    text = render.text(table, kind).replace("\\_", "_")
    assert [row.bits_label for row in table.rows] == ["16/16", "5.3/16", "4/16"] and text.count("5.3/16") == 1
    assert text.count("custom recipe (group_size 32).") == text.count("W with a decimal: bits of a weight on average") == 1
    plain = render.text(regenerated(factories.study_cells(MINIATURE)), kind)
    assert "custom" not in plain and "W with a decimal" not in plain
