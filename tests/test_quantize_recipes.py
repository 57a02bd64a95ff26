"""Recipes against what the paper prints: Figures 3-7 (settings.csv) and Table 9 (calibration.csv)."""

import csv
import json
import subprocess
import sys

import pytest
import yaml
from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.quantize import recipe, toolkits
from shared import ROOT

RECIPES = yaml.safe_load((ROOT / "config/recipes.yaml").read_text(encoding="utf-8"))
SETS = yaml.safe_load((ROOT / "config/calibration.yaml").read_text(encoding="utf-8"))


def published(name: str) -> list[dict]:
    with (ROOT / f"config/published/{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def method_of(row: dict) -> str:
    return f"gptq-{row['toolkit']}" if row["method"] == "gptq" else row["method"]


def printed_rows() -> list[tuple[str, str, str]]:
    rows = {(r["model"], method_of(r), f"w{r['w_bits']}a{r['a_bits']}") for r in published("scores")}
    return sorted(rows)


def resolved(model: str, method: str, bits: str, **options) -> dict:
    return recipe.resolve(RECIPES, SETS, model, method, bits, **options)


def modifier(scheme: dict, name: str) -> dict:
    return next(entry[name] for entry in scheme["recipe"]["modifiers"] if name in entry)


@pytest.mark.parametrize("name", ["recipes", "calibration"])
def test_config_fits_its_schema(name):
    document = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    assert records.problem(document, name) is None


@pytest.mark.parametrize("row", printed_rows(), ids="/".join)
def test_every_printed_row_has_a_recipe_that_its_toolkit_takes(row):
    scheme = resolved(*row)
    toolkits.check(scheme["toolkit"], scheme["recipe"])
    traits = toolkits.module(scheme["toolkit"]).traits(scheme["recipe"], row[2])
    weights, activations = recipe.widths(row[2])
    assert traits["weight_bits"] == weights
    assert (traits["activations"] or {"bits": 16})["bits"] == activations


def test_all_recipes_fit_their_toolkits_and_name_sets_that_exist():
    for method, entry in RECIPES["methods"].items():
        for bits, width in entry["bits"].items():
            models = ["any", *(m for o in width.get("overrides", []) for m in o["models"])]
            for model in models:
                scheme = resolved(model, method, bits)
                toolkits.check(scheme["toolkit"], scheme["recipe"])
            assert width["place"], f"{method}/{bits} says nowhere where it comes from"


@pytest.mark.parametrize("row", published("calibration"), ids=lambda r: f"{r['model']}-{method_of(r)}-w{r['w_bits']}")
def test_calibration_is_that_of_table_9(row):
    used = resolved(row["model"], method_of(row), f"w{row['w_bits']}a{row['a_bits']}")["calibration"]
    dataset = {"wikitext2": "Salesforce/wikitext", "random_tokens": None}.get(row["dataset"], row["dataset"])
    assert (used["repo"], used["samples"], used["length"]) == (dataset, int(row["n_samples"]), int(row["seq_len"]))
    assert (used["packing"] == "random_tokens") == (row["dataset"] == "random_tokens")


def test_autogptq_is_figure_3():
    used = resolved("llama-3.1-8b-it", "gptq-autogptq", "w4a16")["recipe"]
    for row in (r for r in published("settings") if r["figure"] == "3"):
        key = row["key"].split(".")[1]
        assert used[key] == json.loads(row["value"].lower()), key


def test_autoawq_is_figure_4():
    used = resolved("llama-3.1-8b-it", "awq", "w4a16")["recipe"]
    for row in (r for r in published("settings") if r["figure"] == "4"):
        assert str(used[row["key"].split(".")[1]]) == row["value"], row["key"]


@pytest.mark.parametrize(("bits", "strategy"), [("w4a16", "group"), ("w8a16", "channel")])
def test_llmcompressor_gptq_is_figure_5_written_out(bits, strategy):
    gptq = modifier(resolved("llama-3.1-70b-it", "gptq-llmcompressor", bits), "GPTQModifier")
    weights = gptq["config_groups"]["group_0"]["weights"]
    assert gptq["dampening_frac"] == 0.01 and gptq["ignore"] == ["lm_head"]
    assert weights["strategy"] == strategy and weights.get("group_size") == (128 if bits == "w4a16" else None)


@pytest.mark.parametrize("family", ["default", "llama-3.2"])
def test_smoothquant_is_figure_6(family):
    scheme = resolved("llama-3.1-70b-it" if family == "default" else "llama-3.2-1b-it", "smoothquant", "w8a8")
    printed = {
        r["key"].split(".", 1)[1]: r["value"] for r in published("settings") if r["applies_to"] == family and r["figure"] == "6"
    }
    smooth, gptq = modifier(scheme, "SmoothQuantModifier"), modifier(scheme, "GPTQModifier")
    assert smooth["smoothing_strength"] == float(printed["SmoothQuantModifier.smoothing_strength"])
    assert gptq["dampening_frac"] == float(printed["GPTQModifier.dampening_frac"])
    mappings = printed.get("SmoothQuantModifier.mappings")
    assert smooth.get("mappings") == (mappings and json.loads(mappings))
    observer = gptq["config_groups"]["group_0"]["weights"].get("observer")
    assert observer == printed.get("GPTQModifier.observer")


def test_fp8_is_figure_7():
    used = modifier(resolved("llama-3.1-8b-it", "fp8", "w8a8"), "QuantizationModifier")
    for row in (r for r in published("settings") if r["figure"] == "7" and r["applies_to"] == "default"):
        found = used
        for part in row["key"].split("QuantizationModifier.")[1].split("."):
            found = found[part]
        assert json.dumps(found) == row["value"] or found == row["value"], row["key"]


def test_a_scheme_has_one_digest_and_no_remarks():
    one = resolved("llama-3.1-8b-it", "fp8", "w8a8")
    assert recipe.digest(one) == recipe.digest(json.loads(json.dumps(one)))
    assert recipe.digest(one) != recipe.digest(resolved("llama-3.2-1b-it", "fp8", "w8a8"))
    assert "place" not in json.dumps(one)


def test_a_study_may_change_calibration_and_settings():
    scheme = resolved("llama-2-7b-chat", "gptq-autogptq", "w4a16", calibration="miniature", settings={"desc_act": False})
    assert scheme["calibration"]["id"] == "miniature" and scheme["recipe"]["desc_act"] is False
    assert scheme["recipe"]["damp_percent"] == 0.1
    assert resolved("any", "rtn", "w4a16", calibration="miniature")["calibration"] is None


def test_a_published_checkpoint_is_taken_where_one_is_named():
    scheme = resolved("llama-3.1-8b-it", "fp8", "w8a8", source="published")
    assert scheme["toolkit"] == "published" and scheme["published"]["repo"].endswith("-FP8")
    with pytest.raises(UserError, match="names no published checkpoint of vicuna"):
        resolved("vicuna-7b-v1.3", "awq", "w4a16", source="published")


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        (("m", "gptq", "w4a16"), {}, "unknown method 'gptq'; allowed: fp16, fp8"),
        (("m", "awq", "w8a16"), {}, "allowed: w4a16"),
        (("m", "awq", "w4a16"), {"calibration": "pile"}, "unknown calibration set 'pile'"),
    ],
)
def test_unknown_names_are_refused_with_what_is_allowed(row, options, message):
    with pytest.raises(UserError, match=message):
        resolved(*row, **options)


@pytest.mark.parametrize(
    ("recipe_given", "message"),
    [
        ({"bits": 3, "group_size": 128, "ignore": []}, "bits: 3 is not one of"),
        ({"bits": 4, "ignore": []}, "'group_size' is a required property"),
        ({"bits": 4, "group_size": 128, "ignore": [], "seed": 1}, "seed"),
    ],
)
def test_a_toolkit_refuses_a_recipe_that_is_not_its_own(recipe_given, message):
    with pytest.raises(UserError, match=message):
        toolkits.check("rtn", recipe_given)


def test_every_toolkit_module_is_complete():
    for name in toolkits.names():
        toolkit = toolkits.module(name)
        assert callable(toolkit.traits) and callable(toolkit.quantize) and isinstance(toolkit.PACKAGES, tuple)
        assert isinstance(toolkit.CITATION, str) and toolkits.schema(name)["additionalProperties"] is False


def test_pure_parts_import_no_heavy_package():
    code = (
        "import sys; from edge2giant.quantize import recipe, preflight, sizes, toolkits, calibration, tensors, core, faults;"
        "[toolkits.module(n) for n in toolkits.names()];"
        "print(sorted({'torch','numpy','transformers','llmcompressor','datasets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "workflow")}
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_resolve_prints_a_scheme():
    command = [
        sys.executable,
        "-m",
        "edge2giant.quantize",
        "resolve",
        "--model",
        "llama-3.2-1b-it",
        "--method",
        "awq",
        "--bits",
        "w4a16",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT / "workflow")})
    assert recipe.load_scheme(done.stdout)["calibration"]["id"] == "pile-10k-128x512"
