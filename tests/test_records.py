"""Records are validated, written whole, and refused in one line."""

import json

import pytest
from edge2giant import records, typed
from edge2giant.errors import UserError, one_line, run
from edge2giant.records.cell import CellRecord
from edge2giant.records.failure import Failure
from factories import make_cell, make_failure
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_record_reads_back_as_written(tmp_path):
    records.write(tmp_path / "deep/f.json", make_failure())
    assert records.read(tmp_path / "deep/f.json", Failure) == make_failure()


def test_a_record_that_does_not_fit_is_not_written(tmp_path):
    with pytest.raises(UserError, match="is not written: no valid Failure: reason: is empty"):
        records.write(tmp_path / "f.json", make_failure(reason=""))
    assert list(tmp_path.iterdir()) == []


NOT_CELLS = [
    ({"score": 100.5}, "score: 100.5 is more than 100"),
    ({"score": float("nan")}, "score: nan is not a number that JSON allows"),
    ({"n": 0}, "n: 0 is less than 1"),
    ({"n": True}, "n: True is not of type int"),
    ({"unit": "points"}, "unit: 'points' is not one of 'percent', 'rating'"),
    ({"parts": []}, "parts: is empty"),
    ({"schema": 2}, "schema: 2 is not one of 1"),
    ({"schema": True}, "schema: True is not one of 1"),
    ({"warnings": [""]}, "warnings[0]: is empty"),
    ({"samples": {"sha256": "x" * 64}}, "samples.sha256: 'xxx"),
    ({"engine": {"settings": {"a": [float("inf")]}}}, "engine.settings.a[0]: inf is not a number"),
    ({"checkpoint": {"nominal_bytes": 0}}, "checkpoint.nominal_bytes: 0 is less than 1"),
    ({"provenance": {"installer": "pip"}}, "provenance.installer: 'pip' is not one of"),
    ({"extra": 1}, "top level: unknown key 'extra'"),
]


@pytest.mark.parametrize(("change", "said"), NOT_CELLS, ids=[said for _, said in NOT_CELLS])
def test_what_is_wrong_in_a_cell_is_named_with_its_place(change, said):
    assert typed.problem(CellRecord, make_cell(**change)).startswith(f"no valid CellRecord: {said}")


def test_records_made_before_a_key_was_kept_are_read_and_keep_their_form():
    old = make_cell()
    del old["provenance"]["installer"]
    record = typed.build(CellRecord, old, "cell.json")
    assert record.provenance.installer is None
    assert typed.as_json(record) == old


def test_a_failed_write_leaves_the_older_record(tmp_path):
    path = tmp_path / "f.json"
    records.write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        records.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', "[]", "\x00"])
def test_a_corrupt_record_is_one_line_with_file_and_hint(tmp_path, content):
    path = tmp_path / "cell.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        records.read(path, Failure)
    assert str(path) in str(caught.value)
    assert "delete it and run the same command again" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(JSON)
def test_digest_does_not_depend_on_the_order_of_keys(value):
    def reordered(v):
        if isinstance(v, dict):
            return {k: reordered(v[k]) for k in reversed(list(v))}
        return [reordered(x) for x in v] if isinstance(v, list) else v

    assert records.digest(value) == records.digest(reordered(value))


def test_tree_digest_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = records.tree_digest(tmp_path)
    (tmp_path / "a").write_text("2")
    second = records.tree_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, records.tree_digest(tmp_path)}) == 3


def test_an_error_is_one_line_whatever_it_holds():
    assert one_line("is\n  wrong", "f.yaml", "mend\tit") == "f.yaml: is wrong; mend it"


def test_run_turns_an_error_into_exit_code_2(capsys):
    def main():
        raise UserError("is missing", "f", "make it")

    assert run(main) == 2
    assert capsys.readouterr().err == "error: f: is missing; make it\n"
