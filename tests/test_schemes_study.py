"""The studies of every scheme: they hold what a CPU can make, nothing is known against a row, and (slow) they really run."""

import json

import pytest
from edge2giant import grid, records
from edge2giant.quantize import preflight, recipe
from test_end_to_end import cells, make_clone, run, succeeded

STUDIES = ("schemes", "schemes-vllm")
ON_A_GPU = {"gptq-autogptq/w4a16"}
"""AutoGPTQ 0.7.1 refuses to quantize without CUDA; tests/test_quantize_autogptq.py patches it."""


@pytest.fixture(scope="module")
def house():
    return grid.load()


def test_every_scheme_that_a_cpu_can_make_is_in_one_of_them(house):
    known = {f"{method}/{bits}" for method, entry in house.recipes["methods"].items() for bits in entry["bits"]}
    there = {row.scheme for name in STUDIES for row in house.study(name).rows}
    assert known - there == ON_A_GPU and there <= known


@pytest.mark.parametrize("name", STUDIES)
def test_nothing_is_known_against_a_row(house, name):
    study = house.study(name)
    stack = house.stacks[study.stack]
    for row in study.rows:
        scheme = recipe.resolve(house.recipes, house.calibration, *grid.astuple(row), calibration=study.calibration)
        found = preflight.check(scheme, stack["engine"], stack["engine_version"], "cpu") + preflight.check_making(scheme, "cpu")
        assert not [verdict for verdict in found if verdict.level != preflight.NEEDS], row.path


def test_the_rows_that_each_leaves_out_are_refused_by_its_engine(house):
    for name, other in (STUDIES, STUDIES[::-1]):
        stack = house.stacks[house.study(name).stack]
        for row in set(house.study(other).rows) - set(house.study(name).rows):
            scheme = recipe.resolve(house.recipes, house.calibration, *grid.astuple(row), calibration="miniature")
            assert preflight.check(scheme, stack["engine"], stack["engine_version"], "cpu"), f"{row.path} could be in {name}"


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_all_checkpoints_are_proven_and_scored(tmp_path_factory, house, name):
    clone = make_clone(tmp_path_factory.mktemp(name) / "edge2giant")
    succeeded(run(clone, "all", "--config", f"study={name}", "batch=checkpoint"))
    rows = house.study(name).rows
    made = [records.read_json(path, "checkpoint") for path in (clone / "results/checkpoints").rglob("checkpoint.json")]
    assert {f"{one['scheme']['method']}/{one['scheme']['bits']}" for one in made} == {row.scheme for row in rows}
    assert all(check["passed"] for one in made for check in one["validation"]["checks"])
    assert len(cells(clone, name)) == len(house.study(name).cells)
    shared = json.loads((clone / f"results/{name}/overlap.json").read_text())["sets"]
    assert shared and all(line["whole"] == 0 for line in shared)
