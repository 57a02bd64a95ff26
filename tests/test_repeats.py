"""Repeats of a study: what they run, and the noise floor that statistics and report show of them."""

import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from edge2giant import config, plan, specs
from edge2giant.errors import UserError
from edge2giant.plan import evaluate, quantize, repeats, score, study
from edge2giant.report import __main__ as report
from edge2giant.specs.score import StatisticsSpec
from edge2giant.specs.variant import Variant
from edge2giant.stats import __main__ as command
from shared import ROOT
from study_specs import options_of, spec_of
from test_stats import gsm8k, loaded

BATCHES, DRAW = "smoke-other-batches", "smoke-other-draw"
FP16, GPTQ = Variant("tiny-0.4m", "fp16", "w16a16"), Variant("tiny-0.4m", "gptq-llmcompressor", "w4a16")


def planned() -> plan.Plan:
    run = config.RunSettings(study="smoke", batch="suite", results="results", figures="paper_figures")
    return plan.Plan(loaded(), run)


def test_a_repeat_runs_what_it_names_beside_the_cells_of_the_study():
    found = loaded()
    assert [cell.path for cell in found.study(BATCHES).cells] == [
        f"{BATCHES}/cells/{FP16.path}/{name}.json" for name in ("arc_challenge", "gpqa")
    ]
    assert found.study(DRAW).variants == (GPTQ,)
    asked = SimpleNamespace(study="smoke")
    again = repeats.cells(planned(), asked)
    assert len(again) == 4 and not set(again) & set(study.cells(planned(), asked))
    assert score.statistics(planned(), asked).repeats == {BATCHES: "other-batches", DRAW: "other-draw"}


def test_other_batches_are_other_answers_of_the_same_checkpoint():
    found = loaded()
    first, again = (evaluate.engine_spec(found, found.study(name), FP16.model) for name in ("smoke", BATCHES))
    assert again.settings == first.settings | {"batch_size": 3}
    one, other = (quantize.checkpoint_spec(found, found.study(name), FP16) for name in ("smoke", BATCHES))
    assert one == other


def test_another_draw_is_a_checkpoint_of_its_own_that_differs_in_its_seed_alone():
    found = loaded()
    first, again = (quantize.checkpoint_spec(found, found.study(name), GPTQ) for name in ("smoke", DRAW))
    assert again.calibration == replace(first.calibration, seed=2) != first.calibration
    assert again.changed == {"calibration_seed": 2} and first.changed is None
    assert replace(again, calibration=first.calibration, changed=None) == first


def test_a_study_that_extends_another_takes_no_repeats_over(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config/studies/more.yaml").write_text(
        "extends: smoke\ntitle: more\nmodels: {tiny-0.4m: {variants: [fp16/w16a16, rtn/w4a16]}}\nfigure2_models: [tiny-0.4m]\n"
        "benchmarks: [gpqa]\n"
    )
    found = config.load(tmp_path)
    assert not found.study("more").repeats and "more-other-batches" not in found.studies


def family(folder, cells, again):
    prefix, spec = folder / "out/statistics", StatisticsSpec("paper", {}, {"paper-again": "again"})
    digest = specs.write(spec, folder)
    named = ["--spec", str(specs.path(folder, digest)), "--spec-digest", digest, "--resamples", "300"]
    command.main(["family", *named, "--cells", *map(str, cells), "--repeats", *map(str, again), "--out-prefix", str(prefix)])
    with prefix.with_suffix(".csv").open(newline="") as handle:
        return list(csv.DictReader(handle)), json.loads(prefix.with_suffix(".json").read_text())


@pytest.fixture
def cells(tmp_path):
    fp16, awq = gsm8k(tmp_path, "fp16", [1, 1, 1, 0, 1, 1]), gsm8k(tmp_path, "awq", [1, 0, 0, 0, 0, 1])
    again = [gsm8k(tmp_path / "x", "fp16", [1, 1, 0, 0, 1, 1], study="paper-again")]
    again.append(gsm8k(tmp_path / "x", "awq", [1, 0, 1, 1, 0, 1], study="paper-again"))
    return [fp16, awq], again


def test_the_noise_floor_is_in_no_family_and_changes_no_other_row(tmp_path, cells):
    first, again = cells
    alone, _ = family(tmp_path, first, [])
    rows, document = family(tmp_path, first, again)
    assert rows[0] == alone[0] and rows[0]["repeat"] == ""
    floor, draw = rows[1:]
    assert (floor["study"], floor["repeat"], floor["method_a"], floor["method_b"]) == ("paper", "again", "fp16", "fp16")
    assert float(floor["difference"]) == pytest.approx(-100 / 6) and floor["a_right_b_wrong"] == "1"
    assert (draw["method_a"], draw["method_b"]) == ("awq", "awq") and float(draw["difference"]) == pytest.approx(200 / 6)
    assert floor["p_holm"] == draw["p_holm"] == "" != floor["p_value"]
    assert [row["repeat"] for row in document["noise_floor"]] == ["again", "again"]
    assert len(document["comparisons"]) == 1 and document["noise_floor"][0]["difference"] == float(floor["difference"])


def test_a_repeat_of_a_cell_that_is_not_there_is_refused(tmp_path, cells):
    first, again = cells
    with pytest.raises(UserError, match="repeats a cell that is not there"):
        family(tmp_path, first[:1], again)


def test_the_report_shows_the_noise_floor_apart(tmp_path, cells):
    first, again = cells
    family(tmp_path, first, again)
    named = [*options_of(spec_of("paper"), tmp_path / "specs"), "--published", str(ROOT / "config/published")]
    more = ["--statistics", str(tmp_path / "out/statistics.csv"), "--samples", "0", "--out", str(tmp_path / "report")]
    report.main(["build", *named, "--cells", *map(str, first), *more])
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    table = page.split('id="grid-noise-floor"')[1].split("</table>")[0]
    assert table.count("again") >= 2 and "\N{MINUS SIGN}16.67" in table
    statistics = page.split('id="grid-statistics"')[1].split("</table>")[0]
    assert "\N{MINUS SIGN}16.67" not in statistics
