"""Claims: the predicates on numbers small enough to check by eye, and the paper's claims on both sources."""

import copy
import csv
from functools import cache
from pathlib import Path

import factories
import pandas as pd
import pytest
import yaml
from edge2giant import config
from edge2giant.claims import __main__ as command
from edge2giant.claims import cases, predicates, report, scores, verdict
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.plan.study import claims_spec
from edge2giant.specs.claims import FactSpec
from shared import ROOT
from study_specs import arguments_of

PUBLISHED = ROOT / "config/published"
V1 = {"suite": "leaderboard_v1", "benchmark": "average"}


def table(*rows):
    """Scores of rows (benchmark, model, method, value)."""
    lines = [("leaderboard_v1", benchmark, model, method, "w4a16", value) for benchmark, model, method, value in rows]
    return scores._complete(pd.DataFrame(lines, columns=[*scores.KEYS, "value"]))


@pytest.fixture
def few():
    frame = table(
        ("x", "a", "fp16", 50.0),
        ("x", "a", "awq", 48.0),
        ("x", "a", "gptq-autogptq", 47.0),
        ("x", "b", "fp16", 60.0),
        ("x", "b", "awq", 61.0),
        ("x", "b", "gptq-autogptq", 58.0),
        ("y", "a", "fp16", 20.0),
        ("y", "a", "awq", 10.0),
        ("y", "a", "gptq-autogptq", 12.0),
        ("y", "b", "fp16", 30.0),
        ("y", "b", "awq", 30.0),
        ("y", "b", "gptq-autogptq", 29.0),
    )
    facts = {"one": FactSpec(0, "s"), "two": FactSpec(1, "s")}
    return scores.Scores(frame, frame, {"both": ["a", "b"]}, facts, printed=True)


def one(benchmark, model, method):
    return {"benchmark": benchmark, "model": model, "method": method}


def test_quantities_are_computed_from_values(few):
    row = few.select(one("y", "a", "awq")).iloc[0]
    assert (row.delta, row.size_of_delta, row.recovery) == (-10.0, 10.0, 50.0)


def test_difference_is(few):
    call = {"a": one("x", "a", "awq"), "b": one("x", "a", "fp16")}
    assert predicates.difference_is(few, **call, by="-2.00").holds
    assert not predicates.difference_is(few, **call, by="-2.02").holds
    assert predicates.difference_is(few, **call, by="-2.50", within=0.5).holds
    assert not predicates.difference_is(few, **call, by="0.50", within=5.0).holds  # the sign is wrong


def test_difference_asks_for_one_row(few):
    with pytest.raises(UserError, match="selects 2 rows"):
        predicates.difference_is(few, a={"benchmark": "x", "method": "awq"}, b=one("x", "a", "fp16"), by="1")


@pytest.mark.parametrize(("share", "holds"), [("all", False), ("most", True), ("some", True), (0.75, True), (0.8, False)])
def test_each_and_shares(few, share, holds):
    found = predicates.each(few, select={"family": "awq"}, of="delta", relation="above", than=-5.0, share=share)
    assert found.holds is holds
    assert "3 of 4" in found.summary


def test_most_is_more_than_half():
    assert not cases.enough(2, 4, "most")
    assert cases.enough(3, 4, "most")
    assert not cases.enough(0, 4, "some")


def test_ties_are_rounded_as_tables_do():
    assert [str(cases.as_printed(value, 2)) for value in (20.825, 46.415, -0.125)] == [
        "20.83",
        "46.42",
        "-0.13",
    ]


@pytest.mark.parametrize("share", ["many", 0, 1.5, True])
def test_an_unknown_share_is_refused(share):
    with pytest.raises(UserError, match="no share"):
        cases.enough(1, 2, share)


def test_pairs_with_exceptions(few):
    call = {
        "left": {"family": "awq"},
        "right": {"family": "gptq"},
        "relation": "above",
        "matching": ["benchmark", "model"],
    }
    found = predicates.pairs(few, **call)
    assert (found.holds, len(found.cases), len(found.counterexamples)) == (False, 4, 1)
    assert not predicates.pairs(few, **call, exceptions=[{"benchmark": "y"}]).holds  # y/b was expected to fail, too
    assert predicates.pairs(few, **call, exceptions=[{"benchmark": "y", "model": "a"}]).holds


def test_pairs_over_models(few):
    call = {
        "left": {"family": "awq"},
        "right": {"method": "fp16"},
        "relation": "above",
        "matching": ["benchmark"],
    }
    found = predicates.pairs(few, **call, models=[["b", "a"]])
    assert found.holds and len(found.cases) == 2


def test_pairs_without_a_match_are_undecided(few):
    call = {"left": {"model": "a"}, "right": {"model": "b"}, "relation": "above", "matching": ["model"]}
    assert predicates.pairs(few, **call).holds is None


@pytest.mark.parametrize(
    ("relation", "margin", "holds"),
    [("alike", 1.0, False), ("alike", 3.0, True), ("apart", 1.0, True), ("apart", 1.5, False)],
)
def test_alike_and_apart(few, relation, margin, holds):
    call = {"left": {"family": "awq", "benchmark": "x"}, "right": {"family": "gptq", "benchmark": "x"}}
    found = predicates.pairs(few, **call, relation=relation, margin=margin, matching=["model"])
    assert found.holds is holds


def test_mean_is(few):
    assert predicates.mean_is(few, {"family": "awq"}, "alike", than=-2.75, margin=0.0).holds
    assert predicates.mean_is(few, {"family": "awq"}, "below", right={"family": "gptq"}).holds is False


def test_extreme(few):
    call = {"select": {"family": "awq"}, "by": "benchmark"}
    assert predicates.extreme(few, **call, expected=["y"]).holds
    assert not predicates.extreme(few, **call, expected=["x"]).holds
    assert predicates.extreme(few, **call, expected=["x"], end="highest").holds
    assert predicates.extreme(few, {"family": ["awq", "gptq"]}, "family", ["gptq"], aggregate="max", end="lowest").holds


def test_winner_counts_ties_and_skips_groups_without_contest(few):
    call = {"by": ["model", "benchmark"], "expected": {"family": "awq"}, "of": "size_of_delta"}
    found = predicates.winner(few, {"family": ["awq", "gptq"]}, **call)
    assert (found.holds, len(found.cases), len(found.counterexamples)) == (False, 4, 1)
    assert predicates.winner(few, {"family": "awq"}, **call).holds is None


def test_count_in_top(few):
    call = {
        "select": {"family": ["awq", "gptq"]},
        "row": ["model", "method"],
        "column": "benchmark",
        "top": 1,
    }
    # drops: a/awq y, a/gptq y, b/awq y (0 against +1), b/gptq x (-2 against -1)
    assert predicates.count_in_top(few, **call, expected=[("y", 3), ("x", 1)]).holds
    assert not predicates.count_in_top(few, **call, expected=[("y", 2)]).holds


def test_count_groups(few):
    call = {
        "select": {"benchmark": "x", "family": ["awq", "gptq"]},
        "by": "model",
        "relation": "above",
        "than": 0.0,
    }
    assert predicates.count_groups(few, **call, expected=0).holds
    assert predicates.count_groups(few, **call, expected=1, aggregate="max").holds


def test_gap_exceeds(few):
    call = {
        "left": {"family": "awq"},
        "right": {"method": "fp16"},
        "models": [["b", "a"]],
        "matching": ["benchmark"],
    }
    # other gaps: 61 - 50 = 11 and 30 - 20 = 10
    assert predicates.gap_exceeds(few, a=one("x", "b", "fp16"), b=one("x", "a", "awq"), **call).holds  # 12
    assert not predicates.gap_exceeds(few, a=one("x", "b", "fp16"), b=one("x", "a", "fp16"), **call).holds  # 10


def test_overlap(few):
    call = {"first": {"method": "fp16"}, "second": {"family": "awq"}, "by": "benchmark", "top": 1}
    assert not predicates.overlap(few, **call, at_most=0).holds  # y is hardest and falls most
    assert predicates.overlap(few, **call, at_most=1).holds


def test_absent_and_settings(few):
    assert predicates.absent(few, {"method": "fp8"}).holds
    assert not predicates.absent(few, {"method": "fp16"}).holds
    assert predicates.settings(few, ["one"], equals=0).holds
    assert not predicates.settings(few, ["one", "two"], equals=0).holds
    with pytest.raises(UserError, match="no fact 'three'"):
        predicates.settings(few, ["three"], equals=0)


def test_a_missing_score_leaves_it_undecided(few):
    present = few.table[few.table["model"] == "a"][[*scores.KEYS, "value"]]
    half = scores.Scores(few.table, scores._complete(present), few.sets, {}, printed=False)
    found = predicates.each(half, select={"family": "awq"}, of="delta", relation="above", than=-50.0)
    assert found.holds is None
    assert found.missing == ["b awq w4a16 v1 x", "b awq w4a16 v1 y"]
    assert predicates.absent(half, {"method": "fp8"}).holds is None


@pytest.mark.parametrize(
    ("where", "message"),
    [({"model": "@none"}, "no set 'none'"), ({"colour": "red"}, "no column 'colour'")],
)
def test_bad_selections_are_refused(few, where, message):
    with pytest.raises(UserError, match=message):
        few.select(where)


def part(strict, lenient=None):
    found = [None if holds is ... else cases.Result(holds, "") for holds in (strict, ... if lenient is None else lenient)]
    return verdict.PartVerdict("", "s", "l", found[0], found[1])


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ([part(True), part(True)], verdict.HOLDS),
        ([part(False), part(False, False)], verdict.FAILS),
        ([part(True), part(False)], verdict.IN_PART),
        ([part(False, True)], verdict.IN_PART),
        (
            [part(True), verdict.PartVerdict("", "s", "", cases.Result(None, ""), None)],
            verdict.OPEN,
        ),
    ],
)
def test_verdict_words(parts, word):
    assert verdict.ClaimVerdict("id", "p", "s", "", parts).word == word


@cache
def claims():
    return claims_spec(config.load())


@pytest.fixture(scope="module")
def judged():
    return {found.id: found for found in verdict.run(claims(), PUBLISHED)}


def test_every_sentence_has_an_entry(judged):
    expected = [f"rq1-{c}" for c in "abcdefg"] + [f"rq2-{c}" for c in "abcdef"] + [f"rq3-{c}" for c in "abcdef"]
    expected += [f"rq4-{c}" for c in "abcd"] + [f"rq5-{c}" for c in "abcdefghi"]
    assert list(judged) == [*expected, "set-a", "set-b", "sec-a", "sec-b"]


def test_counts_that_the_documentation_states(judged):
    words = {"holds": 13, "holds in part": 20, "fails": 2, "cannot be decided": 1}
    assert report.counts(list(judged.values())) == words


def test_some_verdicts_and_the_numbers_behind_them(judged):
    assert judged["rq1-d"].word == "holds"
    assert judged["rq5-g"].word == "fails"
    assert judged["set-a"].word == "fails"
    assert judged["sec-b"].word == "cannot be decided"
    assert (
        "coding 16 (stated 16); humanities 12 (stated 12); extraction 14 (stated 10)" in judged["rq5-d"].parts[0].strict.summary
    )


def regenerate(folder, change=lambda row: row.value):
    """Cell records that hold the published numbers."""
    made = []
    grid = frames.published_scores(PUBLISHED)
    for row in grid[grid["benchmark"] != "average"].itertuples():
        names = {
            "study": "paper",
            "model": row.model,
            "method": row.method,
            "bits": row.bits,
            "benchmark": row.benchmark,
        }
        made.append(factories.make_cell(**names, score=change(row)))
    ratings = scores._ratings(frames.published_mt_bench(PUBLISHED))
    for (model, method, bits), group in ratings.groupby(["model", "method", "bits"]):
        values = dict(zip(group["benchmark"], group["value"], strict=True))
        names = {"study": "paper", "model": model, "method": method, "bits": bits, "benchmark": "mt_bench"}
        made.append(factories.make_cell(**names, score=values.pop("average"), ratings=values))
    return [Path(path) for path in factories.write_records(folder, made)]


def test_regenerated_cells_with_the_published_numbers_give_the_published_verdicts(tmp_path, judged):
    """Averages come out of the cells here: two claims stumble over cells that the audit calls misprinted."""
    found = {one.id: one.word for one in verdict.run(claims(), PUBLISHED, regenerate(tmp_path / "as_printed"))}
    expected = {name: one.word for name, one in judged.items()}
    expected |= {"set-a": verdict.OPEN, "set-b": verdict.OPEN}
    assert {name for name in expected if found[name] != expected[name]} == {"rq1-d", "rq2-b"}

    def mended(row):
        misprints = {
            ("llama-3.2-3b-it", "smoothquant", "mmlu"): 59.69,
            ("llama-3.1-405b-it", "fp8", "gpqa"): 27.47,
        }
        return misprints.get((row.model, row.method, row.benchmark), row.value)

    again = {one.id: one.word for one in verdict.run(claims(), PUBLISHED, regenerate(tmp_path / "mended", mended))}
    # FP16 of Llama-3.2-1B averages 47.815, a tie that the paper prints as 47.81 and that is 47.82 here
    assert {name for name in expected if again[name] != expected[name]} == {"rq1-d"}


def test_other_numbers_give_other_verdicts(tmp_path):
    paths = regenerate(tmp_path, lambda row: row.value + 10 * (row.method == "gptq-autoround"))
    found = {one.id: one.word for one in verdict.run(claims(), PUBLISHED, paths)}
    assert found["rq3-a"] == verdict.FAILS
    assert found["rq3-b"] == verdict.FAILS


def test_a_few_cells_decide_only_what_they_can(tmp_path):
    paths = [path for path in regenerate(tmp_path) if "llama-3.2-1b-it" in path.read_text()]
    found = {one.id: one.word for one in verdict.run(claims(), PUBLISHED, paths)}
    assert found["rq3-a"] == "holds"
    assert found["rq4-a"] == "cannot be decided"


def test_cells_of_two_studies_are_refused(tmp_path):
    made = [factories.make_cell(study=study) for study in ("one", "two")]
    with pytest.raises(UserError, match="is a cell of study two"):
        verdict.run(claims(), PUBLISHED, [Path(path) for path in factories.write_records(tmp_path, made)])


def with_entry(folder: Path, change) -> config.Config:
    """The configuration with its claims changed by `change(document)`."""
    import shutil

    shutil.copytree(ROOT / "config", folder / "config")
    path = folder / "config/published/claims.yaml"
    document = yaml.safe_load(path.read_text())
    change(document["claims"])
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return config.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicate": "guess"}, "no predicate 'guess'"),
        ({"with": {"select": {}, "relation": "above", "than": 0, "colour": 1}}, "each takes no 'colour'"),
        ({"lenient": {"with": {"shares": "most"}}, "leniently": "x"}, "each takes no 'shares'"),
        ({"surprise": 1}, "surprise"),
        ({"with": {"select": {"model": "x"}}}, "relation"),
    ],
)
def test_a_bad_entry_is_refused_with_its_place(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        loaded = with_entry(tmp_path, lambda found: found["rq2-c"]["parts"][0].update(copy.deepcopy(change)))
        verdict.run(claims_spec(loaded), PUBLISHED)


def test_a_lenient_reading_changes_parameters_of_the_strict_one():
    part = next(claim for claim in claims().claims if claim.id == "rq1-a").parts[0]
    assert part.lenient.predicate == part.strict.predicate
    assert part.lenient.parameters == part.strict.parameters | {"share": "most", "exceptions": []}


def test_a_new_claim_is_a_new_entry(tmp_path):
    part = {"predicate": "each", "with": {"select": {"benchmark": "mmlu"}, "relation": "above", "than": 0}, "strictly": "x"}
    entry = {"place": "here", "statement": "<b>MMLU</b> is positive", "parts": [part]}
    spec = claims_spec(with_entry(tmp_path, lambda found: found.update({"new-a": entry})))
    command.main([*arguments_of(spec, tmp_path), "--out-prefix", str(tmp_path / "out" / "claims")])
    with (tmp_path / "out" / "claims.csv").open(newline="") as handle:
        lines = {line["id"]: line for line in csv.DictReader(handle)}
    assert lines["new-a"]["verdict"] == "holds"
    assert "<b>" not in (tmp_path / "out" / "claims.html").read_text()
