"""A tuned model is planned from its source and its texts, and never fetched."""

from types import SimpleNamespace

import pytest
from edge2giant import config, plan, specs
from edge2giant.errors import UserError
from edge2giant.plan import acquire, resources, tune
from edge2giant.plan import quantize as checkpoints
from edge2giant.specs.variant import Variant

TUNED, SOURCE, TEXTS = "smollm2-135m-it-tuned", "smollm2-135m-it-q4", ("wikitext2-128x2048", "c4-256x512")
JOB = SimpleNamespace(model=TUNED)


@pytest.fixture(scope="module")
def edge_open():
    return plan.Plan(config.load(), SimpleNamespace(results="results", study="edge-open", cluster="one-24gb"))


def test_the_study_fetches_the_source_and_the_texts_and_not_the_tuned_model(edge_open):
    fetched = [(one.kind, one.name) for one in acquire.pieces(edge_open, "edge-open")]
    assert fetched.count(("model", SOURCE)) == 1 and ("model", TUNED) not in fetched
    assert {("calibration", name) for name in TEXTS} <= set(fetched)


def test_its_checkpoints_read_what_the_rule_makes(edge_open):
    made = {variant: one for variant, one in checkpoints.checkpoints(edge_open, "edge-open").items() if variant.model == TUNED}
    assert len(made) == 11
    for variant, one in made.items():
        found = checkpoints.inputs(edge_open, SimpleNamespace(**vars(variant), digest=one.folder))
        assert found["model"] == f"<results>/store/hub/models/{TUNED}"
    wanted = tune.inputs(edge_open, JOB)
    assert wanted["model"].endswith(SOURCE) and [path.rsplit("/", 1)[-1] for path in wanted["texts"]] == [
        f"{name}.lock.json" for name in TEXTS
    ]
    assert tune.texts(edge_open, JOB)[0] == f"results/store/hub/calibration/{TEXTS[0]}"


def test_the_spec_is_the_recipe_of_the_entry_on_the_stack_of_the_study(edge_open):
    spec, entry = tune.spec(edge_open, JOB), edge_open.config.models[TUNED]
    assert (spec.source, spec.texts, spec.environment) == (SOURCE, TEXTS, "current/llmcompressor")
    assert vars(spec.noise) == dict(entry.tuned.noise) and vars(spec.distillation) == dict(entry.tuned.distillation)
    on_cpu = plan.Plan(edge_open.config, SimpleNamespace(results="results", study="miniature", cluster="one-24gb"))
    assert specs.digest(tune.spec(on_cpu, JOB)) != specs.digest(spec)
    with pytest.raises(UserError, match=f"unknown model that is tuned '{SOURCE}'"):
        tune.spec(edge_open, SimpleNamespace(model=SOURCE))


def test_it_gets_a_gpu_on_a_stack_that_has_them_and_memory_of_a_host_elsewhere(edge_open):
    requests = resources.Requests(edge_open.config, edge_open.config.cluster("one-24gb"))
    asked = requests.asked(resources.tune(edge_open, JOB))
    assert asked["gpu"] == 1 and asked["mem_mb"] > 8000
    on_cpu = plan.Plan(edge_open.config, SimpleNamespace(results="results", study="miniature", cluster="one-24gb"))
    asked = requests.asked(resources.tune(on_cpu, JOB))
    assert asked["gpu"] == 0 and asked["mem_mb"] > 8000


def test_methods_that_read_text_are_made_of_three_draws_of_it(edge_open):
    draws = ("edge-open", "edge-open-second-draw", "edge-open-third-draw")
    for method in ("gptq-llmcompressor", "awq-llmcompressor", "mixed-llmcompressor"):
        found = [checkpoints.checkpoints(edge_open, study)[Variant(TUNED, method, "w4a16")] for study in draws]
        assert [one.calibration.seed for one in found] == [42, 43, 44] and len({one.folder for one in found}) == 3
