"""Records are validated, written whole, and refused in one line."""

import json

import pytest
from edge2giant import records
from edge2giant.errors import UserError, one_line, run
from hypothesis import given
from hypothesis import strategies as st

FAILURE = {
    "schema": 1, "study": "s", "model": "m", "method": "fp16", "bits": "w16a16", "benchmark": None,
    "phase": "quantize", "reason": "why", "log": None, "time": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_record_reads_back_as_written(tmp_path):
    records.write_json(tmp_path / "deep/f.json", FAILURE, "failure")
    assert records.read_json(tmp_path / "deep/f.json", "failure") == FAILURE


def test_a_record_that_does_not_fit_is_not_written(tmp_path):
    with pytest.raises(UserError, match=r"not written.*failure: top level.*reason"):
        records.write_json(tmp_path / "f.json", {k: v for k, v in FAILURE.items() if k != "reason"}, "failure")
    assert list(tmp_path.iterdir()) == []


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
        records.read_json(path, "failure")
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
