"""The audit of the paper's tables, and what it says about tables that were tampered with."""

import csv
import dataclasses
import shutil

import factories
import pytest
from edge2giant import config, specs
from edge2giant.audit import __main__ as command
from edge2giant.audit import findings
from edge2giant.errors import UserError
from edge2giant.plan.audit import audit_spec
from shared import ROOT

CONFIG = ROOT / "config"


SPEC = audit_spec(config.load())


def run(published, cells=()):
    return findings.run(SPEC, published, cells)


def command_line(folder, prefix, spec=SPEC):
    digest = specs.write(spec, folder)
    where = ["--spec", str(specs.path(folder, digest)), "--spec-digest", digest, "--published", str(CONFIG / "published")]
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
    assert {finding.severity for finding in (fp16, gpqa, arrow)} == {findings.ERROR}


def test_counts_that_the_documentation_states(audit):
    assert audit.counts() == {"error": 20, "doubtful": 6, "note": 51}
    assert len(audit.changes()) == 8


def test_which_sets_fit(audit):
    verdicts = {(one.column, one.candidate.name): one.verdict for one in audit.evidence}
    assert verdicts["gpqa", "extended"] == "fits"
    assert {verdicts["gpqa", name] for name in ("main", "diamond", "all")} == {"rejected"}
    assert verdicts["winogrande", "validation"] == "fits"
    assert verdicts["winogrande", "test"] == "rejected"
    assert verdicts["math_lvl5", "micro"] == "rejected"
    assert verdicts["mmlu", "test"] == "no power"
    assert {"hellaswag", "mmlu", "truthfulqa", "bbh", "ifeval", "musr"} <= set(audit.untestable)


def test_ids_are_unique(audit):
    assert len(by_id(audit)) == len(audit.findings)


def test_a_changed_cell_is_found_with_its_correction(copy):
    where = {"table": "1", "model": "llama-2-7b-chat", "method": "awq", "benchmark": "gsm8k"}
    edit(copy, "scores.csv", **where, to=("value", "19.93"))
    found = by_id(run(copy))["difference/T1/llama-2-7b-chat/awq/w4a16/gsm8k"]
    assert found.correction.endswith("gsm8k: 19.93 to 19.63 (one digit)")


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
    assert files == sorted(["audit.html", *(f"audit{s}.csv" for s in ("", "_grids", "_storage", "_rounding", "_checks"))])
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "20 error, 6 doubtful, 51 note" in capsys.readouterr().out


def test_the_page_escapes_what_it_prints(tmp_path):
    columns = [
        dataclasses.replace(column, untestable=column.untestable and "<script>alert(1)</script>") for column in SPEC.columns
    ]
    command_line(tmp_path, tmp_path / "audit", dataclasses.replace(SPEC, columns=tuple(columns)))
    text = (tmp_path / "audit.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
