"""Recipes against what the paper prints: Figures 3-7 (settings.csv) and Table 9 (calibration.csv)."""

import csv
import dataclasses
import json

import pytest
from edge2giant import config, specs
from edge2giant.errors import UserError
from edge2giant.plan import quantize
from edge2giant.quantize import toolkits
from edge2giant.specs.quantize import QuantizeSpec
from edge2giant.specs.variant import Variant
from shared import ROOT

CONFIG = config.load(ROOT)
STUDY = CONFIG.study("paper")


def published(name: str) -> list[dict]:
    with (ROOT / f"config/published/{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def method_of(row: dict) -> str:
    return f"gptq-{row['toolkit']}" if row["method"] == "gptq" else row["method"]


def printed_rows() -> list[tuple[str, str, str]]:
    rows = {(r["model"], method_of(r), f"w{r['w_bits']}a{r['a_bits']}") for r in published("scores")}
    return sorted(rows)


def made(model: str, method: str, bits: str, settings=None, **changes) -> QuantizeSpec:
    """The spec of a model that a study would have the checkpoint of."""
    return quantize.made_spec(CONFIG, STUDY.model_copy(update=changes), Variant(model, method, bits), settings)


def modifier(spec: QuantizeSpec, name: str) -> dict:
    return next(entry[name] for entry in spec.recipe["modifiers"] if name in entry)


@pytest.mark.parametrize("row", printed_rows(), ids="/".join)
def test_every_printed_row_has_a_recipe_that_its_toolkit_takes(row):
    spec = made(*row)
    toolkits.check(spec.toolkit, spec.recipe)
    scheme = toolkits.module(spec.toolkit).scheme(spec.recipe)
    assert (scheme.bits, scheme.activation_bits) == spec.variant.widths


def test_all_recipes_fit_their_toolkits():
    for method, entry in CONFIG.methods.items():
        for bits, width in entry.bits.items():
            for model in ("tiny-2m", *(name for one in width.overrides for name in one.models)):
                spec = made(model, method, bits)
                toolkits.check(spec.toolkit, spec.recipe)


@pytest.mark.parametrize("row", published("calibration"), ids=lambda r: f"{r['model']}-{method_of(r)}-w{r['w_bits']}")
def test_calibration_is_that_of_table_9(row):
    used = made(row["model"], method_of(row), f"w{row['w_bits']}a{row['a_bits']}").calibration
    dataset = {"wikitext2": "Salesforce/wikitext", "random_tokens": None}.get(row["dataset"], row["dataset"])
    assert (used.repo, used.samples, used.length) == (dataset, int(row["n_samples"]), int(row["seq_len"]))
    assert used.reads_text == (row["dataset"] != "random_tokens")


def test_autogptq_is_figure_3():
    used = made("llama-3.1-8b-it", "gptq-autogptq", "w4a16").recipe
    for row in (r for r in published("settings") if r["figure"] == "3"):
        key = row["key"].split(".")[1]
        assert used[key] == json.loads(row["value"].lower()), key


def test_autoawq_is_figure_4():
    used = made("llama-3.1-8b-it", "awq", "w4a16").recipe
    for row in (r for r in published("settings") if r["figure"] == "4"):
        assert str(used[row["key"].split(".")[1]]) == row["value"], row["key"]


@pytest.mark.parametrize(("bits", "strategy"), [("w4a16", "group"), ("w8a16", "channel")])
def test_llmcompressor_gptq_is_figure_5_written_out(bits, strategy):
    gptq = modifier(made("llama-3.1-70b-it", "gptq-llmcompressor", bits), "GPTQModifier")
    weights = gptq["config_groups"]["group_0"]["weights"]
    assert gptq["dampening_frac"] == 0.01 and gptq["ignore"] == ["lm_head"]
    assert weights["strategy"] == strategy and weights.get("group_size") == (128 if bits == "w4a16" else None)


@pytest.mark.parametrize("family", ["default", "llama-3.2"])
def test_smoothquant_is_figure_6(family):
    spec = made("llama-3.1-70b-it" if family == "default" else "llama-3.2-1b-it", "smoothquant", "w8a8")
    printed = {
        r["key"].split(".", 1)[1]: r["value"] for r in published("settings") if r["applies_to"] == family and r["figure"] == "6"
    }
    smooth, gptq = modifier(spec, "SmoothQuantModifier"), modifier(spec, "GPTQModifier")
    assert smooth["smoothing_strength"] == float(printed["SmoothQuantModifier.smoothing_strength"])
    assert gptq["dampening_frac"] == float(printed["GPTQModifier.dampening_frac"])
    mappings = printed.get("SmoothQuantModifier.mappings")
    assert smooth.get("mappings") == (mappings and json.loads(mappings))
    observer = gptq["config_groups"]["group_0"]["weights"].get("observer")
    assert observer == printed.get("GPTQModifier.observer")


def test_fp8_is_figure_7():
    used = modifier(made("llama-3.1-8b-it", "fp8", "w8a8"), "QuantizationModifier")
    for row in (r for r in published("settings") if r["figure"] == "7" and r["applies_to"] == "default"):
        found = used
        for part in row["key"].split("QuantizationModifier.")[1].split("."):
            found = found[part]
        assert json.dumps(found) == row["value"] or found == row["value"], row["key"]


def test_a_spec_is_read_back_and_holds_no_remarks(tmp_path):
    one = made("llama-3.1-8b-it", "fp8", "w8a8")
    digest = specs.write(one, tmp_path)
    assert specs.read(specs.path(tmp_path, digest), digest, QuantizeSpec) == one
    assert one.folder == digest[:12] != made("llama-3.2-1b-it", "fp8", "w8a8").folder
    assert "place" not in specs.text(one) and "licence" not in specs.text(one)


def test_a_study_may_change_calibration_and_settings():
    spec = made("llama-2-7b-chat", "gptq-autogptq", "w4a16", {"desc_act": False}, calibration="miniature")
    assert spec.calibration.name == "miniature" and spec.recipe["desc_act"] is False
    assert spec.recipe["damp_percent"] == 0.1
    assert made("tiny-2m", "rtn", "w4a16", calibration="miniature").calibration is None


def test_a_published_checkpoint_is_taken_where_one_is_named():
    study = STUDY.model_copy(update={"checkpoints": {"fp8/w8a8": "published"}})
    spec = quantize.checkpoint_spec(CONFIG, study, Variant("llama-3.1-8b-it", "fp8", "w8a8"))
    assert spec.toolkit == "published" and spec.published.repo.endswith("-FP8")


@pytest.mark.parametrize(
    ("recipe_given", "message"),
    [
        ({"bits": 3, "group_size": 128, "ignore": []}, "bits: 3 is not one of 4, 8"),
        ({"bits": 4, "ignore": []}, "'group_size' is missing"),
        ({"bits": 4, "group_size": 128, "ignore": [], "seed": 1}, "seed"),
    ],
)
def test_a_toolkit_refuses_a_recipe_that_is_not_its_own(recipe_given, message):
    with pytest.raises(UserError, match=message):
        toolkits.check("rtn", recipe_given)


def test_every_toolkit_module_is_complete():
    for name in toolkits.names():
        toolkit = toolkits.module(name)
        assert callable(toolkit.scheme) and callable(toolkit.quantize) and isinstance(toolkit.PACKAGES, tuple)
        assert isinstance(toolkit.CITATION, str) and dataclasses.is_dataclass(toolkit.RECIPE)
