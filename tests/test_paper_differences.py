"""The figure of paired differences: what it marks, and that it is drawn whatever a study has."""

import base64

import pytest
from edge2giant.paper import differences
from edge2giant.report import __main__ as report
from report_material import paper_grid, statistics
from shared import ROOT
from study_specs import options_of, spec_of

SPEC = spec_of("smoke")


def row(benchmark="arc_challenge", difference="-2", p="0.001", holm="0.01", **more) -> dict[str, str]:
    named = {"study": "smoke", "model": "tiny-0.4m", "suite": "leaderboard_v1", "benchmark": benchmark}
    named |= {"method_b": "gptq-llmcompressor", "bits_b": "w4a16", "repeat": ""}
    return named | {"difference": difference, "low": "-3", "high": "-1", "p_value": p, "p_holm": holm} | more


NOISE = row(difference="0", p="0.9", holm="", method_b="fp16", bits_b="w16a16", repeat="other-batches")


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (row(), "significant (Holm)"),
        (row(holm="0.05"), "significant before Holm alone"),
        (row(p="0.05", holm="0.5"), "not significant"),
        (row(p="", holm=""), "no test"),
        (NOISE, "noise floor"),
    ],
)
def test_verdicts(one, says):
    assert differences.verdict(one) == says


def test_lines_and_panels_say_what_is_compared():
    pooled = [row("average"), row("all", suite="all")]
    found = differences.rows_of([*pooled, row("gpqa"), NOISE, row(low="", high="")], SPEC)
    assert list(found["panel"]) == ["ARC-c\n(points)", "GPQA\n(points)", "ARC-c\n(points)", "v1 average (points)", "All (points)"]
    assert found["line"][0].endswith("FP16, other-batches") and found["line"][1].endswith("GPTQ** 4/16")
    assert found["low"].isna().sum() == 1


@pytest.mark.parametrize("rows", [[], [row(low="", high="", p="", holm="")], [row(), NOISE, row("average"), row(difference="5")]])
def test_it_is_drawn_with_all_verdicts_in_the_legend(rows):
    figure = differences.draw(rows, SPEC)
    shown = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert shown == {differences.verdict(one) for one in rows}


def test_the_report_shows_it_with_the_counts_in_words(tmp_path):
    paths = [path for path in paper_grid(tmp_path / "cells") if "gemma-2b-it" in path]
    named = [*options_of(spec_of("paper"), tmp_path / "specs"), "--published", str(ROOT / "config/published"), "--samples", "0"]
    more = ["--statistics", statistics(tmp_path, paths)]
    report.main(["build", *named, "--cells", *paths, *more, "--out", str(tmp_path / "report")])
    section = (tmp_path / "report/index.html").read_text().split('<section id="statistics"')[1].split("</section>")[0]
    assert f'alt="{differences.TITLE}: 26 significant before Holm alone."' in section
    drawn = base64.b64decode(section.split("data:image/svg+xml;base64,")[1].split('"')[0]).decode()
    assert drawn.startswith("<?xml") and "</svg>" in drawn
