"""Specs: one text for one content, read back checked, refused in one line."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Literal

import pytest
from edge2giant import specs, typed
from edge2giant.errors import UserError
from edge2giant.specs.variant import Cell, Variant, widths
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Part:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Whole:
    title: str
    count: int
    kind: Literal["a", "b"]
    parts: tuple[Part, ...]
    limits: dict[str, float | None]
    pair: tuple[int, str] = (0, "")
    note: str | None = None


WHOLE = Whole("t", 3, "a", (Part("x", 2), Part("y")), {"one": 1.5, "two": None})


def test_a_spec_is_read_back_equal(tmp_path):
    digest = specs.write(WHOLE, tmp_path)
    assert specs.read(specs.path(tmp_path, digest), digest, Whole) == WHOLE


def test_writing_a_spec_twice_leaves_its_file_alone(tmp_path):
    file = specs.path(tmp_path, specs.write(WHOLE, tmp_path))
    before = file.stat().st_mtime_ns
    specs.write(WHOLE, tmp_path)
    assert file.stat().st_mtime_ns == before


def test_a_job_with_another_digest_stops(tmp_path):
    digest = specs.write(WHOLE, tmp_path)
    other = specs.digest(replace(WHOLE, count=4))
    with pytest.raises(UserError, match="this job was planned with"):
        specs.read(specs.path(tmp_path, digest), other, Whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": 1}, "unknown key 'extra', known are: title"),
        ({"title": None}, "title: None is not of type str"),
        ({"count": True}, "count: True is not of type int"),
        ({"count": 1.5}, "count: 1.5 is not of type int"),
        ({"kind": "c"}, "kind: 'c' is not one of 'a', 'b'"),
        ({"parts": [{"weight": 1}]}, "parts[0]: 'name' is missing"),
        ({"parts": {}}, "parts: is not a list"),
        ({"limits": {"one": "x"}}, "limits.one: 'x' is not of type"),
        ({"pair": [1]}, "pair: has 1 items, expected 2"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(change, said):
    content = json.loads(specs.text(WHOLE)) | change
    with pytest.raises(UserError) as error:
        typed.build(Whole, content, "specs/x.json")
    assert str(error.value).startswith("specs/x.json: is not a valid Whole: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named():
    content = json.loads(specs.text(WHOLE))
    del content["title"]
    with pytest.raises(UserError, match="'title' is missing"):
        typed.build(Whole, content, "x")


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.none()), st.text())
def test_any_content_comes_back(limits, title):
    spec = replace(WHOLE, title=title, limits=limits)
    assert typed.build(Whole, json.loads(specs.text(spec)), "x") == spec


def test_a_number_that_is_not_finite_is_no_spec():
    with pytest.raises(ValueError, match="not JSON compliant"):
        specs.text(replace(WHOLE, limits={"one": float("nan")}))


def test_names_of_variants_and_cells():
    variant = Variant("m", "gptq-autogptq", "w4a16")
    assert (variant.path, variant.method_bits, variant.widths) == ("m/gptq-autogptq/w4a16", "gptq-autogptq/w4a16", (4, 16))
    assert Cell("s", variant, "gsm8k").path == "s/cells/m/gptq-autogptq/w4a16/gsm8k.json"
    with pytest.raises(UserError, match="w4a16"):
        widths("w4")


def test_an_edit_between_submission_and_start_is_noticed(tmp_path, monkeypatch):
    from edge2giant.plan import submitted

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(submitted.VARIABLE, "")
    wildcards = vars(SimpleNamespace(model="m", study="s"))
    planning = submitted.open_ledger(main_process=True)
    planning.enter("plan.evaluate.spec", wildcards, "a" * 64)
    submitted.open_ledger(main_process=False).enter("plan.evaluate.spec", dict(reversed(wildcards.items())), "a" * 64)
    with pytest.raises(UserError, match="changed after this job was submitted"):
        submitted.open_ledger(main_process=False).enter("plan.evaluate.spec", wildcards, "b" * 64)


def test_a_job_that_cannot_know_its_plan_stops(monkeypatch):
    from edge2giant.plan import submitted

    monkeypatch.delenv(submitted.VARIABLE, raising=False)
    with pytest.raises(UserError, match="EDGE2GIANT_RUN is not set"):
        submitted.open_ledger(main_process=False)
