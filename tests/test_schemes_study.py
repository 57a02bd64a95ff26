"""The studies of every recipe: they hold what a CPU can make, no limit is known, and (slow) they really run."""

import json

import pytest
from edge2giant import config, records, typed
from edge2giant.plan import quantize
from edge2giant.quantize import preflight, toolkits
from edge2giant.records.checkpoint import CheckpointRecord
from edge2giant.schemes import limits
from edge2giant.specs.variant import Variant
from test_end_to_end import cells, make_clone, run, succeeded

STUDIES = ("schemes", "schemes-vllm")
ON_A_GPU = {"gptq-autogptq/w4a16"}
"""AutoGPTQ 0.7.1 refuses to quantize without CUDA; tests/test_quantize_autogptq.py patches it."""


CONFIG = config.load()


def known_against(name, variant):
    """What preflight says of making a variant's checkpoint and loading it in a study, on a CPU."""
    study = CONFIG.study(name)
    stack = CONFIG.stacks[study.stack]
    spec = quantize.made_spec(CONFIG, study, variant, None)
    scheme = toolkits.module(spec.toolkit).scheme(spec.recipe)
    loading = preflight.check(scheme, stack.engine, stack.engine_version, "cpu")
    return loading + toolkits.check_making(spec.toolkit, CONFIG.models[variant.model].facts, spec.recipe, "cpu")


def test_every_recipe_that_a_cpu_can_make_is_in_one_of_them():
    known = {f"{method}/{bits}" for method, entry in CONFIG.methods.items() for bits in entry.bits}
    there = {variant.method_bits for name in STUDIES for variant in CONFIG.study(name).variants}
    assert known - there == ON_A_GPU and there <= known


@pytest.mark.parametrize("name", STUDIES)
def test_nothing_is_known_against_a_variant(name):
    for variant in CONFIG.study(name).variants:
        found = known_against(name, variant)
        assert not [verdict for verdict in found if verdict.level != limits.NEEDS], variant.path


def test_the_variants_that_each_leaves_out_are_refused_by_its_engine():
    for name, other in (STUDIES, STUDIES[::-1]):
        for variant in set(CONFIG.study(other).variants) - set(CONFIG.study(name).variants):
            assert known_against(name, variant), f"{variant.path} could be in {name}"


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_all_checkpoints_are_valid_and_scored(tmp_path_factory, name):
    clone = make_clone(tmp_path_factory.mktemp(name) / "edge2giant")
    succeeded(run(clone, "all", "--config", f"study={name}", "batch=checkpoint"))
    study = CONFIG.study(name)
    made = [
        typed.as_json(records.read(path, CheckpointRecord)) for path in (clone / "results/checkpoints").rglob("checkpoint.json")
    ]
    assert {Variant(**one["variant"]) for one in made} == set(study.variants)
    assert all(check["passed"] for one in made for check in one["validation"]["checks"])
    assert len(cells(clone, name)) == len(study.cells)
    shared = json.loads((clone / f"results/{name}/overlap.json").read_text())["sets"]
    assert shared and all(line["whole"] == 0 for line in shared)
