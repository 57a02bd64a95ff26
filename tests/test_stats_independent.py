"""Paired statistics held to R, nemo-evaluator and statsmodels on the fixed pairs of tests/independent."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.stats import family, paired, procedures
from shared import ROOT
from test_stats import PLAIN, joined, questions

PAIRS = pd.read_csv(ROOT / "tests/independent/pairs.csv")
EXPECTED = pd.read_csv(ROOT / "tests/independent/expected.csv").set_index(["software", "case", "measure"])["value"].sort_index()
R, NEL = "R 4.2.2", "nemo-evaluator 0.3.0"
TO_SIX_DIGITS = 1e-4
"""nemo-evaluator rounds shares to six digits; these are points."""


def rows_of(case: str) -> pd.DataFrame:
    return PAIRS[PAIRS["case"] == case].reset_index(drop=True)


def both_sides(case: str) -> pd.DataFrame:
    rows = rows_of(case)
    a, b = (
        pd.concat([questions(task, group[side].to_numpy(), correct=case == "answers") for task, group in rows.groupby("task")])
        for side in "ab"
    )
    if case in ("clusters", "uneven"):
        a["cluster"] = rows["cluster"].to_numpy()
    return joined(a, b)


def compared(case: str) -> paired.Comparison:
    rule = Aggregation(True, {"one": 0.0, "two": 0.0}) if case == "subtasks" else PLAIN
    return paired.compare(both_sides(case), rule, resamples=500)


IN_R = [place[1:] for place in EXPECTED.index if place[0] == R and place[1] not in ("family", "power")]


@pytest.mark.parametrize(("case", "measure"), IN_R, ids=map(" ".join, IN_R))
def test_as_in_r(case, measure):
    assert getattr(compared(case), measure) == pytest.approx(EXPECTED[R, case, measure], rel=1e-9)


def test_the_family_of_benjamini_and_hochberg_is_adjusted_as_in_r():
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1.0]
    rows = [{"p_value": value, "benchmark": str(n), "floor": None, "warnings": []} for n, value in enumerate(p)]
    family.correct(rows)
    for number, row in enumerate(rows, 1):
        for name in ("p_holm", "p_bh"):
            assert row[name] == pytest.approx(EXPECTED[R, "family", f"{name} {number}"], rel=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 11])
def test_the_detectable_difference_is_that_of_power_t_test(freedom):
    assert procedures.detectable(1.0, freedom) == pytest.approx(EXPECTED[R, "power", str(freedom)], rel=1e-5)


def test_flips_and_exact_p_are_those_of_nel_compare():
    found, said = compared("answers"), EXPECTED[NEL, "answers"]
    counts = (found.both_right, found.a_right_b_wrong, found.a_wrong_b_right, found.both_wrong)
    theirs = ("both_correct", "baseline_only_correct", "candidate_only_correct", "both_wrong")
    assert counts == tuple(said[name] for name in theirs)
    assert found.p_check == pytest.approx(2 * said["p_one_sided"], abs=2e-6)  # it tests one side
    assert found.difference == pytest.approx(said["difference"], abs=TO_SIX_DIGITS)


@pytest.mark.parametrize("case", ["answers", "values"])
def test_the_t_interval_is_that_of_nel_gate(case):
    found, said = compared(case), EXPECTED[NEL, case]
    test = procedures.t_test(found.difference, found.spread.difference, found.spread.freedom)
    assert (test.low, test.high) == pytest.approx((said["t low"], said["t high"]), abs=TO_SIX_DIGITS)


def test_clusters_of_unequal_size_are_those_of_nel_gate_and_statsmodels():
    found, rows = compared("uneven"), rows_of("uneven")
    assert np.sqrt(found.spread.difference) == pytest.approx(EXPECTED[NEL, "uneven", "error"], abs=TO_SIX_DIGITS)
    gaps, clusters = 100 * (rows["b"] - rows["a"]), pd.factorize(rows["cluster"])[0]
    fit = sm.OLS(gaps, np.ones(len(gaps))).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    assert found.p_value == pytest.approx(fit.pvalues.iloc[0], rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int().iloc[0]), rel=1e-9)
