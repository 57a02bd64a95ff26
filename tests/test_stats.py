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
from edge2giant.stats import SEED, clusters, family, paired, samples
from edge2giant.stats import __main__ as command
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
        }
    )


def joined(a, b):
    both = a.merge(b, on=samples.KEY, suffixes=("_a", "_b"))
    return both.rename(columns={"weight_a": "weight"})


def compare(a, b, rule, cluster=None, **options):
    both = joined(a, b)
    cluster = both["doc_id"] if cluster is None else cluster
    return paired.compare(both, cluster, rule, resamples=FEW, **options)


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
    assert (found.high - found.low) / 2 / 1.96 / 100 == pytest.approx(0.0095, abs=6e-5)
    assert (found.both_right, found.a_right_b_wrong, found.a_wrong_b_right, found.both_wrong) == (794, 150, 86, 570)
    assert found.test == "exact McNemar"


def test_fagerland_airway_example():
    """Fagerland, Lydersen, Laake 2013 (BMC Med Res Methodol 13:91), Table 1: 1 and 7 discordant of 21.

    Exact p = 2 * sum over k <= 1 of binom(8, k) / 2^8 = 18 / 256.
    """
    found = compare(*two_by_two(1, 1, 7, 12), PLAIN)
    assert found.p_value == pytest.approx(18 / 256)
    assert found.agreement == pytest.approx(13 / 21)
    assert found.recovery == pytest.approx(400.0)


def test_benjamini_hochberg_1995():
    """Benjamini and Hochberg 1995, section 4: 15 p-values; the FDR procedure rejects 4, Holm 3, at 0.05."""
    values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    values += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    rows = [{"p_value": value} for value in values] + [{"p_value": float("nan")}]
    family.correct(rows)
    assert sum(row["p_bh"] <= 0.05 for row in rows) == 4
    assert sum(row["p_holm"] <= 0.05 for row in rows) == 3
    assert np.isnan(rows[-1]["p_holm"])
    assert rows[3]["p_bh"] == pytest.approx(0.0095 * 15 / 4)
    assert [row["p_holm"] for row in rows[:-1]] == pytest.approx(list(multipletests(values, method="holm")[1]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=40))
def test_plain_case_agrees_with_statsmodels_and_scipy(answers):
    a, b = ([int(pair[side]) for pair in answers] for side in (0, 1))
    found = compare(questions("t", a), questions("t", b), PLAIN)
    table = [
        [sum(x and y for x, y in answers), sum(x and not y for x, y in answers)],
        [sum(y and not x for x, y in answers), sum(not x and not y for x, y in answers)],
    ]
    assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    if len({y - x for x, y in zip(a, b, strict=True)}) > 1:
        interval = stats.ttest_rel(b, a).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((100 * interval.low, 100 * interval.high))
    other = compare(questions("t", b), questions("t", a), PLAIN)
    assert other.difference == pytest.approx(-found.difference)
    assert other.p_value == pytest.approx(found.p_value)


def test_chance_stretches_difference_and_interval():
    sides = two_by_two(300, 60, 30, 156)
    plain, stretched = compare(*sides, PLAIN), compare(*sides, Aggregation(False, {"t": 0.25}, clip=True))
    for name in ("difference", "low", "high"):
        assert getattr(stretched, name) == pytest.approx(getattr(plain, name) / 0.75)
    assert stretched.p_value == plain.p_value


def test_continuous_metric_uses_scipy_bootstrap_and_permutation():
    rng = np.random.default_rng(0)
    a = rng.uniform(size=60)
    b = np.clip(a - 0.05 + 0.05 * rng.normal(size=60), 0, 1)
    found = compare(questions("t", a, correct=False), questions("t", b, correct=False), PLAIN)
    reference = stats.bootstrap(
        (a, b),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=FEW,
        rng=np.random.default_rng(SEED),
    )
    interval = reference.confidence_interval
    assert (found.low, found.high) == pytest.approx((100 * interval.low, 100 * interval.high))
    assert found.test == "paired permutation"
    assert found.p_value <= 2 / FEW + 1e-9
    assert found.a_right_b_wrong is None


def test_counting_kinds_is_the_bootstrap_of_scipy():
    """0/1 answers are resampled by how many of each kind are drawn: the distribution is that of scipy."""
    a, b = (np.array(side["value"]) for side in two_by_two(60, 15, 5, 20))
    stratum = paired.Stratum(np.ones((1, 100)), a[None], b[None])
    mine = paired._resample(stratum, 20_000, np.random.default_rng(0))
    theirs = stats.bootstrap(
        (a, b),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).bootstrap_distribution
    assert np.mean(mine[1] - mine[0]) == pytest.approx(-0.10, abs=0.002)
    assert np.std(mine[1] - mine[0]) == pytest.approx(np.std(theirs), rel=0.03)
    assert stats.ks_2samp(np.round(mine[1] - mine[0], 9), np.round(theirs, 9)).pvalue > 0.01


def test_few_pairs_give_the_exact_permutation_p_value():
    a, b = (
        questions("t", [0.1, 0.2, 0.3, 0.4, 0.5], correct=False),
        questions("t", [0.2, 0.4, 0.6, 0.8, 1.0], correct=False),
    )
    # all five differences have one sign: 2 of 2^5 swaps are as extreme
    assert compare(a, b, PLAIN).p_value == pytest.approx(2 / 32)


def test_equal_sides_differ_by_nothing():
    side = questions("t", [0.2, 0.5, 0.9], correct=False)
    found = compare(side, side, PLAIN)
    assert (found.difference, found.low, found.high, found.p_value, found.agreement) == (0, 0, 0, 1, 1)


def test_clusters_widen_the_interval():
    """Twenty passages of four questions that stand or fall together tell as much as twenty questions."""
    rng = np.random.default_rng(1)
    a = np.repeat(rng.integers(0, 2, 20), 4)
    b = np.repeat(rng.integers(0, 2, 20), 4)
    sides = questions("t", a), questions("t", b)
    passages = pd.Series(np.arange(80) // 4)
    alone, together = compare(*sides, PLAIN), compare(*sides, PLAIN, cluster=passages)
    assert (alone.clusters, together.clusters) == (80, 20)
    assert together.test == "paired permutation"
    assert 1.6 < (together.high - together.low) / (alone.high - alone.low) < 2.4


def test_mean_of_subtasks_weighs_them_alike():
    sides = [pd.concat([questions("big", [x] * 90), questions("small", y)]) for x, y in ((1, [0] * 10), (1, [1] * 5 + [0] * 5))]
    macro = compare(*sides, Aggregation(True, {"big": 0.0, "small": 0.0}))
    micro = compare(*sides, Aggregation(False, {"big": 0.0, "small": 0.0}))
    assert macro.difference == pytest.approx(25.0)
    assert micro.difference == pytest.approx(5.0)
    assert (macro.test, micro.test) == ("paired permutation", "exact McNemar")


def test_permutation_weighs_subtasks_as_the_score_does():
    """Three falls of 12.5 and one rise of 25: whichever way they are swapped, the sum is 12.5 or more."""
    a = pd.concat([questions("big", [1, 1, 1, 1]), questions("small", [0, 0])])
    b = pd.concat([questions("big", [0, 0, 0, 1]), questions("small", [1, 0])])
    found = compare(a, b, Aggregation(True, {"big": 0.0, "small": 0.0}))
    assert found.difference == pytest.approx(-12.5)
    assert found.p_value == 1.0


def test_bootstrap_stays_within_subtasks():
    """Resampling never changes how many questions each subtask has: a constant subtask adds no spread."""
    sides = [pd.concat([questions("one", [x] * 50), questions("two", [0] * 50)]) for x in (0, 1)]
    found = compare(*sides, Aggregation(True, {"one": 0.0, "two": 0.0}))
    assert (found.low, found.high) == (50.0, 50.0)


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
    assert found.p_value < 0.05
    assert "clipped" in found.warnings[0]


def test_one_cluster_has_no_spread_and_says_so():
    found = compare(questions("t", [0.5], correct=False), questions("t", [0.6], correct=False), PLAIN)
    assert found.low == found.high == pytest.approx(10.0)
    assert "one cluster" in found.warnings[0]


def test_the_seed_decides_the_draws():
    rng = np.random.default_rng(2)
    sides = [questions("t", rng.uniform(size=30), correct=False) for _ in range(2)]
    one, two, three = (compare(*sides, PLAIN, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.draws, two.draws)
    assert not np.array_equal(one.draws, three.draws)


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
    assert (found["method_a"], found["method_b"], found["test"]) == ("fp16", "awq", "exact McNemar")
    assert found["p_value"] == 1.0


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


def v1_cells(folder, shift):
    """All six benchmarks of leaderboard v1 for FP16 and AWQ, AWQ worse by `shift` questions of forty."""
    paths, rng = [], np.random.default_rng(3)
    for benchmark in factories.SUITES["leaderboard_v1"]:
        tasks = sorted(loaded().benchmarks[benchmark].tasks)
        answers = rng.permutation([1] * 30 + [0] * 10)
        worse = answers.copy()
        worse[np.flatnonzero(answers)[:shift]] = 0
        for method, values in (("fp16", answers), ("awq", worse)):
            rows = pd.concat([questions(task, values, correct=benchmark != "truthfulqa") for task in tasks])
            paths.append(write_cell(folder, benchmark, method, rows, 100 * float(values.mean())))
    return paths


SUITES = {"leaderboard_v1": factories.SUITES["leaderboard_v1"]}


def spec_options(folder):
    digest = specs.write(StatisticsSpec("paper", SUITES), folder)
    return ["--spec", str(specs.path(folder, digest)), "--spec-digest", digest]


def test_family_corrects_and_averages(tmp_path, capsys):
    paths = v1_cells(tmp_path, 8)
    lonely = gsm8k(tmp_path / "x", "awq", [1, 0], model="llama-3.2-1b-it")
    prefix = tmp_path / "out" / "paired"
    cells = [str(path) for path in [*paths, lonely]]
    command.main(["family", *spec_options(tmp_path), "--cells", *cells, "--out-prefix", str(prefix), "--resamples", "300"])
    captured = capsys.readouterr()
    assert "no reference fp16/w16a16 for llama-3.2-1b-it/awq/w4a16/gsm8k" in captured.err
    with prefix.with_suffix(".csv").open(newline="") as handle:
        rows = {row["benchmark"]: row for row in csv.DictReader(handle)}
    assert set(rows) == {*factories.SUITES["leaderboard_v1"], "average"}
    assert float(rows["average"]["difference"]) == pytest.approx(-20.0)
    assert float(rows["average"]["low"]) < -20 < float(rows["average"]["high"]) < 0
    assert rows["average"]["p_value"] == rows["average"]["p_holm"] == ""
    p_values = [float(row["p_value"]) for name, row in rows.items() if name != "average"]
    expected = dict(zip([n for n in rows if n != "average"], multipletests(p_values, method="holm")[1], strict=True))
    for name, value in expected.items():
        assert float(rows[name]["p_holm"]) == pytest.approx(value)
    document = json.loads(prefix.with_suffix(".json").read_text())
    assert document["without_reference"] == ["llama-3.2-1b-it/awq/w4a16/gsm8k"]


def test_an_incomplete_suite_has_no_average(tmp_path):
    cells = [samples.read(path) for path in v1_cells(tmp_path, 4)[:4]]
    pairs, _ = family.pairs(cells, "fp16/w16a16")
    rows = [family.compare(a, b, resamples=50) for a, b in pairs]
    assert len(rows) == 2
    assert family.averages(rows, SUITES) == []


def test_a_cell_given_twice_is_refused(tmp_path):
    cells = [samples.read(gsm8k(tmp_path, "fp16", [1, 0]))] * 2
    with pytest.raises(UserError, match="given twice"):
        family.pairs(cells, "fp16/w16a16")


def test_musr_passages_are_clusters(tmp_path, capsys):
    tasks = ["murder_mysteries", "object_placements", "team_allocation"]
    data = tmp_path / "objects.parquet"
    pd.DataFrame({"narrative": [f"story {n // 4}" for n in range(40)]}).to_parquet(data)
    out = tmp_path / "clusters.csv"
    task = "leaderboard_musr_object_placements"
    command.main(["passages", "--parquet", str(data), "--task", task, "--out", str(out)])
    assert "10 passages" in capsys.readouterr().out
    rng, paths = np.random.default_rng(4), []
    for method in ("fp16", "awq"):
        answers = {task: (rng.uniform(size=40) < 0.8).astype(int) for task in tasks}
        rows = pd.concat([questions(f"leaderboard_musr_{task}", answers[task], "acc_norm") for task in tasks])
        chance = dict(zip(tasks, (1 / 2, 1 / 5, 1 / 3), strict=True))
        score = np.mean([100 * (answers[task].mean() - chance[task]) / (1 - chance[task]) for task in tasks])
        paths.append(write_cell(tmp_path, "musr", method, rows, float(score)))
    a, b = (samples.read(path) for path in paths)
    plain = family.compare(a, b, resamples=200)
    clustered = family.compare(a, b, clusters.read(out), resamples=200)
    assert (plain["clusters"], clustered["clusters"]) == (120, 90)
    assert plain["difference"] == clustered["difference"]
    assert plain["test"] == "paired permutation"  # a mean of normalised subtasks


def test_a_cluster_table_with_gaps_is_refused():
    both = joined(questions("t", [1, 0]), questions("t", [1, 0]))
    table = pd.DataFrame({"task": ["t"], "doc_id": [0], "cluster": [0]})
    with pytest.raises(UserError, match="names no passage for t 1"):
        clusters.attach(both, table)


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
