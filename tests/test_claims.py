"""Claims: the predicates on numbers small enough to check by eye, and the paper's claims on both sources."""

import csv
from functools import cache
from pathlib import Path

import factories
import pandas as pd
import pytest
import yaml
from edge2giant import config, typed
from edge2giant.claims import __main__ as command
from edge2giant.claims import cases, predicates, report, scores, verdict
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.plan.study import claims_spec
from edge2giant.records.cell import CellRecord
from edge2giant.specs.claims import ClaimSpec, ClaimsSpec, FactSpec, PartSpec, ReadingSpec
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
    spec = ClaimsSpec((), {"both": ("a", "b")}, facts, {"leaderboard_v1": "v1"})
    return scores.Scores(spec, frame, frame, printed=True)


def one(benchmark, model, method):
    return {"benchmark": benchmark, "model": model, "method": method}


def test_quantities_are_computed_from_values(few):
    row = few.select(one("y", "a", "awq")).iloc[0]
    assert (row.delta, row.size_of_delta, row.recovery) == (-10.0, 10.0, 50.0)


AWQ, GPTQ, BOTH, FP16 = {"family": "awq"}, {"family": "gptq"}, {"family": ["awq", "gptq"]}, {"method": "fp16"}
X_AWQ_LESS_FP16 = {"a": one("x", "a", "awq"), "b": one("x", "a", "fp16")}
AWQ_TO_GPTQ = {"left": AWQ, "right": GPTQ}
LARGER_MODEL = {"left": AWQ, "right": FP16, "models": [["b", "a"]]}
LARGER_X = {"left": AWQ | {"benchmark": "x"}, "right": FP16 | {"benchmark": "x"}, "models": [["b", "a"]]}
TOP = {"select": BOTH, "row": ["model", "method"], "column": "benchmark", "top": 1}
OF_X = {"select": BOTH | {"benchmark": "x"}, "by": "model", "relation": "above", "than": 0.0}
DROPS = {"select": AWQ, "by": "benchmark", "named": ["x"]}


@pytest.mark.parametrize(
    ("name", "call", "holds"),
    [
        ("difference_is", X_AWQ_LESS_FP16 | {"by": "-2.00"}, True),
        ("difference_is", X_AWQ_LESS_FP16 | {"by": "-2.02"}, False),
        ("difference_is", X_AWQ_LESS_FP16 | {"by": "-2.50", "within": 0.5}, True),
        ("difference_is", X_AWQ_LESS_FP16 | {"by": "0.50", "within": 5.0}, False),  # the sign is wrong
        *(
            ("each", {"select": AWQ, "of": "delta", "relation": "above", "than": -5.0, "share": share}, holds)  # 3 of 4
            for share, holds in (("all", False), ("most", True), ("some", True), (0.75, True), (0.8, False))
        ),
        ("pairs", LARGER_MODEL | {"relation": "above", "matching": ["benchmark"]}, True),
        ("pairs", {"left": {"model": "a"}, "right": {"model": "b"}, "relation": "above", "matching": ["model"]}, None),
        *(
            ("pairs", AWQ_TO_GPTQ | {"relation": relation, "margin": margin, "matching": ["model", "benchmark"]}, holds)  # 1 to 3
            for relation, margin, holds in (
                ("alike", 1.0, False),
                ("alike", 3.0, True),
                ("apart", 1.0, True),
                ("apart", 1.5, False),
            )
        ),
        ("mean_is", {"select": AWQ, "relation": "alike", "than": -2.75}, True),
        ("mean_is", {"select": AWQ, "relation": "below", "right": GPTQ}, False),
        ("extreme", {"select": AWQ, "by": "benchmark", "expected": ["y"]}, True),
        ("extreme", {"select": AWQ, "by": "benchmark", "expected": ["x"]}, False),
        ("extreme", {"select": AWQ, "by": "benchmark", "expected": ["x", "y"], "match": "any"}, True),
        ("extreme", {"select": BOTH, "by": "family", "expected": ["gptq"], "aggregate": "max"}, True),
        ("winner", {"select": AWQ, "by": ["model", "benchmark"], "expected": AWQ}, None),  # no contest
        # drops: a/awq y, a/gptq y, b/gptq x (-2 against -1); b/awq has none (+1 and 0.00)
        ("count_in_top", TOP | {"expected": [("y", 2), ("x", 1)]}, True),
        ("count_in_top", TOP | {"expected": [("y", 3)]}, False),
        ("count_groups", OF_X | {"expected": 0}, True),
        ("count_groups", OF_X | {"expected": 1}, False),
        # the other gap: 61 - 50 = 11
        ("gap_exceeds", LARGER_X | {"a": one("x", "b", "fp16"), "b": one("x", "a", "awq")}, True),  # 12
        ("gap_exceeds", LARGER_X | {"a": one("x", "b", "fp16"), "b": one("x", "a", "fp16")}, False),  # 10
        ("extreme", {"select": AWQ | {"model": "b"}, "by": "benchmark", "expected": ["x"]}, False),  # a rise is no drop
        ("extreme", {"select": AWQ | {"model": "b"}, "by": "benchmark", "expected": ["y"]}, False),  # nor is 0.00
        ("largest_drops", DROPS | {"top": 1, "at_most": 0}, True),  # y falls most
        ("largest_drops", DROPS | {"top": 2, "at_most": 0}, False),
        ("largest_drops", DROPS | {"top": 2, "at_most": 1}, True),
        ("largest_drops", DROPS | {"select": AWQ | {"model": "b"}, "top": 2, "at_most": 0}, True),  # a rise is no drop
        ("difference_is", {"a": one("y", "b", "awq"), "b": one("y", "b", "fp16"), "by": "0.50", "within": 1.0}, False),  # 0.00
        ("extreme", {"select": AWQ, "by": "benchmark", "expected": ["x"], "end": "highest"}, False),  # the highest is a drop too
        ("extreme", {"select": AWQ | {"model": "b"}, "by": "benchmark", "expected": ["x"], "end": "highest"}, True),
        ("extreme", {"select": AWQ | {"model": "b"}, "by": "benchmark", "expected": ["y"], "of": "recovery"}, False),  # 100 %
        ("count_in_top", TOP | {"select": AWQ | {"model": "b"}, "expected": [("y", 0)], "of": "recovery"}, True),
        ("absent", {"select": {"method": "fp8"}}, True),
        ("absent", {"select": {"method": "fp16"}}, False),
        ("settings", {"facts": ["one"], "equals": 0}, True),
        ("settings", {"facts": ["one", "two"], "equals": 0}, False),
    ],
)
def test_predicates(few, name, call, holds):
    assert predicates.PREDICATES[name](few, **call).holds is holds


def test_most_is_more_than_half():
    assert not cases.enough(2, 4, "most")
    assert cases.enough(3, 4, "most")
    assert not cases.enough(0, 4, "some")


def test_ties_are_rounded_as_tables_do():
    assert [str(cases.as_printed(value, 2)) for value in (20.825, 46.415, -0.125)] == ["20.83", "46.42", "-0.13"]


@pytest.mark.parametrize("share", ["many", 0, 1.5, True])
def test_an_unknown_share_is_refused(share):
    with pytest.raises(UserError, match="no share"):
        cases.enough(1, 2, share)


def test_a_selection_of_two_rows_is_refused_where_one_is_meant(few):
    with pytest.raises(UserError, match="selects 2 rows"):
        predicates.difference_is(few, a={"benchmark": "x", "method": "awq"}, b=one("x", "a", "fp16"), by="1")


def test_an_unknown_fact_is_refused(few):
    with pytest.raises(UserError, match="no fact 'three'"):
        predicates.settings(few, ["three"], equals=0)


def test_pairs_with_exceptions(few):
    call = AWQ_TO_GPTQ | {"relation": "above", "matching": ["benchmark", "model"]}
    found = predicates.pairs(few, **call)
    assert (found.holds, len(found.cases), len(found.counterexamples)) == (False, 4, 1)
    assert not predicates.pairs(few, **call, exceptions=[{"benchmark": "y"}]).holds  # y/b was expected to fail, too
    assert predicates.pairs(few, **call, exceptions=[{"benchmark": "y", "model": "a"}]).holds


def test_winner_counts_ties(few):
    found = predicates.winner(few, BOTH, by=["model", "benchmark"], expected=AWQ, of="size_of_delta")
    assert (found.holds, len(found.cases), len(found.counterexamples)) == (False, 4, 1)


def test_a_missing_score_leaves_it_undecided(few):
    present = few.table[few.table["model"] == "a"][[*scores.KEYS, "value"]]
    half = scores.Scores(ClaimsSpec((), suites={"leaderboard_v1": "v1"}), few.table, scores._complete(present), printed=False)
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


def part(*holds):
    """A part read strictly and perhaps leniently, with these results."""
    reading = ReadingSpec("", "each", {})
    return verdict.PartVerdict(PartSpec("", reading), *(cases.Result(one, "") for one in holds))


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ([part(True), part(True)], verdict.HOLDS),
        ([part(False), part(False, False)], verdict.FAILS),
        ([part(True), part(False)], verdict.IN_PART),
        ([part(False, True)], verdict.IN_PART),
        ([part(True), part(None)], verdict.OPEN),
        ([part(True), part(False, None)], verdict.OPEN),
    ],
)
def test_verdict_words(parts, word):
    assert verdict.ClaimVerdict(ClaimSpec("id", "p", "s", ()), tuple(parts)).word == word


@cache
def claims():
    return claims_spec(config.load())


@pytest.fixture(scope="module")
def judged():
    return {found.spec.id: found for found in verdict.run(claims(), PUBLISHED)}


def test_every_sentence_has_an_entry(judged):
    expected = [f"rq1-{c}" for c in "abcdefg"] + [f"rq2-{c}" for c in "abcdef"] + [f"rq3-{c}" for c in "abcdef"]
    expected += [f"rq4-{c}" for c in "abcd"] + [f"rq5-{c}" for c in "abcdefghi"]
    assert list(judged) == [*expected, "set-a", "set-b", "sec-a", "sec-b"]


def test_counts_that_the_documentation_states(judged):
    words = {"holds": 13, "holds in part": 20, "fails": 2, "cannot be decided": 1}
    assert report.counts(list(judged.values())) == words


def test_the_documentation_states_the_counts(judged):
    hold, part, fail, undecided = report.counts(list(judged.values())).values()
    page, readme = (" ".join((ROOT / name).read_text(encoding="utf-8").split()) for name in ("docs/claims.md", "README.md"))
    assert f"{len(judged)} claims: {hold} hold, {part} hold in part, {fail} fail, {undecided} cannot be decided" in page
    assert (
        f"Of {len(judged)} claims in the text, {hold} hold on the printed numbers, {part} hold in part, {fail} fail and "
        f"{undecided} cannot be decided" in readme
    )


def test_the_documentation_names_those_that_hold_or_fail(judged):
    lines = {
        line.split("**")[1]: line for line in " ".join((ROOT / "docs/claims.md").read_text().split()).split("- ") if "**" in line
    }
    for heading, word in (("Hold", "holds"), ("Fail", "fails")):
        assert {name for name in judged if name in lines[heading]} == {name for name in judged if judged[name].word == word}


FINDINGS = {
    ("rq4-b", "TruthfulQA"): ("strict", "1 of 38", None),
    ("rq4-c", "GPTQ"): ("fails", "largest drops: gsm8k -3.742, ifeval", "largest drops: gsm8k -3.742;"),
    ("rq4-c", "AWQ"): ("lenient", "largest drops: ifeval -4.387, gsm8k -2.698", "largest drops: ifeval -4.387;"),
    ("rq4-c", "SmoothQuant"): ("lenient", "mmlu_pro -8.712, mmlu -2.786", ""),
    ("rq4-c", "FP8"): ("lenient", "math_lvl5 -0.550", ""),
    ("rq4-c", "single rows"): ("fails", "gsm8k 11 (stated 0); mmlu 1 (stated 0); math_lvl5 2 (stated 0)", None),
    ("rq4-d", "GPTQ"): ("lenient", "28 of 45", "mean -3.626 against -1.854"),
    ("rq4-d", "AWQ"): ("lenient", "16 of 35", "mean -1.988 against -1.175"),
    ("rq5-a", "models of Figure 2"): ("lenient", "coding -0.438, extraction -0.225 (stated coding -0.438, stem -0.183)", ""),
    ("rq5-a", "all models"): ("lenient", "coding -0.482, humanities -0.304", ""),
    ("rq5-b", "models of Figure 2"): ("lenient", "mean 0.617 against 1.000", ""),
    ("rq5-b", "all models"): ("lenient", "mean 0.266 against 1.000", ""),
    ("rq5-c", "mean of both methods"): ("fails", "8 of 12", ""),
    ("rq5-c", "GPTQ"): ("fails", "8 of 12", ""),
    ("rq5-c", "AWQ"): ("lenient", "8 of 12", "9 of 12"),
    ("rq5-d", "Coding"): ("strict", "coding 16 with ties, 15 without (stated 16)", ""),
    ("rq5-d", "Humanities"): ("fails", "humanities 11 (stated 12)", ""),
    ("rq5-d", "Extraction"): ("fails", "extraction 13 with ties, 12 without (stated 10)", ""),
    ("rq5-g", "GPTQ"): ("strict", "mean -0.292 against -0.225", "8 of 12"),
    ("rq5-g", "AWQ"): ("fails", "mean -0.016 against -0.116", "4 of 12"),
    ("sec-a", "70B models"): ("fails", "12 of 14", "7 of 14"),
    ("sec-a", "1B model"): ("fails", "0 of 4", "3 of 4"),
}
WORDS = {
    verdict.HOLDS: ["rq1-d", "rq4-b"],
    verdict.IN_PART: ["rq4-c", "rq5-a", "rq5-b", "rq5-d", "rq5-g"],
    verdict.FAILS: ["sec-a", "set-a"],
    verdict.OPEN: ["sec-b"],
}


def test_some_verdicts(judged):
    assert {word: [name for name in names if judged[name].word == word] for word, names in WORDS.items()} == WORDS


@pytest.mark.parametrize(("claim", "part"), FINDINGS)
def test_the_numbers_behind_some_verdicts(judged, claim, part):
    status, strict, lenient = FINDINGS[claim, part]
    found = next(one for one in judged[claim].parts if one.spec.says == part)
    assert found.status == status and strict in found.strict.summary
    assert (found.lenient is None) == (lenient is None) and (not lenient or lenient in found.lenient.summary)


def test_readings_that_rest_on_a_misprint_say_so(judged):
    """56.69 makes MMLU the largest drop of Llama-3.2-3B SmoothQuant; 59.69, which the audit takes for right, does not."""
    changed = {(name, part.spec.says): part.corrected for name, one in judged.items() for part in one.parts if part.corrected}
    assert set(changed) == {("rq4-c", "SmoothQuant"), ("rq4-c", "single rows")}
    assert "mmlu 1 (stated 0)" in judged["rq4-c"].parts[-1].strict.summary
    assert "mmlu 0 (stated 0)" in changed["rq4-c", "single rows"].strict.summary
    assert "mmlu -2.186" in changed["rq4-c", "SmoothQuant"].strict.summary
    row = next(row for row in report.rows([judged["rq4-c"]]) if row["part"] == "single rows")
    assert "mmlu 0 (stated 0)" in row["corrected"]
    assert "With the audit's corrections" in report.html([judged["rq4-c"]], "published").replace("&#39;", "'")


def test_the_models_of_figure_2_are_those_that_the_paper_shows():
    assert claims().sets["figure2_models"] == tuple(config.load().study("paper").figure2_models)


def test_what_occasionally_happens_has_no_counterexamples(judged):
    assert not [case for part in judged["rq4-b"].parts for case in part.strict.counterexamples]


@pytest.mark.parametrize(("family", "others"), [("gptq", "-4.461"), ("awq", "-3.206")])
def test_the_lenient_reading_of_rq4_d_rests_on_leaving_out_the_1b_model(judged, family, others):
    part = next(part for part in judged["rq4-d"].parts if part.spec.says.lower() == family)
    assert part.lenient.holds
    grid, spec = scores.published(PUBLISHED), claims()
    where = {"family": family, "w_bits": 4, "benchmark": "gsm8k"}
    small, other = (where | {"model": f"@{name}"} for name in ("size_2b_to_7b", "size_other"))
    with_it = predicates.mean_is(scores.Scores(spec, grid, grid, True), small, "below", right=other)
    assert not with_it.holds and others in with_it.summary
    assert f"{abs(float(others)):.2f} {family.upper()}" in judged["rq4-d"].spec.note


def test_losses_of_the_small_model_in_points(judged):
    cases = next(part for part in judged["sec-a"].parts if part.spec.says == "1B model").strict.cases
    assert [case.value for case in cases] == [-10.14, -5.72, -5.08, -2.85]


@pytest.mark.parametrize(("ties", "x", "y"), [(True, 1, 1), (False, 0, 0)])
def test_a_tie_across_the_last_place_counts_or_not(ties, x, y):
    frame = table(("x", "a", "fp16", 50.0), ("x", "a", "awq", 48.0), ("y", "a", "fp16", 50.0), ("y", "a", "awq", 48.0))
    found = predicates.count_in_top(
        scores.Scores(ClaimsSpec(()), frame, frame, printed=True),
        **TOP | {"expected": [("x", x), ("y", y)]},
        ties=ties,
    )
    assert found.holds and "x 1 with ties, 0 without" in found.summary


@pytest.mark.parametrize("order", [("x", "y", "z"), ("z", "y", "x"), ("y", "x", "z")])
def test_groups_that_tie_for_the_last_place_are_judged_alike_in_any_order(order):
    """Means of -0.3 that binary floats tell apart: x and y tie, and z is unchanged."""
    drops = {"x": (0.1, 0.2, 0.6), "y": (0.6, 0.2, 0.1), "z": (0.0, 0.0, 0.0)}
    rows = [(name, f"m{n}", "fp16", 50.0) for name in order for n in range(3)]
    rows += [(name, f"m{n}", "awq", 50.0 - drop) for name in order for n, drop in enumerate(drops[name])]
    frame = table(*rows)
    tied = scores.Scores(ClaimsSpec(()), frame, frame, printed=True)
    for name in ("x", "y"):
        assert predicates.extreme(tied, AWQ, "benchmark", [name]).holds
        assert not predicates.largest_drops(tied, AWQ, "benchmark", [name], top=1, at_most=0).holds
    assert not predicates.extreme(tied, AWQ, "benchmark", ["z"], match="any").holds
    assert predicates.extreme(tied, AWQ, "benchmark", ["x", "y"]).holds


def test_a_percentage_of_zero_is_missing():
    frame = table(("x", "a", "fp16", 0.0), ("x", "a", "awq", 1.0))
    found = predicates.each(scores.Scores(ClaimsSpec(()), frame, frame, printed=True), AWQ, "above", 98.5, of="recovery")
    assert found.holds is None


def cells_of(change=lambda row: row.value):
    """Cell records that hold the published numbers."""
    made, variant = [], ["model", "method", "bits"]
    grid = frames.published_scores(PUBLISHED)
    for row in grid[grid["benchmark"] != "average"].itertuples():
        names = {name: getattr(row, name) for name in (*variant, "benchmark")}
        made.append(factories.cell_record(study="paper", **names, score=change(row)))
    for names, group in scores.published_ratings(PUBLISHED).groupby(variant):
        values = dict(zip(group["benchmark"], group["value"], strict=True))
        identity = dict(zip(variant, names, strict=True)) | {"benchmark": "mt_bench"}
        made.append(factories.cell_record(study="paper", **identity, score=values.pop("average"), ratings=values))
    return made


def words(cells):
    values = scores.regenerated(PUBLISHED, cells)
    found = verdict.judge(claims(), scores.Scores(claims(), scores.published(PUBLISHED), values, printed=False))
    return {one.spec.id: one.word for one in found}


MISPRINTS = {("llama-3.2-3b-it", "smoothquant", "mmlu"): 59.69, ("llama-3.1-405b-it", "fp8", "gpqa"): 27.47}


@pytest.mark.parametrize(
    ("misprints", "differ"),
    [
        # averages come out of the cells here: two claims stumble over cells that the audit calls misprinted
        ({}, {"rq1-d", "rq2-b"}),
        # FP16 of Llama-3.2-1B averages 47.815, a tie that the paper prints as 47.81 and that is 47.82 here
        (MISPRINTS, {"rq1-d"}),
    ],
)
def test_regenerated_cells_with_the_published_numbers_give_the_published_verdicts(judged, misprints, differ):
    found = words(cells_of(lambda row: misprints.get((row.model, row.method, row.benchmark), row.value)))
    expected = {name: one.word for name, one in judged.items()} | {"set-a": verdict.OPEN, "set-b": verdict.OPEN}
    assert {name for name in expected if found[name] != expected[name]} == differ


def test_other_numbers_give_other_verdicts():
    found = words(cells_of(lambda row: row.value + 10 * (row.method == "gptq-autoround")))
    assert found["rq3-a"] == found["rq3-b"] == verdict.FAILS


def test_a_few_cells_decide_only_what_they_can(tmp_path):
    few = [cell for cell in cells_of() if cell.cell.model == "llama-3.2-1b-it"]
    found = verdict.run(claims(), PUBLISHED, factories.write_records(tmp_path, few))
    assert {one.spec.id: one.word for one in found}.items() >= {"rq3-a": "holds", "rq4-a": "cannot be decided"}.items()


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
    ("predicate", "parameters", "message"),
    [
        ("guess", {}, "no predicate 'guess'"),
        ("each", {"select": {}, "relation": "above", "than": 0, "colour": 1}, "each.*argument 'colour'"),
        ("each", {"select": {}}, "each.*'relation' and 'than'"),
        ("each", {"select": {}, "relation": "above", "than": "x"}, "unsupported operand"),
        ("each", {"select": {}, "relation": "over", "than": 0}, "no relation 'over'"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_bad_reading_is_refused_with_its_place(few, predicate, parameters, message, lenient):
    good, bad = ReadingSpec("", "absent", {"select": {}}), ReadingSpec("", predicate, parameters)
    part = PartSpec("", good, bad) if lenient else PartSpec("", bad)
    with pytest.raises(UserError, match=f"{message}") as raised:
        verdict.judge(ClaimsSpec((ClaimSpec("rq2-c", "p", "s", (part,)),)), few)
    assert str(raised.value).startswith("config/published/claims.yaml: ")


def test_an_entry_of_another_form_is_refused_when_the_configuration_is_read(tmp_path):
    with pytest.raises(UserError, match="surprise"):
        with_entry(tmp_path, lambda found: found["rq2-c"]["parts"][0].update(surprise=1))


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


def test_a_study_without_any_printed_benchmark_has_no_scores_for_claims():
    record = factories.make_cell(study="s", benchmark="wikitext")
    record["cell"]["suite"] = "fidelity"
    cell = typed.build(CellRecord, record, "cell.json")
    found = scores.regenerated(PUBLISHED, [cell])
    assert found.empty and set(scores.QUANTITIES) <= set(found.columns)
