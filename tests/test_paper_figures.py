"""Figure 2, the trade-off views and the comparison with the printed values."""

import math
from dataclasses import replace
from fractions import Fraction

import factories
import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="needs the workflow environment")
pytest.importorskip("statsmodels", reason="needs the workflow environment")
pytest.importorskip("matplotlib", reason="needs the workflow environment")

from edge2giant import config, published  # noqa: E402
from edge2giant.paper import compare, comparison, figure2, frames, marks, plotting, tradeoffs, views  # noqa: E402
from edge2giant.plan.score import printed_scores  # noqa: E402
from edge2giant.specs.study import Labels  # noqa: E402
from edge2giant.specs.variant import Variant  # noqa: E402
from shared import ROOT  # noqa: E402
from study_specs import PUBLISHED, arguments_of, spec_of, spec_with  # noqa: E402
from test_paper import MINIATURE, run  # noqa: E402

LABELS = Labels()
PAPER = spec_of("paper")


def kinds(folder, *names):
    return {(name, kind): (folder / f"{name}.{kind}").read_bytes() for name in names for kind in ("svg", "png")}


def test_figure_2_shows_the_models_of_the_paper():
    panels = figure2.published(PAPER, PUBLISHED)
    assert panels.models == ("llama-3.1-405b-it", "llama-3.2-3b-it", "llama-3.3-70b-it")
    variants = panels.variants("published", "llama-3.2-3b-it")
    assert [method for method, _, _ in variants] == ["fp16", "gptq-autoround", "awq"]
    assert list(variants[0][2]["value"]) == [8.90, 8.40, 3.90, 5.25, 5.85, 8.10, 7.80, 8.65]


def test_figure_2_as_printed_says_so_and_names_methods_as_the_paper_does():
    panels = figure2.published(PAPER, PUBLISHED)
    figure = figure2.draw(panels, PAPER.labels, False)
    assert figure.get_suptitle() == "Figure 2. MT-Bench by category, as printed in arXiv 2409.11055v6"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["FP16", "GPTQ", "AWQ"]
    plotting.plt.close(figure)


def test_figure_2_is_the_same_bytes_twice(tmp_path):
    panels = figure2.published(replace(PAPER, figure2_models=("llama-3.2-3b-it",)), PUBLISHED)
    for folder in ("a", "b"):
        paths = figure2.write(panels, PAPER.labels, False, tmp_path / folder / "figure2")
    assert [path.suffix for path in paths] == [".pdf", ".svg", ".png", ".csv"]
    for kind in ("svg", "png", "pdf", "csv"):
        assert (tmp_path / f"a/figure2.{kind}").read_bytes() == (tmp_path / f"b/figure2.{kind}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a/figure2.svg").read_bytes()


def test_figure_2_of_cells_with_intervals_and_gaps():
    """Without a printed score a panel stays empty; a rating that is missing leaves a gap, not a zero."""
    cell = factories.cell_record(model="mini-2m", benchmark="mt_bench")
    cell = replace(cell, parts=(replace(cell.parts[0], raw=None), *cell.parts[1:]))
    panels = figure2.regenerated(spec_with(MINIATURE), [cell], PUBLISHED, "intervals")
    ratings = panels.variants("miniature", "mini-2m")[0][2]
    assert math.isnan(ratings.loc["writing", "value"]) and ratings.loc["math", "value"] == 6.0
    low, _ = figure2._interval(ratings)
    assert low[3] == pytest.approx(figure2.Z95 * 0.2 * 8**0.5) and low[0] == 0
    for intervals in (False, True):
        figure = figure2.draw(panels, LABELS, intervals)
        assert len(figure.axes) == 2 and figure.axes[1].texts[0].get_text() == "no score"


def test_forms_of_figure_2_choose_the_models():
    spec = replace(spec_of("miniature"), figure2_models=("tiny-2m",))
    chosen = {form: figure2.regenerated(spec, [], PUBLISHED, form) for form in ("radar", "all", "intervals")}
    assert {form: panels.models for form, panels in chosen.items()} == {
        "radar": ("tiny-2m",),
        "all": ("tiny-0.4m", "tiny-2m"),
        "intervals": ("tiny-2m",),
    }
    assert [len(panels.sources) for panels in chosen.values()] == [1, 1, 2]


def test_intervals_stay_on_the_scale():
    low, high = figure2._interval(pd.DataFrame({"value": [9.9, 1.05], "stderr": [1.0, 1.0]}))
    assert high[0] == pytest.approx(0.1) and low[1] == pytest.approx(0.05)


def test_hostile_names_do_not_break_a_figure(tmp_path):
    """A name with $ is text, not a formula."""
    hostile = "$\\frac{<script>"
    cell = factories.cell_record(model=hostile, benchmark="mt_bench")
    panels = figure2.regenerated(spec_with([(hostile, "fp16", "w16a16")]), [cell], PUBLISHED)
    figure2.write(panels, LABELS, False, tmp_path / "f")
    assert b"<script>" not in (tmp_path / "f.svg").read_bytes()


def test_pareto_front():
    points = pd.DataFrame({"storage_gb": [1, 1, 2, 3, 4], "value": [50, 40, 50, 60, 55]}, index=list("abcde"))
    assert list(tradeoffs.pareto(points)[lambda front: front].index) == ["a", "d"]


def test_differences_of_the_printed_table():
    found = tradeoffs.deltas(frames.published_scores(PUBLISHED))
    assert len(found) == 38 * 14
    row = found.set_index(["model", "method", "benchmark"]).loc[("llama-3.2-1b-it", "gptq-autoround", "gsm8k")]
    assert row["delta"] == pytest.approx(-25.32) and row["fp16_storage_gb"] == 2
    heat = tradeoffs.heat(frames.published_scores(PUBLISHED))
    assert heat.shape == (38, 3 + 14) and not heat.isna().any(axis=None)


@pytest.mark.parametrize(
    "names",
    [["rq1_storage", "heatmap"], pytest.param(list(views.VIEWS), marks=pytest.mark.slow)],
    ids=["two", "all"],
)
def test_trade_off_views_are_the_same_bytes_twice(tmp_path, names):
    scores = frames.published_scores(PUBLISHED)
    scores = scores[scores["model"].isin(["llama-3.2-1b-it", "llama-3.2-3b-it"])]
    for folder in ("a", "b"):
        paths = views.write(scores, PAPER, tmp_path / folder, names)
    assert len(paths) == 3 * len(names)
    assert kinds(tmp_path / "a", *names) == kinds(tmp_path / "b", *names)


def test_trade_off_views_of_printed_scores_name_what_the_audit_finds_wrong(tmp_path):
    note = marks.in_scores(published.marks(PUBLISHED), PAPER.labels)
    assert "Llama-3.2-1B-it SmoothQuant 8/8, Table 1, storage: 0.5 for 1;" in note  # it stands on the Pareto front
    assert "Llama-3.2-3B-it FP16, Table 1, TruthfulQA: 47.79 for 49.79;" in note and "Table 6" not in note
    assert marks.in_scores([], PAPER.labels) == ""
    views.write(frames.published_scores(PUBLISHED), PAPER, tmp_path, ["heatmap"], note=note)
    text = (tmp_path / "heatmap.svg").read_text()
    assert "47.79 for 49.79" in text and "+0.00" not in text  # no difference has no sign


def test_trade_off_views_of_nothing_say_so(tmp_path):
    """A study with FP16 alone, or with half of a suite, gets figures that say what is missing."""
    scores = frames.scores_of([factories.cell_record()])
    assert len(views.write(scores, PAPER, tmp_path)) == 15


def paper_cell(score: float, **overrides):
    base = {"model": "llama-2-7b-chat", "study": "paper", "n": 1172, "stderr": 1.4}
    return factories.cell_record(**base | {"score": score} | overrides)


def judged(cells):
    return compare.compare(cells, PAPER, PUBLISHED)


def test_comparison_by_hand():
    """53.16 printed, n 1172: error 100 sqrt(.5316 x .4684 / 1172) = 1.4576; with 1.4 regenerated 2.0210."""
    row = judged([paper_cell(55.16)]).iloc[0]
    assert row["published_stderr"] == pytest.approx(1.45760, abs=1e-5)
    assert row["difference"] == pytest.approx(2.0) and row["difference_stderr"] == pytest.approx(2.02104, abs=1e-5)
    assert row["z"] == pytest.approx(0.98958, abs=1e-4) and row["p"] == pytest.approx(0.32238, abs=1e-4)
    assert row["low"] == pytest.approx(2 - 1.959964 * 2.02104, abs=1e-4)
    assert (row["verdict"], row["published_place"]) == ("agrees", "Table 1")


def test_chance_widens_the_error_of_a_normalised_score():
    """GPQA at chance 1/4: raw accuracy is .25 + .75 x .2 = .40, error 100/.75 sqrt(.4 x .6 / 546)."""
    part = {
        "task": "gpqa",
        "metric": "acc_norm",
        "raw": 0.4,
        "stderr": 0.02,
        "chance": 0.25,
        "normalised": 20.0,
        "n": 546,
    }
    cell = factories.cell_record(benchmark="gpqa", score=20.0, n=546, parts=[part], aggregation={"chances": {"gpqa": 0.25}})
    assert compare.printed_stderr(20.0, cell) == pytest.approx(100 / 0.75 * math.sqrt(0.24 / 546))


@pytest.mark.parametrize(
    ("benchmark", "printed", "parts", "stderr"),
    [
        # Llama-3.1-8B FP16; questions and options of each subtask as in config/published/grids.yaml
        ("bbh", 30.11, None, 1.00),
        ("musr", 8.88, None, 2.85),
        ("math_lvl5", 11.69, "macro", 0.94),
    ],
)
def test_the_error_of_a_mean_of_subtasks_is_summed_over_them(benchmark, printed, parts, stderr):
    sets = config.load().grids[benchmark].sets
    chosen = sets[parts] if parts else sets["leaderboard"]
    made = [
        {"task": f"t{place}", "metric": "acc", "raw": 0.5, "stderr": 0.1, "chance": None, "normalised": 50.0, "n": questions}
        for place, (questions, _) in enumerate(chosen.parts)
    ]
    chances = {f"t{place}": float(Fraction(chance)) for place, (_, chance) in enumerate(chosen.parts)}
    total = sum(part["n"] for part in made)
    cell = factories.cell_record(benchmark=benchmark, n=total, parts=made, aggregation={"macro": True, "chances": chances})
    assert round(compare.printed_stderr(printed, cell), 2) == stderr


@pytest.mark.parametrize(
    ("variant", "benchmark", "printed", "right"),
    [
        (("llama-3.2-3b-it", "fp16", "w16a16"), "truthfulqa", 47.79, 49.79),
        (("llama-3.2-3b-it", "smoothquant", "w8a8"), "mmlu", 56.69, 59.69),
        (("llama-3.1-405b-it", "fp8", "w8a8"), "gpqa", 27.37, 27.47),
    ],
)
def test_a_comparison_with_a_misprint_cites_its_correction(variant, benchmark, printed, right):
    model, method, bits = variant
    cell = factories.cell_record(model=model, method=method, bits=bits, study="paper", benchmark=benchmark, score=50.0)
    row = judged([cell]).iloc[0]
    assert (row["published"], row["published_corrected"]) == (printed, right)
    assert f"{printed} is a probable misprint of {right}, difference from that {50 - right:+.2f}" in row["remarks"]
    place = printed_scores(PUBLISHED)[Variant(*variant), benchmark].place
    assert place.endswith(f" (probable misprint of {right})")


def test_chance_of_a_score_that_is_not_normalised_is_left_out():
    cell = factories.cell_record(score=50.0, n=100)
    cell = replace(cell, parts=(replace(cell.parts[0], chance=0.25),))
    assert compare.printed_stderr(50.0, cell) == pytest.approx(5.0)


def test_holm_and_bh_over_the_suite():
    """Three p-values; Holm multiplies the smallest by 3, BH the largest by 1."""
    cells = [paper_cell(60.0), paper_cell(22.0, benchmark="gsm8k"), paper_cell(79.5, benchmark="hellaswag")]
    found = judged(cells)
    p = found["p"].to_numpy()
    assert found["p_holm"].min() == pytest.approx(3 * p.min())
    assert found["p_bh"].max() == pytest.approx(p.max())
    assert list(found["verdict"]) == ["differs", "agrees", "agrees"]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"model": "mini-2m"}, "model is not in the paper"),
        ({"method": "rtn", "bits": "w4a16"}, "variant is not in the paper"),
        ({"method": "fp8", "bits": "w8a8"}, "variant is not in the paper"),
        ({"protocol": "leaderboard"}, "other protocol: leaderboard"),
        (
            {"model": "llama-3.1-8b-it", "method": "fp8", "bits": "w8a8", "benchmark": "mt_bench"},
            "benchmark is not",
        ),
        ({"benchmark": "mt_bench", "score": 7.0, "stderr": None}, "no standard error on either side"),
    ],
)
def test_what_cannot_be_compared_says_why(overrides, reason):
    row = judged([paper_cell(**{"score": 50.0} | overrides)]).iloc[0]
    assert row["verdict"] == "cannot be compared" and row["reason"].startswith(reason) and math.isnan(row["p"])


def test_mt_bench_is_compared_by_the_regenerated_error_alone():
    row = judged([paper_cell(7.0, benchmark="mt_bench", stderr=0.2)]).iloc[0]
    assert row["published_place"] == "Table 6" and row["difference_stderr"] == 0.2
    assert "printed value unknown" in row["remarks"]


def test_comparison_keeps_every_cell_and_is_the_same_bytes_twice(tmp_path):
    cells = [paper_cell(54.0), paper_cell(60.0, benchmark="gsm8k"), *factories.study_cells(MINIATURE)]
    for folder in ("a", "b"):
        paths = comparison.write(judged(cells), LABELS, tmp_path / folder / "comparison")
    assert len(paths) == 5 and len(pd.read_csv(paths[0])) == 41
    names = ("comparison_heatmap", "comparison_intervals")
    assert kinds(tmp_path / "a", *names) == kinds(tmp_path / "b", *names)


@pytest.mark.parametrize("cells", [[], factories.study_cells(MINIATURE)])
def test_comparison_of_nothing_is_drawn(tmp_path, cells):
    found = judged(cells)
    assert len(comparison.write(found, LABELS, tmp_path / "c")) == 5
    assert (found["verdict"] == "cannot be compared").all()


@pytest.mark.parametrize(("n", "remarked"), [(100, "100 of 546 questions"), (546, None)])
def test_a_part_of_the_questions_is_remarked(n, remarked):
    """The whole set is the protocol's: the paper's GPQA has 546 of the benchmark's 1,192 questions."""
    found = judged([paper_cell(5.0, benchmark="gpqa", n=n)]).iloc[0]["remarks"]
    assert remarked in found if remarked else "questions" not in found


CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))


@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("study", [{}, {"study": "miniature"}], ids=["published", "study"])
def test_captions_render(caption, study):
    """Snakemake renders captions with Jinja and docutils at the very end; a mistake would stop the report."""
    docutils = pytest.importorskip("docutils.core")
    jinja2 = pytest.importorskip("jinja2")
    wildcards = type("Wildcards", (dict,), {"number": "1", **study})(number="1", **study)
    job = type("Job", (), {"wildcards": wildcards, "config": {"study": "miniature"}})
    text = jinja2.Template(caption.read_text(), undefined=jinja2.StrictUndefined).render(snakemake=job)
    settings = {"halt_level": 2, "report_level": 2, "warning_stream": False}
    page = docutils.publish_string(text, writer="html", settings_overrides=settings).decode()
    assert 'class="system-message"' not in page


def test_average_needs_all_columns():
    members = PAPER.averaged
    full = frames.scores_of(factories.study_cells(MINIATURE[:1]))
    average = frames.keep(frames.with_average(full, members), benchmark="average", suite="leaderboard_v1").iloc[0]
    assert average["value"] == pytest.approx(np.mean([50, 51, 52, 53, 54, 55]))
    assert average["stderr"] == pytest.approx(1.5 / 6**0.5)
    part = full[full["benchmark"] != "gsm8k"]
    assert set(frames.keep(frames.with_average(part, members), benchmark="average")["suite"]) == {"leaderboard_v2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("figure2", "--out-prefix", "{}/figure2"), ("tradeoffs", "--out-dir", "{}/tradeoffs"), ("compare", "--out-prefix", "{}/c")],
)
def test_commands(tmp_path, command):
    name, *out = (part.format(tmp_path) for part in command)
    done = run(name, *arguments_of(PAPER, tmp_path), *out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()
