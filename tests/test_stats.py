"""Paired statistics against published worked examples, scipy and statsmodels, and on cell records."""

import csv
import json
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path

import factories
import numpy as np
import pandas as pd
import pytest
from edge2giant import config, records, specs
from edge2giant.errors import UserError
from edge2giant.plan import score as planned
from edge2giant.scoring import samples as sample_tables
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.scoring.cell import aggregation_of
from edge2giant.specs.score import StatisticsSpec
from edge2giant.specs.variant import Variant
from edge2giant.stats import __main__ as command
from edge2giant.stats import family, paired, procedures, samples, simulation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

CONFIG = Path(__file__).resolve().parent.parent / "config"
FEW = 500


def questions(task, values, metric="acc", correct=True, weight=1.0):
    """Sample rows of one task from its values."""
    return pd.DataFrame(
        {
            "task": task,
            "metric": metric,
            "doc_id": range(len(values)),
            "doc_hash": [f"{task} {n}" for n in range(len(values))],
            "target_hash": "t",
            "prompt_hash": "p",
            "prediction": [str(value) for value in values],
            "correct": [bool(value) for value in values] if correct else None,
            "value": [float(value) for value in values],
            "weight": weight,
            "cluster": None,
        }
    )


def joined(a, b):
    both = a.merge(b, on=samples.KEY, suffixes=("_a", "_b"))
    alone = both["task"] + " " + both["doc_id"].astype(str)
    return both.rename(columns={"weight_a": "weight"}).assign(cluster=both["cluster_a"].fillna(alone))


def compare(a, b, rule, cluster=None, **options):
    both = joined(a, b)
    if cluster is not None:
        both["cluster"] = cluster
    return paired.compare(both, rule, resamples=FEW, **options)


def two_by_two(both_right, a_only, b_only, both_wrong):
    """0/1 answers of two sides with these counts."""
    a = [1] * both_right + [1] * a_only + [0] * b_only + [0] * both_wrong
    b = [1] * both_right + [0] * a_only + [1] * b_only + [0] * both_wrong
    return questions("t", a), questions("t", b)


PLAIN = Aggregation(False, {"t": 0.0})


def test_agresti_approval_ratings():
    """Agresti, Categorical Data Analysis, 2nd ed., section 10.1: 794, 150, 86, 570 of 1,600 asked twice.

    The difference of -0.04 has standard error 0.0095 and the 95 % interval -0.06 to -0.02.
    """
    found = compare(*two_by_two(794, 150, 86, 570), PLAIN)
    assert found.difference == pytest.approx(-4.0)
    assert (round(found.low / 100, 2), round(found.high / 100, 2)) == (-0.06, -0.02)
    assert (found.high - found.low) / 2 / 1.96 / 100 == pytest.approx(0.0095, abs=1.5e-4)
    assert (found.both_right, found.a_right_b_wrong, found.a_wrong_b_right, found.both_wrong) == (794, 150, 86, 570)
    assert found.test == "McNemar"


def test_fagerland_airway_example():
    """Fagerland, Lydersen, Laake 2013 (BMC Med Res Methodol 13:91), Table 1: 1 and 7 discordant of 21.

    Exact p = 2 * sum over k <= 1 of binom(8, k) / 2^8 = 18 / 256.
    """
    found = compare(*two_by_two(1, 1, 7, 12), PLAIN)
    assert found.p_check == pytest.approx(18 / 256)
    assert found.p_value == pytest.approx(stats.chi2.sf(36 / 8, 1))  # their asymptotic test
    assert found.agreement == pytest.approx(13 / 21)
    assert found.recovery is None  # 2 of 21 right are within two errors of 0


def test_chance_stretches_difference_and_interval():
    sides = two_by_two(300, 60, 30, 156)
    plain, stretched = compare(*sides, PLAIN), compare(*sides, Aggregation(False, {"t": 0.25}, clip=True))
    for name in ("difference", "low", "high", "detectable"):
        assert getattr(stretched, name) == pytest.approx(getattr(plain, name) / 0.75)
    assert stretched.p_value == plain.p_value


def test_equal_sides_differ_by_nothing():
    side = questions("t", [0.2, 0.5, 0.9], correct=False)
    found = compare(side, side, PLAIN)
    assert (found.difference, found.low, found.high, found.p_value, found.agreement) == (0, 0, 0, 1, 1)
    assert "no answer changed" in found.warnings[0]


def test_mean_of_subtasks_weighs_them_alike():
    sides = [pd.concat([questions("big", [x] * 90), questions("small", y)]) for x, y in ((1, [0] * 10), (1, [1] * 5 + [0] * 5))]
    macro = compare(*sides, Aggregation(True, {"big": 0.0, "small": 0.0}))
    micro = compare(*sides, Aggregation(False, {"big": 0.0, "small": 0.0}))
    assert macro.difference == pytest.approx(25.0)
    assert micro.difference == pytest.approx(5.0)
    assert (macro.test, micro.test) == ("paired t", "McNemar")


def test_two_metrics_are_averaged_and_weighted():
    def side(prompt, instructions):
        return pd.concat(
            [
                questions("ifeval", prompt, "prompt_level_strict_acc"),
                questions("ifeval", instructions, "inst_level_strict_acc", correct=False, weight=[3.0, 1.0]),
            ]
        )

    found = compare(side([0, 1], [1 / 3, 1.0]), side([1, 1], [1.0, 1.0]), Aggregation(False, {"ifeval": 0.0}))
    assert found.score_a == pytest.approx(100 * (0.5 + 2 / 4) / 2)
    assert found.score_b == pytest.approx(100.0)
    assert (found.a_wrong_b_right, found.both_right) == (1, 1)


def test_a_metric_that_some_questions_lack_is_refused():
    side = pd.concat([questions("t", [1, 0], "strict"), questions("t", [1], "loose")])
    with pytest.raises(UserError, match="t: a metric is missing for some questions"):
        compare(side, side, PLAIN)


def test_a_score_below_chance_is_clipped_and_says_so():
    found = compare(
        questions("t", [0, 0, 0, 1] * 10),
        questions("t", [0, 0, 0, 0] * 10),
        Aggregation(False, {"t": 0.3}, clip=True),
    )
    assert (found.score_a, found.score_b, found.difference) == (0, 0, 0)
    assert found.p_value < 0.05 and found.high < 0
    assert "without that, -35.71" in found.warnings[0]


# Cell records on disk


@cache
def loaded():
    return config.load()


def aggregation(found, benchmark):
    """How cells of the paper's study are aggregated."""
    if benchmark == "mt_bench":
        return Aggregation(False, dict.fromkeys(factories.CATEGORIES, 0.0), scale=1.0)
    variant = Variant("llama-3.1-8b-it", "fp16", "w16a16")
    return aggregation_of(planned.score_spec(found, found.study("paper"), variant, benchmark))


def write_cell(folder, benchmark, method, rows, score, **identity):
    """A cell record with its per-sample table beside it."""
    bits = "w16a16" if method == "fp16" else "w4a16"
    folder = folder / method / bits
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"{benchmark}.samples.parquet"
    sample_tables.write(table, rows.to_dict("records"))
    reference = {"path": table.as_posix(), "sha256": records.file_sha256(table), "rows": len(rows)}
    names = {"study": "paper", "model": "llama-3.1-8b-it", "method": method, "bits": bits, "benchmark": benchmark}
    cell = factories.make_cell(**(names | identity), score=score, samples=reference)
    cell["aggregation"] = asdict(aggregation(loaded(), benchmark))
    path = folder / f"{benchmark}.json"
    path.write_text(json.dumps(cell))
    return path


def gsm8k(folder, method, answers, **identity):
    rows = questions("gsm8k", answers, "exact_match")
    return write_cell(folder, "gsm8k", method, rows, 100 * float(np.mean(answers)), **identity)


def test_pair_prints_the_comparison(tmp_path, capsys):
    a = gsm8k(tmp_path, "fp16", [1, 1, 1, 0, 1, 1, 0, 1])
    b = gsm8k(tmp_path, "awq", [1, 0, 1, 0, 0, 1, 1, 1])
    command.main(["pair", "--a", str(a), "--b", str(b), "--resamples", "200"])
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] == pytest.approx(-12.5)
    assert (found["a_right_b_wrong"], found["a_wrong_b_right"]) == (2, 1)
    assert (found["method_a"], found["method_b"], found["check"]) == ("fp16", "awq", "exact McNemar")
    assert found["p_check"] == 1.0


@pytest.mark.parametrize(
    ("benchmark", "changes", "message"),
    [
        ("gsm8k", {"doc_hash": ["gsm8k 0", "x", "gsm8k 2"]}, "1 questions differ in their document: gsm8k 1"),
        ("gsm8k", {"target_hash": ["t", "t", "x"]}, "1 questions differ in their target: gsm8k 2"),
        ("gsm8k", {"doc_id": [0, 1, 3]}, r"2 questions are on one side alone: gsm8k 2, gsm8k 3 only in .*fp16"),
        ("winogrande", {}, "one benchmark"),
        ("gsm8k", {"value": [0.0, 0.0, 0.0]}, r"awq/w4a16/gsm8k: samples give 0\.0+, the cell says 66\.6"),
    ],
)
def test_cells_that_do_not_pair_are_refused(tmp_path, benchmark, changes, message):
    rows = questions("gsm8k", [1, 0, 1], "exact_match")
    a = write_cell(tmp_path, "gsm8k", "fp16", rows, 200 / 3)
    b = write_cell(tmp_path, benchmark, "awq", rows.assign(**changes), 200 / 3)
    with pytest.raises(UserError, match=message):
        command.main(["pair", "--a", str(a), "--b", str(b)])


def test_a_table_that_was_changed_is_refused(tmp_path):
    a, b = gsm8k(tmp_path, "fp16", [1, 0]), gsm8k(tmp_path, "awq", [1, 0])
    sample_tables.write(b.with_name("gsm8k.samples.parquet"), questions("gsm8k", [0, 0], "exact_match").to_dict("records"))
    with pytest.raises(UserError, match="not the table that the cell was made from"):
        command.main(["pair", "--a", str(a), "--b", str(b)])


def test_other_prompts_are_paired_with_a_warning(tmp_path):
    a = gsm8k(tmp_path, "fp16", [1, 0, 1])
    rows = questions("gsm8k", [1, 1, 1], "exact_match")
    rows["prompt_hash"] = "other"
    b = write_cell(tmp_path, "gsm8k", "awq", rows, 100.0)
    found = family.compare(samples.read(a), samples.read(b), resamples=50)
    assert found["warnings"] == ["3 prompts differ"]


def v1_cells(folder, shift, method="awq"):
    """All six benchmarks of leaderboard v1 for FP16 and a method, FP16 first, the method worse by `shift` questions of forty."""
    paths, rng = [], np.random.default_rng(3)
    for benchmark in factories.SUITES["leaderboard_v1"]:
        tasks = sorted(loaded().benchmarks[benchmark].tasks)
        answers = rng.permutation([1] * 30 + [0] * 10)
        worse = answers.copy()
        worse[np.flatnonzero(answers)[:shift]] = 0
        for name, values in (("fp16", answers), (method, worse)):
            rows = pd.concat([questions(task, values, correct=benchmark != "truthfulqa") for task in tasks])
            paths.append(write_cell(folder, benchmark, name, rows, 100 * float(values.mean())))
    return paths


SUITES = {"leaderboard_v1": factories.SUITES["leaderboard_v1"]}


def spec_options(folder):
    digest = specs.write(StatisticsSpec("paper", SUITES), folder)
    return ["--spec", str(specs.path(folder, digest)), "--spec-digest", digest]


def test_a_cell_given_twice_is_refused(tmp_path):
    cells = [samples.read(gsm8k(tmp_path, "fp16", [1, 0]))] * 2
    with pytest.raises(UserError, match="given twice"):
        family.pairs(cells, "fp16/w16a16")


def test_mt_bench_turns_of_a_question_are_one_cluster(tmp_path):
    rng, paths = np.random.default_rng(5), []
    for method in ("fp16", "awq"):
        parts, ratings = [], []
        for number, category in enumerate(factories.CATEGORIES):
            for turn in ("turn 1", "turn 2"):
                values = rng.integers(1, 11, 10)
                rows = questions(category, values, turn, correct=False)
                rows["doc_id"] += 81 + 10 * number
                parts.append(rows)
                ratings += list(values)
        paths.append(write_cell(tmp_path, "mt_bench", method, pd.concat(parts), float(np.mean(ratings))))
    found = family.compare(*(samples.read(path) for path in paths), resamples=200)
    assert (found["clusters"], found["questions"]) == (80, 80)
    assert found["low"] < found["difference"] < found["high"]
    assert found["a_right_b_wrong"] is None


def test_the_package_imports_nothing_heavy():
    code = "import sys, edge2giant.stats, edge2giant.audit, edge2giant.claims; print(*sys.modules)"
    workflow = CONFIG.parent / "workflow"
    run = subprocess.run([sys.executable, "-c", code], cwd=workflow, capture_output=True, text=True, check=True)
    assert not {"pandas", "numpy", "scipy", "statsmodels"} & set(run.stdout.split())


# Tests, intervals and checks


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=60))
def test_mcnemar_is_that_of_statsmodels_and_its_interval_agrees(answers):
    a, b = ([int(pair[side]) for pair in answers] for side in (0, 1))
    found = compare(questions("t", a), questions("t", b), PLAIN)
    table = [[0, sum(x and not y for x, y in answers)], [sum(y and not x for x, y in answers), 0]]
    assert found.p_check == pytest.approx(mcnemar(table, exact=True).pvalue)
    if np.sum(table):
        assert found.p_value == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue)
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)
    assert found.low <= found.difference <= found.high and found.low < found.high
    other = compare(questions("t", b), questions("t", a), PLAIN)
    assert (other.low, other.high, other.p_value) == pytest.approx((-found.high, -found.low, found.p_value), abs=1e-6)


def test_tango_interval():
    """Fagerland, Lydersen, Laake 2014 (Statistics in Medicine 33:2850): 1, 1, 7, 12 gives -0.517 to -0.026.

    Without any change the limits are z^2 / (n + z^2) (Tango 1998, Statistics in Medicine 17:891).
    """
    found = procedures.mcnemar(7, 1, 21)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=5e-4)
    z2 = stats.norm.ppf(0.975) ** 2
    none = procedures.mcnemar(0, 0, 30)
    assert (none.low, none.high, none.p_value) == pytest.approx((-z2 / (30 + z2), z2 / (30 + z2), 1.0), abs=1e-6)
    assert (procedures.mcnemar(9, 0, 9).low, procedures.mcnemar(0, 9, 9).high) == (-1, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 4]))
def test_interval_excludes_zero_exactly_where_the_test_rejects(seed, size):
    rng = np.random.default_rng(seed)
    a = rng.uniform(size=24)
    b = a + rng.normal(0.1, 0.2, size=24)
    sides = (questions("t", side, correct=False) for side in (a, b))
    found = compare(*sides, PLAIN, cluster=(np.arange(24) // size).astype(str))
    assert found.test == "paired t"
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)
    disagrees = (found.p_value < 0.05) != (found.p_check < 0.05)
    assert any("the check disagrees" in one for one in found.warnings) == disagrees


def test_independent_values_give_the_paired_t_test_of_scipy():
    rng = np.random.default_rng(0)
    a = rng.uniform(size=60)
    b = a - 0.05 + 0.1 * rng.normal(size=60)
    found = compare(questions("t", a, correct=False), questions("t", b, correct=False), PLAIN)
    theirs = stats.ttest_rel(b, a)
    interval = theirs.confidence_interval(0.95)
    assert (found.low, found.high, found.p_value) == pytest.approx((100 * interval.low, 100 * interval.high, theirs.pvalue))
    assert found.a_right_b_wrong is None


def test_clusters_give_the_t_test_of_their_sums():
    """Passages of equal size count as one observation each: the t-test of their means."""
    rng = np.random.default_rng(1)
    a, b = (np.repeat(rng.integers(0, 2, 20), 4) for _ in "ab")
    passages = (np.arange(80) // 4).astype(str)
    found = compare(questions("t", a), questions("t", b), PLAIN, cluster=passages)
    theirs = stats.ttest_rel(b.reshape(20, 4).mean(1), a.reshape(20, 4).mean(1))
    assert (found.clusters, found.questions) == (20, 80)
    assert found.p_value == pytest.approx(theirs.pvalue)
    alone = compare(questions("t", a), questions("t", b), PLAIN)
    assert 1.6 < (found.high - found.low) / (alone.high - alone.low) < 2.4


def test_two_subtasks_have_the_degrees_of_freedom_of_welch():
    """The mean of two subtasks against 0 is Welch's test of one subtask's gains against the other's losses."""
    rng = np.random.default_rng(2)
    one, two = rng.normal(0.1, 1, 12), rng.normal(0.3, 3, 30)
    zeros = [questions(task, np.zeros(len(gaps)), correct=False) for task, gaps in (("one", one), ("two", two))]
    moved = [questions(task, gaps, correct=False) for task, gaps in (("one", one), ("two", two))]
    found = compare(pd.concat(zeros), pd.concat(moved), Aggregation(True, {"one": 0.0, "two": 0.0}))
    theirs = stats.ttest_ind(one, -two, equal_var=False)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.spread.freedom == pytest.approx(theirs.df)


def test_a_question_of_two_subtasks_is_one_unit():
    """GPQA's sets hold each other: asking the same question thrice does not make three of it."""
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 2, 50) for _ in "ab")
    sides = [pd.concat([questions(task, side) for task in ("x", "y", "z")]) for side in (a, b)]
    both = joined(*sides)
    rule = Aggregation(False, dict.fromkeys("xyz", 0.0))
    thrice = paired.compare(both.assign(cluster=both["doc_id"].astype(str)), rule, resamples=FEW)
    once = stats.ttest_rel(b, a)
    assert thrice.clusters == 50
    assert thrice.p_value == pytest.approx(once.pvalue)


def test_few_pairs_give_the_exact_permutation_p_value():
    a, b = (questions("t", np.arange(1, 6) / 10 * factor, correct=False) for factor in (1, 2))
    # all five differences have one sign: 2 of 2^5 swaps are as extreme
    found = compare(a, b, PLAIN)
    assert (found.p_check, found.floor) == pytest.approx((2 / 32, 2 / 32))


@pytest.mark.parametrize("count", [6, 9, 40])
def test_the_permutation_test_is_that_of_scipy(count):
    """Exactly where every swap is counted (2^6, 2^9), within its error where they are drawn."""
    gaps = np.random.default_rng(count).normal(0.3, 1, count)
    theirs = stats.permutation_test(
        (gaps, np.zeros(count)), lambda x, y, axis: np.sum(x - y, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=4000, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    ours = procedures.permutation(gaps, 4000, np.random.default_rng(2))
    assert ours == pytest.approx(theirs, abs=0.03 if count == 40 else 1e-12)


def test_permutation_weighs_subtasks_as_the_score_does():
    """Three falls of 12.5 and one rise of 25: whichever way they are swapped, the sum is 12.5 or more."""
    a = pd.concat([questions("big", [1, 1, 1, 1]), questions("small", [0, 0])])
    b = pd.concat([questions("big", [0, 0, 0, 1]), questions("small", [1, 0])])
    found = compare(a, b, Aggregation(True, {"big": 0.0, "small": 0.0}))
    assert found.difference == pytest.approx(-12.5)
    assert found.p_check == 1.0


def test_where_all_differences_are_equal_the_check_stands_in_for_the_test():
    sides = [pd.concat([questions("one", [x] * 50), questions("two", [0] * 50)]) for x in (0, 1)]
    found = compare(*sides, Aggregation(True, {"one": 0.0, "two": 0.0}))
    assert (found.low, found.high) == (50.0, 50.0)
    assert found.p_value == found.p_check < 0.01
    assert "all units differ alike, so the interval has no width" in found.warnings[0] and found.test == "permutation"


@pytest.mark.parametrize(
    "tasks",
    [
        {"t": ([0.5], [0.6])},
        {"t": ([0.5, 0.25, 0.75], [0.5, 0.5, 0.25]), "u": ([0.9], [0.1])},  # one subtask of two
    ],
)
def test_a_subtask_of_one_unit_leaves_the_spread_unknown(tasks):
    """No interval, no power and no recovery can be given; the permutation test holds."""
    sides = [pd.concat([questions(task, both[n], correct=False) for task, both in tasks.items()]) for n in (0, 1)]
    found = compare(*sides, Aggregation(True, dict.fromkeys(tasks, 0.0)))
    assert all(np.isnan(x) for x in (found.low, found.high, found.detectable))
    assert found.recovery is found.recovery_low is None
    assert (found.p_value, found.test) == (found.p_check, "permutation")
    assert found.p_value > 0.05 and found.warnings == ["1 subtask has one cluster, so the spread is unknown"]


def test_one_question_is_no_evidence():
    found = compare(*two_by_two(0, 1, 0, 0), PLAIN)
    assert found.low == -100 and found.high > 50 and found.p_value > 0.3
    assert np.isnan(found.detectable)  # 785 points are no score


def test_recovery_has_no_interval_where_nothing_varies():
    """Nothing changed on few questions is no proof that nothing would: Tango's interval of the difference is 20 points wide."""
    found = compare(*two_by_two(10, 0, 0, 5), PLAIN)
    assert (found.recovery, found.recovery_low, found.recovery_high) == (pytest.approx(100.0), None, None)
    assert found.low < -20 < 20 < found.high


def test_each_comparison_draws_for_itself():
    """Equal counts in two benchmarks get other draws; the same comparison gets the same."""
    rng = np.random.default_rng(2)
    sides = [questions("t", rng.uniform(size=30), correct=False) for _ in range(2)]
    one, same, other, reseeded = (
        compare(*sides, PLAIN, seed=seed, key=key).p_check for seed, key in ((1, "x"), (1, "x"), (1, "y"), (2, "x"))
    )
    assert one == same and len({one, other, reseeded}) == 3
    draws = [paired.generator(1, key).random(2000) for key in ("bbh", "musr")]
    assert abs(np.corrcoef(draws)[0, 1]) < 0.1


def test_the_detectable_difference_is_found_in_four_of_five_samples():
    rng, n, rate = np.random.default_rng(4), 2000, 0.1
    first = compare(*two_by_two(900, 100, 100, 900), PLAIN)
    assert first.detectable == pytest.approx((1.959964 + 0.841621) * 100 * np.sqrt(200) / n, rel=0.01)
    worse = (rate + first.detectable / 100) / 2
    found = 0
    for _ in range(400):
        lost, gained, _ = rng.multinomial(n, [worse, rate - worse, 1 - rate])
        found += procedures.mcnemar(lost, gained, n).p_value < 0.05
    assert 0.72 < found / 400 < 0.88
    assert compare(*two_by_two(15, 0, 0, 15), PLAIN).detectable == pytest.approx(100 * 2.801585**2 / 30, rel=0.001)


def test_recovery_has_an_interval_and_none_near_chance():
    sides = two_by_two(300, 60, 30, 156)
    found = compare(*sides, PLAIN, chance=25.0)
    assert found.recovery == pytest.approx(100 * 330 / 360)
    assert found.recovery_low < found.recovery < found.recovery_high < 100  # the difference is significant
    near = compare(*two_by_two(100, 50, 50, 300), PLAIN, chance=28.0)
    assert (near.recovery, near.recovery_low, near.recovery_high) == (None, None, None)


def test_the_ends_of_the_recovery_interval_are_at_the_edge_of_the_test():
    """Fieller: at either end, b less that ratio times a is just significant."""
    rng = np.random.default_rng(5)
    a = (rng.random(200) < 0.6).astype(float)
    b = np.where(rng.random(200) < 0.2, rng.random(200) < 0.4, a)
    spread = procedures.spread((a - a.mean()) / 200, (b - b.mean()) / 200, np.zeros(200, int))
    for end in procedures.ratio(a.mean(), b.mean(), spread):
        assert stats.ttest_1samp(b - end * a, 0).pvalue == pytest.approx(0.05)
    assert procedures.ratio(0.01, 0.5, spread) is None


# Families and pooled tests


def rows_of(values):
    base = dict.fromkeys(family.IDENTITY, "x")
    return [base | {"p_value": value, "floor": 0.0, "warnings": []} for value in values]


def test_benjamini_hochberg_1995():
    """Benjamini and Hochberg 1995, section 4: 15 p-values; the FDR procedure rejects 4, Holm 3, at 0.05."""
    values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    values += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    rows = rows_of([*values, float("nan")])
    family.correct(rows)
    assert sum(row["p_bh"] <= 0.05 for row in rows) == 4
    assert sum(row["p_holm"] <= 0.05 for row in rows) == 3
    assert np.isnan(rows[-1]["p_holm"])
    assert rows[3]["p_bh"] == pytest.approx(0.0095 * 15 / 4)
    assert [row["p_holm"] for row in rows[:-1]] == pytest.approx(list(multipletests(values, method="holm")[1]))


def ifeval_side(strict):
    """541 prompts of one to three instructions; a prompt that is not followed misses its last instruction."""
    instructions = np.arange(541) % 3 + 1
    share = np.where(strict, 1.0, 1 - 1 / instructions)
    prompt = questions("leaderboard_ifeval", strict.astype(int), "prompt_level_strict_acc")
    return pd.concat(
        [prompt, questions("leaderboard_ifeval", share, "inst_level_strict_acc", correct=False, weight=instructions)]
    )


def test_a_loss_of_thirty_points_on_ifeval_survives_the_paper_s_family():
    """The permutation alone could not: 480 times 2 / 10000 is 0.096."""
    rng = np.random.default_rng(6)
    a = rng.random(541) < 0.8
    b = a & (rng.random(541) < 0.44)
    found = compare(ifeval_side(a), ifeval_side(b), Aggregation(False, {"leaderboard_ifeval": 0.0}))
    assert found.difference < -30 and found.p_value < 1e-20
    rows = [*rows_of([0.5] * 479), dict.fromkeys(family.IDENTITY, "x") | vars(found)]
    family.correct(rows)
    assert rows[-1]["p_holm"] < 1e-15
    assert "the check cannot confirm this after Holm" in rows[-1]["warnings"][-1]
    assert not any(row["warnings"] for row in rows[:-1])


def family_rows(folder, paths):
    prefix = folder / "out" / "paired"
    cells = [str(path) for path in paths]
    command.main(["family", *spec_options(folder), "--cells", *cells, "--out-prefix", str(prefix), "--resamples", "300"])
    with prefix.with_suffix(".csv").open(newline="") as handle:
        return list(csv.DictReader(handle)), json.loads(prefix.with_suffix(".json").read_text())


def test_family_corrects_and_pools(tmp_path, capsys):
    paths = v1_cells(tmp_path, 8)
    lonely = gsm8k(tmp_path / "x", "awq", [1, 0], model="llama-3.2-1b-it")
    rows, document = family_rows(tmp_path, [*paths, lonely])
    assert "no reference fp16/w16a16 for llama-3.2-1b-it/awq/w4a16/gsm8k" in capsys.readouterr().err
    assert document["without_reference"] == ["llama-3.2-1b-it/awq/w4a16/gsm8k"]
    named = {row["benchmark"]: row for row in rows}
    assert set(named) == {*factories.SUITES["leaderboard_v1"], "average", "all"}
    average = named["average"]
    assert float(average["difference"]) == pytest.approx(-20.0)
    assert float(average["low"]) < -20 < float(average["high"]) < 0
    # a suite and a variant are families of their own
    assert average["p_holm"] == average["p_value"] and average["pooled"] == "6"
    assert named["all"]["p_value"] == average["p_value"]
    cells = {name: float(row["p_value"]) for name, row in named.items() if name not in ("average", "all")}
    for name, value in zip(cells, multipletests(list(cells.values()), method="holm")[1], strict=True):
        assert float(named[name]["p_holm"]) == pytest.approx(value)


def test_pooled_test_is_the_stratified_t_test():
    """Two benchmarks of independent values: the mean of their differences, variances added, Welch's degrees of freedom."""
    rng = np.random.default_rng(7)
    gaps = [rng.normal(0.2, 1, 15), rng.normal(0.1, 2, 40)]
    rows = []
    for name, gap in zip(("one", "two"), gaps, strict=True):
        found = compare(questions("t", np.zeros(len(gap)), correct=False), questions("t", gap, correct=False), PLAIN)
        identity = dict.fromkeys(family.IDENTITY, "x") | {"suite": "s", "benchmark": name}
        rows.append(identity | {"unit": "percent", "pooled": 1} | vars(found))
    suite, variant = family.pooled(rows, {"s": ("one", "two")})
    theirs = stats.ttest_ind(gaps[0], -gaps[1], equal_var=False)
    assert suite["p_value"] == variant["p_value"] == pytest.approx(theirs.pvalue)
    assert suite["difference"] == pytest.approx(100 * np.mean([gap.mean() for gap in gaps]))
    assert (suite["benchmark"], variant["benchmark"], variant["suite"]) == ("average", "all", "all")


def test_a_pooled_row_says_that_nothing_varies():
    found = compare(*two_by_two(5, 0, 0, 5), PLAIN)
    rows = [
        dict.fromkeys(family.IDENTITY, "x") | {"benchmark": name, "unit": "percent", "pooled": 1} | vars(found) for name in "ab"
    ]
    (row,) = family.pooled(rows, {})
    assert (row["low"], row["high"], row["p_value"]) == (0, 0, 1)
    assert row["warnings"] == ["nothing varies in any of them, so the interval has no width"]


def test_a_pooled_row_says_whose_spread_is_unknown():
    rows = []
    for name, few in (("one", [1.0]), ("two", [1.0, 0.0, 0.5])):
        found = compare(questions("t", few, correct=False), questions("t", [0.2] * len(few), correct=False), PLAIN)
        rows.append(dict.fromkeys(family.IDENTITY, "x") | {"benchmark": name, "unit": "percent", "pooled": 1} | vars(found))
    (row,) = family.pooled(rows, {})
    assert np.isnan(row["p_value"]) and row["recovery"] is None and row["warnings"] == ["the spread of one is unknown"]
    assert family.as_json(row)["low"] is None
    family.correct([*rows, row])
    assert np.isnan(row["p_holm"])


def test_a_rating_counts_in_points_of_its_range():
    found = compare(
        *(questions("t", [x, x + 1, x + 2], correct=False) for x in (1.0, 2.0)), Aggregation(False, {"t": 0.0}, scale=1.0)
    )
    row = family._in_points(vars(found) | {"unit": "rating"})
    assert (row["score_a"], row["score_b"], row["unclipped"]) == pytest.approx((100 / 9, 200 / 9, 100 / 9))


def test_an_incomplete_suite_has_no_average(tmp_path):
    cells = [samples.read(path) for path in v1_cells(tmp_path, 4)[:4]]
    pairs, _ = family.pairs(cells, "fp16/w16a16")
    rows = [family.compare(a, b, resamples=50) for a, b in pairs]
    assert len(rows) == 2
    assert [row["benchmark"] for row in family.pooled(rows, SUITES)] == ["all"]


def test_musr_stories_are_clusters(tmp_path):
    tasks = ["murder_mysteries", "object_placements", "team_allocation"]
    rng, paths = np.random.default_rng(4), []
    for method in ("fp16", "awq"):
        answers = {task: (rng.uniform(size=40) < 0.8).astype(int) for task in tasks}
        rows = pd.concat([questions(f"leaderboard_musr_{task}", answers[task], "acc_norm") for task in tasks])
        stories = rows["task"].str.endswith("placements")
        rows["cluster"] = rows["task"] + " " + (rows["doc_id"] // np.where(stories, 4, 1)).astype(str)
        chance = dict(zip(tasks, (1 / 2, 1 / 5, 1 / 3), strict=True))
        score = np.mean([100 * (answers[task].mean() - chance[task]) / (1 - chance[task]) for task in tasks])
        paths.append(write_cell(tmp_path, "musr", method, rows, float(score)))
    found = family.compare(*(samples.read(path) for path in paths), resamples=200)
    assert (found["questions"], found["clusters"], found["test"]) == (120, 90, "paired t")


def test_adding_a_variant_changes_nothing_of_another(tmp_path):
    paths = v1_cells(tmp_path, 3)
    before, _ = family_rows(tmp_path, paths)
    other = v1_cells(tmp_path / "other", 5, "gptq-autogptq")[1::2]
    after, _ = family_rows(tmp_path, [*paths, *other])
    kept = {(row["method_b"], row["benchmark"]): row for row in after}
    for row in before:
        same = kept[row["method_b"], row["benchmark"]]
        for name in ("low", "high", "p_value", "p_check"):
            assert row[name] == same[name]


# Simulation


def test_simulated_error_and_coverage_are_nominal():
    """MuSR's stories as they are, and taken apart: the second rejects far too often."""
    rng = np.random.default_rng(8)
    right, wrong = (simulation.simulate(simulation.musr(0.2, clustered), 300, rng)[0] for clustered in (True, False))
    assert right["error"] < 9 and 91 < right["coverage"] < 99
    assert wrong["error"] > right["error"] + 1 and wrong["coverage"] < right["coverage"]


def test_simulated_truth_is_the_mean_of_what_is_drawn():
    rng = np.random.default_rng(9)
    for case in (simulation.gpqa(0.2), simulation.ifeval(0.2), simulation.musr(0.2), simulation.mt_bench()):
        drawn = [np.sum(case.share * case.draw(rng, 0.8)) for _ in range(400)]
        assert np.mean(drawn) == pytest.approx(case.truth(0.8), abs=4 * np.std(drawn) / 20), case.name


def test_the_docs_show_the_simulation_that_was_measured():
    docs = CONFIG.parent / "docs"
    found = json.loads((docs / "measurements/statistics_simulation.json").read_text(encoding="utf-8"))
    assert simulation.table(found["cases"]) in (docs / "statistics.md").read_text(encoding="utf-8")
