"""What `grid` answers until every phase asks the plan."""

import pytest
from edge2giant import grid, paths, study


@pytest.fixture(scope="module")
def house():
    return grid.load()


def test_an_aggregation_is_no_part_of_an_evaluation(house):
    paper = house.study("paper")
    settings = house.evaluation(paper, paper.rows[0], "math_lvl5")
    assert not {"aggregation", "normalise", "metrics"} & set(settings)


def test_rows_that_resolve_alike_share_a_checkpoint(house):
    smoke, miniature = house.study("smoke"), house.study("miniature")
    row = grid.Row("tiny-0.4m", "gptq-llmcompressor", "w4a16")
    digests = {paths.checkpoint_spec(house, s, row).folder for s in (smoke, miniature)}
    assert len(digests) == 1


def test_nominal_storage_is_the_printed_one(house):
    assert study.nominal_gb(house, grid.Row("llama-3.1-405b-it", "awq", "w4a16")) == 202.5


def test_prompts_are_as_long_as_protocol_and_model_allow(house):
    paper = house.study("paper")
    limits = {row.model: house.evaluation(paper, row, "mmlu")["max_model_len"] for row in paper.rows}
    assert (limits["llama-2-7b-chat"], limits["gemma-7b-it"], limits["llama-3.1-8b-it"]) == (4096, 8192, 16384)
