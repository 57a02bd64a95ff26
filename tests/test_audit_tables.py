"""The audit of the paper's tables, and what it says about tables that were tampered with."""

import csv
import dataclasses
import shutil

import factories
import pytest
from edge2giant import config, specs
from edge2giant import published as printed_numbers
from edge2giant.audit import __main__ as command
from edge2giant.audit import findings, plausibility, printed, report, results
from edge2giant.errors import UserError
from edge2giant.paper import tables
from edge2giant.plan.audit import audit_spec
from shared import ROOT
from study_specs import spec_of

CONFIG = ROOT / "config"


SPEC = audit_spec(config.load())


def run(published, cells=()):
    return findings.run(SPEC, published, cells)


def command_line(folder, prefix, spec=SPEC, published=CONFIG / "published"):
    digest = specs.write(spec, folder)
    where = ["--spec", str(specs.path(folder, digest)), "--spec-digest", digest, "--published", str(published)]
    command.main([*where, "--out-prefix", str(prefix)])


@pytest.fixture(scope="module")
def audit():
    return run(CONFIG / "published")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(CONFIG / "published", tmp_path / "config/published")
    return tmp_path / "config/published"


def edit(published, name, **change):
    """Change one printed cell: find by all columns but `to`, set its column to `to`."""
    path, (column, new) = published / name, change.pop("to")
    with path.open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    hits = [line for line in lines if all(line[key] == value for key, value in change.items())]
    assert len(hits) == 1
    hits[0][column] = new
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def by_id(audit):
    return {finding.id: finding for finding in audit.findings}


def test_known_misprints_and_their_corrections(audit):
    found = by_id(audit)
    fp16 = found["average/T1/llama-3.2-3b-it/fp16/w16a16/average"]
    assert "truthfulqa: 47.79 to 49.79 (one digit)" in fp16.correction
    gpqa = found["grid/T2/llama-3.1-405b-it/fp8/w8a8/gpqa"]
    assert "27.37 to 27.47" in gpqa.correction
    arrow = found["difference/T5/gemma-2b-it/gptq-autogptq/w4a16/average"]
    assert arrow.correction.endswith("-0.05 to +0.05 (one arrow)")
    assert {finding.severity for finding in (fp16, gpqa, arrow)} == {results.ERROR}


def test_counts_that_the_documentation_states(audit):
    assert audit.counts() == {"error": 22, "doubtful": 24, "note": 54}
    assert (len(audit.changes()), audit.corrected()) == (8, 15)


def test_which_sets_fit(audit):
    verdicts = {(one.column, one.candidate.name): one.verdict for one in audit.evidence}
    assert verdicts["gpqa", "extended"] == "fits"
    assert {verdicts["gpqa", name] for name in ("main", "diamond", "all")} == {"rejected"}
    assert verdicts["winogrande", "validation"] == "fits"
    assert verdicts["winogrande", "test"] == "rejected"
    assert verdicts["math_lvl5", "micro"] == "rejected"
    assert verdicts["mmlu", "test"] == "no power"
    assert {"hellaswag", "mmlu", "truthfulqa", "bbh", "ifeval", "musr"} <= set(audit.untestable)


def plain(path):
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def test_the_documentation_states_what_the_audit_finds(audit):
    count, rules = audit.counts(), f"{audit.outcomes.total():,}"
    settled = f"Eight changes of one printed number would settle {audit.corrected()} of the {count['error']} errors"
    assert f"{rules} rules: {count['error']} errors, {count['doubtful']} doubtful, {count['note']} notes. {settled}" in plain(
        "docs/audit.md"
    )
    found = f"{count['error']} errors, {count['doubtful']} doubtful values and {count['note']} notes. {settled}"
    assert f"The audit makes {rules} checks on the printed tables and finds {found}" in plain("README.md")


def test_the_documentation_states_how_the_rules_come_out(audit):
    lines = (ROOT / "docs/audit.md").read_text(encoding="utf-8").splitlines()
    stated = {
        cells[1].partition(":")[0]: cells[2:-1] for line in lines if len(cells := [c.strip() for c in line.split("|")]) == 8
    }
    for row in report.check_rows(audit):
        name, *numbers = row.values()
        assert [cell.partition(" (")[0] for cell in stated[name]] == [f"{number:,}" for number in numbers]


def test_the_documentation_lists_the_scores_that_stand_out(audit):
    page = plain("docs/audit.md")
    found = [finding for finding in audit.findings if finding.check == "plausibility"]
    assert f"({len(found)} of 600)" in page
    for finding in found:
        distance = finding.comment.partition("; ")[2].partition(" times")[0]
        assert f"| {finding.printed} |" in page and f"| {distance} |" in page


def ids(audit, check):
    return {finding.id.removeprefix(f"{check}/") for finding in audit.findings if finding.check == check}


def test_every_printed_size_is_checked_in_both_tables(audit):
    rows = {f"T{table}/llama-3.2-{size}b-it/smoothquant/w8a8" for table in (1, 2) for size in (1, 3)}
    wrong = {
        finding.id: finding for finding in audit.findings if finding.check == "storage" and finding.severity == results.ERROR
    }
    assert set(wrong) == {f"storage/{row}" for row in rows}
    assert {(found.printed, found.recomputed) for found in wrong.values()} == {("0.5", "1"), ("1.5", "3")}
    assert len(audit.sizes) == 100


def test_what_table_3_says_of_tasks_scales_and_samples(audit):
    found = {one.id: (one.printed, one.recomputed) for one in audit.findings if "/T3/" in one.id}
    assert found["tasks/T3/mmlu_pro"] == ("13", "14")
    assert found["tasks/T3/bbh"] == ("23", "24")
    assert found["scale/T3/mt_bench"] == ("0-10", "1-10")
    assert ids(audit, "samples") == {f"T3/{name}" for name in ("hellaswag", "winogrande", "gpqa", "bbh", "math_lvl5")}
    assert len(found) == 8


@pytest.mark.parametrize(
    ("column", "text", "id"),
    [
        ("n_tasks", "56", "tasks/T3/mmlu"),
        ("metric", "Score (1-5)", "scale/T3/mmlu"),
        ("n_test_samples", "14000", "samples/T3/mmlu"),
    ],
)
def test_a_changed_number_of_table_3_is_found(copy, column, text, id):
    edit(copy, "benchmarks.csv", benchmark="mmlu", to=(column, text))
    found = by_id(run(copy))
    assert id in found


def test_table_7_marks_a_toolkit_that_four_models_have_no_row_of(audit):
    names = ("llama-3.1-405b-it/gptq-llmcompressor", *(f"llama-3.{name}-it/gptq-autoround" for name in ("2-1b", "2-3b", "3-70b")))
    assert ids(audit, "toolkit") == {f"T7/{name}/w4a16" for name in names}


STAND_OUT = {
    "T1/llama-3.1-405b-it/fp16/w16a16/mmlu",
    "T1/llama-3.1-405b-it/smoothquant/w8a8/mmlu",
    "T2/llama-3.1-405b-it/smoothquant/w8a8/bbh",
    "T2/llama-3.1-405b-it/smoothquant/w8a8/mmlu_pro",
    "T2/llama-3.1-405b-it/awq/w4a16/ifeval",
    "T2/llama-3.1-70b-it/gptq-llmcompressor/w8a16/gpqa",
    "T2/llama-3.1-70b-it/gptq-llmcompressor/w8a16/ifeval",
    "T1/llama-3.2-3b-it/smoothquant/w8a8/mmlu",  # a misprint, found as such too
}
NO_OTHER_GROUND = {
    "T1/llama-2-7b-chat/gptq-autogptq/w4a16/hellaswag",
    "T2/llama-2-7b-chat/fp16/w16a16/mmlu_pro",
    "T1/llama-3.2-1b-it/gptq-autoround/w4a16/hellaswag",
}


def test_scores_that_stand_out_are_doubtful_and_few(audit):
    assert ids(audit, "plausibility") == {f"{name}/value" for name in STAND_OUT | NO_OTHER_GROUND}
    found = by_id(audit)["plausibility/T1/llama-3.1-405b-it/fp16/w16a16/mmlu/value"]
    assert (found.printed, found.recomputed, found.severity) == ("83.98", "85.75", results.DOUBTFUL)
    assert "85.91, 85.79, 73.28, 85.71; -5.4 times" in found.comment


@pytest.mark.parametrize(
    ("model", "method", "benchmark", "text"),
    [
        ("llama-3.1-8b-it", "fp8", "hellaswag", "70.12"),  # 80.12
        ("llama-2-70b-chat", "awq", "winogrande", "47.98"),
        ("gemma-7b-it", "fp16", "mmlu", "15.06"),
    ],
)
def test_a_planted_outlier_stands_out(copy, model, method, benchmark, text):
    edit(copy, "scores.csv", model=model, method=method, benchmark=benchmark, to=("value", text))
    assert any(f"/{model}/{method}/" in name and f"/{benchmark}/" in name for name in ids(run(copy), "plausibility"))


@pytest.mark.slow
@pytest.mark.parametrize(("points", "share"), [(5, 29), (10, 66), (20, 95)])
def test_how_large_an_error_stands_out(points, share):
    """Every printed score in turn, lowered by so many points, or raised where it has fewer; docs/audit.md has the share."""
    rows = printed.rows_of(printed_numbers.scores(CONFIG / "published"))
    parts = findings.column_parts(SPEC, findings.accepted_sets(findings.Audit(), rows, SPEC.columns))
    places = [(row, column) for row in rows for column in row.values if column != "average"]
    standing = {(one.row.name, one.column) for one in plausibility.outliers(rows, parts)}
    hits = []
    for row, column in places:
        if (row.name, column) not in standing:
            score = float(row.values[column])
            planted = row.values | {column: f"{score - points if score > points else score + points:.2f}"}
            same = [one for one in rows if one.variant.model == row.variant.model]
            changed = [dataclasses.replace(one, values=planted) if one is row else one for one in same]
            hits.append(any((one.row.name, one.column) == (row.name, column) for one in plausibility.outliers(changed, parts)))
    assert round(100 * sum(hits) / len(hits)) == share
    assert f"{points} points in {share}%" in plain("docs/audit.md")


def test_a_model_that_loses_everywhere_has_few_outliers(audit):
    assert len([name for name in ids(audit, "plausibility") if "llama-3.2-1b-it" in name]) == 1


def test_the_marks_of_the_tables_are_those_of_the_audit(audit):
    """After a change of the printed numbers or the rules: copy paper_figures/published/audit_marks.csv over it."""
    assert printed_numbers.marks(CONFIG / "published") == audit.marks
    kinds = {kind: sum(mark.kind == kind for mark in audit.marks) for kind in {mark.kind for mark in audit.marks}}
    counts = {"misprint": 8, "difference": 11, "average": 3, "grid": 2, "turns": 3, "storage": 4, "ratings": 36, "toolkit": 4}
    assert kinds == counts


def test_ids_are_unique(audit):
    assert len(by_id(audit)) == len(audit.findings)


def test_a_changed_cell_is_found_with_its_correction(copy):
    where = {"table": "1", "model": "llama-2-7b-chat", "method": "awq", "benchmark": "gsm8k"}
    edit(copy, "scores.csv", **where, to=("value", "19.93"))
    found = by_id(run(copy))["difference/T1/llama-2-7b-chat/awq/w4a16/gsm8k"]
    assert found.correction.endswith("gsm8k: 19.93 to 19.63 (one digit)")


@pytest.mark.parametrize(
    ("where", "column", "text", "id"),
    [
        ({"suite": "leaderboard_v1", "benchmark": "gsm8k"}, "scores.csv", "-1.00", "grid/T4/gemma-2b-it/awq/w4a16/gsm8k"),
        ({"suite": "leaderboard_v1", "benchmark": "gsm8k"}, "scores.csv", "101.00", "grid/T4/gemma-2b-it/awq/w4a16/gsm8k"),
        ({"suite": "leaderboard_v2", "benchmark": "musr"}, "scores.csv", "-0.01", "average/T5/gemma-2b-it/awq/w4a16/average"),
        ({"table": "6", "category_or_turn": "average"}, "mt_bench.csv", "99.99", "tables/T7/gemma-2b-it/awq/w4a16/average"),
    ],
)
def test_a_number_out_of_its_range_is_an_error(copy, where, column, text, id):
    edited = "printed_delta" if column == "mt_bench.csv" else "value"
    edit(copy, column, model="gemma-2b-it", method="awq", **where, to=(edited, text))
    assert by_id(run(copy))[id].severity == results.ERROR


def test_a_column_of_zeros_or_of_hundreds_has_an_expected_noise(copy):
    """A score at the end of its scale has the error of one question, so a model that answers nothing is no crash."""
    models = ("gemma-2b-it", "vicuna-7b-v1.3")
    with (copy / "scores.csv").open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    for line in lines:
        if line["model"] in models and line["benchmark"] == "math_lvl5":
            line["value"] = "0.00" if line["model"] == models[0] else "100.00"
    with (copy / "scores.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    found = run(copy)
    assert not [name for name in ids(found, "plausibility") if "math_lvl5" in name and any(model in name for model in models)]
    assert printed_numbers.printed_stderr(0.0, ((100, 0.0),)) == pytest.approx((0.01 * 0.99 / 100) ** 0.5 * 100)
    assert printed_numbers.printed_stderr(100.0, ((100, 0.0),)) == pytest.approx(
        printed_numbers.printed_stderr(0.0, ((100, 0.0),))
    )


def test_a_correction_is_a_number_that_a_table_could_print(copy):
    where = {"table": "6", "model": "llama-2-7b-chat", "method": "fp16", "category_or_turn": "coding"}
    edit(copy, "mt_bench.csv", **where, to=("value", "12.40"))
    found = by_id(run(copy))["ratings/T6/llama-2-7b-chat/fp16/w16a16/coding"]
    assert "02.40" not in found.correction + found.comment


def test_a_corrected_cell_is_no_longer_found(copy):
    where = {"table": "1", "model": "llama-3.2-3b-it", "method": "fp16", "benchmark": "truthfulqa"}
    edit(copy, "scores.csv", **where, to=("value", "49.79"))
    found = by_id(run(copy))
    assert not [name for name in found if "llama-3.2-3b-it" in name and "truthfulqa" in name]
    assert "average/T1/llama-3.2-3b-it/fp16/w16a16/average" not in found


def test_a_number_that_stands_twice_is_refused(copy):
    lines = (copy / "scores.csv").read_text().splitlines(keepends=True)
    (copy / "scores.csv").write_text("".join([*lines, lines[-1]]))
    with pytest.raises(UserError, match=r"T5/.* has average twice"):
        run(copy)


@pytest.mark.parametrize("text", ["table,suite\n1,x\n", None])
def test_printed_numbers_that_cannot_be_read_are_refused_in_one_line(copy, text):
    path = copy / "mt_bench.csv"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=r"mt_bench.csv: (cannot be read \(.*\)|is missing); restore it from the repository"):
        run(copy)


def test_measured_bytes_are_compared(tmp_path):
    cell = factories.cell_record(
        model="llama-3.2-1b-it", method="fp8", bits="w8a8", benchmark="gsm8k", checkpoint={"bytes": 2_020_000_000}
    )
    found = by_id(run(CONFIG / "published", factories.write_records(tmp_path, [cell])))
    assert found["measured/T1/llama-3.2-1b-it/fp8/w8a8"].recomputed == "2.02"


def test_the_command_writes_the_same_bytes_twice(tmp_path, capsys):
    for name in ("one", "two"):
        command_line(tmp_path / "results", tmp_path / name / "audit")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(
        ["audit.html", *(f"audit{s}.csv" for s in ("", "_grids", "_storage", "_rounding", "_checks", "_marks"))]
    )
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one/audit_marks.csv").read_bytes() == (CONFIG / "published/marks.csv").read_bytes()
    out = capsys.readouterr().out
    assert "22 error, 24 doubtful, 54 note" in out and "would settle 15 of 22 errors" in out
    page = (tmp_path / "one/audit.html").read_text()
    assert "errors settled by 8 changes" in page and "15 of 22" in page


def test_the_page_escapes_what_it_prints(tmp_path):
    columns = [
        dataclasses.replace(column, untestable=column.untestable and "<script>alert(1)</script>") for column in SPEC.columns
    ]
    command_line(tmp_path, tmp_path / "audit", dataclasses.replace(SPEC, columns=tuple(columns)))
    text = (tmp_path / "audit.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_one_number_for_math_on_the_grid_of_all_problems(audit):
    (micro,) = (one for one in audit.evidence if (one.column, one.candidate.name) == ("math_lvl5", "micro"))
    share = f"{micro.rounded + micro.truncated} of {micro.cells}"
    assert f"{share} printed values lie on k/{micro.candidate.questions}" in plain("config/protocols.yaml")
    assert f"{micro.candidate.questions:,} problems alike (leaderboard) | {share} |" in plain("docs/audit.md")


def test_a_planted_misprint_is_marked_in_the_table(copy, tmp_path):
    """What the rules of the workflow do: the audit writes the marks that the tables as printed read."""
    edit(copy, "scores.csv", table="1", model="llama-2-7b-chat", method="awq", benchmark="gsm8k", to=("value", "19.93"))
    report.write(run(copy), tmp_path / "audit")
    row = tables.published(spec_of("paper"), 1, copy, tmp_path / "audit_marks.csv").rows[2]
    gsm8k = row.entries[1].score
    assert (row.variant.method, gsm8k.shown, gsm8k.delta_marks) == ("awq", "19.93\N{DOUBLE VERTICAL LINE}", "\N{SECTION SIGN}")
    assert row.entries[-1].score.marks == "\N{PILCROW SIGN}"


def test_the_command_says_when_the_copied_marks_are_of_other_numbers(copy, tmp_path, capsys):
    command_line(tmp_path, tmp_path / "audit")
    assert "is not what this audit finds" not in capsys.readouterr().out
    lines = (copy / "marks.csv").read_text().splitlines(keepends=True)
    (copy / "marks.csv").write_text("".join(lines[:-1]))
    command_line(tmp_path, tmp_path / "audit", published=copy)
    assert "marks.csv is not what this audit finds" in capsys.readouterr().out
