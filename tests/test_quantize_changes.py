"""Plain keys change the recipe of any toolkit that takes them; what it does not take is refused when the study is planned."""

from dataclasses import replace

import pytest
from edge2giant import config, specs
from edge2giant.errors import UserError
from edge2giant.models.facts import LinearLayer
from edge2giant.plan import overview, quantize
from edge2giant.quantize import changes, preflight, sizes, toolkits
from edge2giant.specs.variant import Variant
from shared import ROOT

CONFIG = config.load(ROOT)
STUDY = CONFIG.study("schemes")


def planned(method_bits: str, model: str = "tiny-0.4m", **recipe_settings):
    """The spec and scheme of a variant of a study with these changes, by method/bits or `all`."""
    study = STUDY.model_copy(
        update={"recipe_settings": {key.replace("__", "/"): value for key, value in recipe_settings.items()}}
    )
    variant = Variant(model, *method_bits.split("/"))
    return quantize.checkpoint_spec(CONFIG, study, variant), quantize.scheme(CONFIG, study, variant)


def changed(method_bits: str, **plain):
    return planned(method_bits, **{method_bits.replace("/", "__"): plain})


@pytest.mark.parametrize(
    "method_bits",
    ["rtn/w4a16", "gptq-autogptq/w4a16", "gptq-gptqmodel/w4a16", "gptq-llmcompressor/w4a16", "gptq-llmcompressor/w8a16",
     "gptq-autoround/w4a16", "autoround/w4a16", "awq/w4a16", "awq-llmcompressor/w4a16", "awq-autoround/w4a16"],
)  # fmt: skip
def test_every_method_of_integer_weights_takes_a_group_size(method_bits):
    spec, scheme = changed(method_bits, group_size=32)
    before, _ = planned(method_bits)
    assert scheme.group_size == 32 and spec.changed == {"group_size": 32} and spec.folder != before.folder
    assert before.changed is None and "changed" not in specs.text(before)


def test_a_group_size_of_minus_one_is_a_scale_for_each_channel():
    assert changed("gptq-llmcompressor/w4a16", group_size=-1)[1] == changed("rtn/w4a16", group_size=-1)[1]


def test_what_gptq_takes_means_the_same_in_every_toolkit():
    keys = {"dampening": 0.05, "actorder": "group"}
    recipes = {one: changed(f"gptq-{one}/w4a16", **keys)[0].recipe for one in ("autogptq", "gptqmodel", "llmcompressor")}
    modifier = recipes["llmcompressor"]["modifiers"][0]["GPTQModifier"]
    assert (modifier["dampening_frac"], modifier["actorder"]) == (0.05, "group")
    assert (recipes["autogptq"]["damp_percent"], recipes["autogptq"]["desc_act"]) == (0.05, True)
    assert (recipes["gptqmodel"]["damp_percent"], recipes["gptqmodel"]["desc_act"]) == (0.05, True)
    assert changed("gptq-autogptq/w4a16", actorder="static")[0].recipe["static_groups"] is True
    assert changed("gptq-llmcompressor/w4a16", actorder="none")[0].changed is None, "that is the recipe as it is"


def test_layers_to_leave_out_are_written_in_the_toolkits_own_way():
    names = ["re:.*down_proj", "model.layers.0.self_attn.q_proj"]
    modifier = changed("gptq-llmcompressor/w4a16", ignore=names)[0].recipe["modifiers"][0]["GPTQModifier"]
    assert modifier["ignore"] == ["lm_head", *names]
    assert changed("rtn/w4a16", ignore=names)[0].recipe["ignore"] == ["lm_head", *names]
    dynamic = changed("gptq-gptqmodel/w4a16", ignore=names)[0].recipe["dynamic"]
    assert list(dynamic) == ["-:.*down_proj", r"-:model\.layers\.0\.self_attn\.q_proj$"]
    assert changed("awq/w4a16", ignore=["down_proj"])[0].recipe["modules_to_not_convert"] == ["down_proj"]


def test_smoothing_and_calibration_are_changed():
    spec, _ = changed("smoothquant/w8a8", smoothing_strength=0.5, calibration_samples=16, calibration_length=64)
    assert spec.recipe["modifiers"][0] == {"SmoothQuantModifier": {"smoothing_strength": 0.5}}
    assert (spec.calibration.samples, spec.calibration.length) == (16, 64)


@pytest.mark.parametrize(
    ("method_bits", "plain", "said"),
    [
        ("fp8/w8a8", {"group_size": 64}, "cannot change 'group_size' in this recipe; it takes ignore, calib"),
        ("rtn/w4a16", {"calibration_samples": 4}, "it takes group_size, ignore"),
        ("gptq-llmcompressor/w4a16", {"smoothing_strength": 0.5}, "it takes ignore, dampening, actorder, group_size, calib"),
        ("fp16/w16a16", {"group_size": 64}, "it takes no plain keys"),
        ("rtn/w4a16", {"group_size": 0}, "group_size: 0 is less than 1"),
        ("rtn/w4a16", {"group_size": "64"}, "group_size: '64' is not of type int"),
        ("rtn/w4a16", {"group_size": None}, "'group_size' has no value"),
        ("rtn/w4a16", {"group_size": 64.0}, "64.0 is not of type int"),
        ("awq/w4a16", {"group_size": -1}, "q_group_size: -1 is less than 1"),
        ("rtn/w4a16", {"ignore": "re:.*down_proj"}, "ignore: is not a list"),
        ("rtn/w4a16", {"ignore": ["re:["]}, "ignore[0]: 're:[' is no regular expression (unterminated character set"),
        ("gptq-gptqmodel/w4a16", {"ignore": ["re:["]}, "is no regular expression"),
        ("gptq-autoround/w4a16", {"ignore": ["re:"]}, "ignore[0]: is empty after re:"),
        ("gptq-llmcompressor/w4a16", {"dampening": 2}, "dampening: 2 is more than 1"),
        ("gptq-llmcompressor/w4a16", {"actorder": None}, "'actorder' has no value"),
        ("smoothquant/w8a8", {"smoothing_strength": -1}, "smoothing_strength: -1 is less than 0"),
        ("smoothquant/w8a8", {"mappings": []}, "mappings: is empty"),
        ("smoothquant/w8a8", {"mappings": [[["re:("], "re:.*input_layernorm"]]}, "mappings[0][0][0]: 're:(' is no regular"),
        ("gptq-llmcompressor/w4a16", {"calibration_samples": 0}, "calibration_samples: 0 is less than 1"),
        ("gptq-llmcompressor/w4a16", {"actorder": "yes"}, "'yes' is not one of 'none', 'group', 'static'"),
        ("gptq-gptqmodel/w4a16", {"actorder": "static"}, "GPTQModel has no actorder 'static'; choose one of: none, group"),
        ("awq/w4a16", {"ignore": ["re:.*down_proj"]}, "AutoAWQ takes no regular expression"),
        ("rtn/w4a16", {"groupsize": 64}, "unknown key 'groupsize', known are: bits, group_size, ignore"),
    ],
)  # fmt: skip
def test_what_a_toolkit_does_not_take_is_one_line_at_planning(method_bits, plain, said):
    with pytest.raises(UserError) as error:
        changed(method_bits, **plain)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_change_for_all_holds_where_it_is_taken():
    everyone = {"group_size": 64, "dampening": 0.1}
    assert planned("fp8/w8a8", all=everyone)[0].changed is None
    assert planned("rtn/w4a16", all=everyone)[0].changed == {"group_size": 64}
    own = planned("gptq-llmcompressor/w4a16", all=everyone, **{"gptq-llmcompressor__w4a16": {"group_size": 32}})
    assert own[0].changed == {"group_size": 32, "dampening": 0.1} and own[1].group_size == 32
    with pytest.raises(UserError, match=r"recipe_settings\.all: no recipe of the study takes 'groups'; they take actorder"):
        planned("rtn/w4a16", all={"groups": 64})


def test_a_changed_recipe_is_custom_in_plan_and_tables():
    changes = {"recipe_settings": {"gptq-llmcompressor/w4a16": {"group_size": 32}}}
    loaded = config.Config(**(vars(CONFIG) | {"studies": CONFIG.studies | {"schemes": STUDY.model_copy(update=changes)}}))
    found = overview.Overview(loaded, loaded.study("schemes"), loaded.cluster(None)).lines
    verdicts = {line["variant"]: line["verdict"] for line in found}
    assert verdicts["gptq-llmcompressor/w4a16"] == "custom: group_size 32" and verdicts["rtn/w4a16"] == "ok"
    assert ", 1 custom, 0 fallback" in overview.totals(found)
    from edge2giant.plan import study

    shown = {one.variant.method_bits: one.changed for one in study.study_spec(loaded, "schemes").variants}
    assert shown["gptq-llmcompressor/w4a16"] == "group_size 32" and shown["rtn/w4a16"] is None


def of_type(model_type: str):
    """The configuration with a tiny model of another type."""
    model = CONFIG.models["tiny-0.4m"]
    facts = type(model.facts)(**(vars(model.facts) | {"model_type": model_type}))
    models = CONFIG.models | {"tiny-0.4m": model.model_copy(update={"facts": facts})}
    return config.Config(**(vars(CONFIG) | {"models": models}))


@pytest.mark.parametrize("model_type", ["gemma2", "gemma3_text"])
def test_where_the_default_mapping_is_wrong_the_recipe_has_another(model_type):
    variant = Variant("tiny-0.4m", "smoothquant", "w8a8")
    spec = quantize.checkpoint_spec(of_type(model_type), STUDY, variant)
    toolkits.check(spec.toolkit, spec.recipe)
    smooth = [smooth for _, smooth in spec.recipe["modifiers"][0]["SmoothQuantModifier"]["mappings"]]
    assert smooth == ["re:.*input_layernorm$", "re:.*pre_feedforward_layernorm$"] and spec.changed is None
    assert "mappings" not in str(quantize.checkpoint_spec(CONFIG, STUDY, variant).recipe)


def test_every_plain_key_is_taken_by_a_recipe():
    known = {key for entry in CONFIG.methods.values() for one in entry.bits.values()
             for key in changes.taken(entry.toolkit, one.recipe, one.calibration is not None)}  # fmt: skip
    assert known == set(changes.PLAIN)


def of_study(study: str = "schemes", **settings):
    """The configuration with these changes in a study."""
    changes = {"recipe_settings": {key.replace("__", "/"): value for key, value in settings.items()}}
    return config.Config(**(vars(CONFIG) | {"studies": CONFIG.studies | {study: CONFIG.study(study).model_copy(update=changes)}}))


@pytest.mark.parametrize("method_bits", ["rtn__w4a16", "gptq-llmcompressor__w4a16", "gptq-gptqmodel__w4a16"])
@pytest.mark.parametrize("name", ["re:.*nothing", "down_proj", "Linear", "re:down_proj", "model.layers.99.mlp.down_proj"])
def test_layers_to_leave_out_that_no_model_has_stop_the_start(method_bits, name):
    with pytest.raises(UserError) as error:
        quantize.check(of_study(**{method_bits: {"ignore": ["re:.*layers.0.mlp.down_proj", name]}}))
    assert "no model of the study has a layer '" in str(error.value) and method_bits.replace("__", "/") in str(error.value)


def test_parts_of_names_are_looked_for_as_autoawq_does():
    quantize.check(of_study("schemes-vllm", awq__w4a16={"ignore": ["down_proj"]}))
    with pytest.raises(UserError, match="no model of the study has a layer"):
        quantize.check(of_study("schemes-vllm", awq__w4a16={"ignore": ["upper_proj"]}))


@pytest.mark.parametrize("name", ["re:.*layers.0.mlp.down_proj", "model.layers.0.self_attn.q_proj"])
def test_layers_that_a_model_has_may_be_left_out(name):
    quantize.check(of_study(**{"gptq-llmcompressor__w4a16": {"ignore": [name]}}))


def test_a_recipe_that_leaves_out_every_layer_stops_the_start():
    with pytest.raises(UserError, match=r"leaves no layer of [^ ]+ to quantize"):
        quantize.check(of_study(**{"gptq-llmcompressor__w4a16": {"ignore": ["re:.*"]}}))


def test_layers_left_out_count_with_16_bits():
    facts = CONFIG.models["tiny-0.4m"].facts
    down = next(one for one in facts.linear_layers if one.name == "mlp.down_proj")
    for method_bits, ignore in (("gptq-llmcompressor/w4a16", "re:.*down_proj"), ("awq/w4a16", "down_proj")):
        scheme, plain = changed(method_bits, ignore=[ignore])[1], planned(method_bits)[1]
        share = down.weights / facts.linear_weights
        assert scheme.effective_bits == pytest.approx(4 * (1 - share) + 16 * share, abs=0.01)
        assert scheme.label == f"{plain.label}: {scheme.effective_bits:.1f} bits a weight" and scheme.format == plain.format
        more = sizes.planned_bytes(facts, scheme)["weights"] - sizes.planned_bytes(facts, plain)["weights"]
        assert more == pytest.approx(2 * down.weights - down.count * plain.bytes(down.outputs, down.inputs), rel=0.01)
    eight = changed("smoothquant/w8a8", ignore=["re:.*down_proj"])[1]
    assert (eight.falls_back, eight.activation_bits) == (planned("smoothquant/w8a8")[1].falls_back, 8)


def test_a_group_size_has_to_divide_only_the_layers_in_groups():
    facts = CONFIG.models["tiny-0.4m"].facts
    layers = tuple(replace(one, inputs=200) if one.name == "mlp.down_proj" else one for one in facts.linear_layers)
    uneven = replace(facts, linear_layers=layers)

    def refused(spec):
        return [one.reason for one in preflight.check_groups(quantize.scheme_of(spec, uneven), uneven)]

    assert refused(planned("gptq-llmcompressor/w4a16")[0]) == [
        "200 input channels of mlp.down_proj do not split into groups of 128"
    ]
    assert not refused(changed("gptq-llmcompressor/w4a16", ignore=["re:.*down_proj"])[0])
    assert not refused(planned("mixed-llmcompressor/w4a16")[0])


@pytest.mark.parametrize(
    ("method_bits", "ignore", "joined"),
    [
        ("gptq-llmcompressor/w4a16", "re:.*down_proj", None),
        ("gptq-llmcompressor/w4a16", "re:.*layers.0.self_attn.q_proj", "model.layers.0.self_attn.qkv_proj"),
        ("gptq-llmcompressor/w4a16", "re:.*[qkv]_proj", None),
        ("gptq-gptqmodel/w4a16", "re:.*up_proj", "model.layers.0.mlp.gate_up_proj"),
        ("awq/w4a16", "gate_proj", "model.layers.0.mlp.gate_up_proj"),
    ],
)
def test_layers_that_vllm_joins_have_one_scheme(method_bits, ignore, joined):
    facts = CONFIG.models["tiny-0.4m"].facts
    scheme = changed(method_bits, ignore=[ignore])[1]
    found = [one.reason for one in preflight.check_joined(scheme, facts, "vllm")]
    assert found == ([f"vLLM joins layers that have different schemes here into {joined}"] if joined else [])
    assert not preflight.check_joined(scheme, facts, "hf")


def test_experts_of_different_schemes_are_refused_for_vllm():
    experts = (LinearLayer("mlp.experts.gate_proj", 64, 128, 12), LinearLayer("mlp.experts.down_proj", 128, 64, 12))
    facts = replace(CONFIG.models["tiny-0.4m"].facts, linear_layers=experts, num_experts=4, num_hidden_layers=3)
    scheme = quantize.scheme_of(planned("mixed-llmcompressor/w4a16")[0], facts)
    assert [one.name for one in preflight.check_joined(scheme, facts, "vllm")] == ["joined"]
    assert not preflight.check_joined(planned("gptq-llmcompressor/w4a16")[1], facts, "vllm")


def test_a_group_size_of_several_schemes_is_that_of_those_in_groups():
    eight, four = changed("mixed-llmcompressor/w4a16", group_size=32)[1].parts
    assert (eight.scheme.group_size, four.scheme.group_size) == (-1, 32)


@pytest.mark.parametrize("model_type", ["gpt_neox", "falcon"])
def test_layers_are_named_as_the_model_names_them(model_type):
    found = of_type(model_type).models["tiny-0.4m"].facts.modules()
    assert found[0].startswith({"gpt_neox": "gpt_neox.layers.0.", "falcon": "transformer.h.0."}[model_type])


def test_a_wrong_change_of_any_study_stops_the_start():
    settings = {"gptq-llmcompressor/w4a16": {"smoothing_strength": 0.5}}
    studies = CONFIG.studies | {"schemes": STUDY.model_copy(update={"recipe_settings": settings})}
    quantize.check(CONFIG)
    with pytest.raises(UserError, match=r"config/studies/schemes.yaml, recipe_settings, gptq-llmcompressor/w4a16: toolkit llm"):
        quantize.check(config.Config(**(vars(CONFIG) | {"studies": studies})))
