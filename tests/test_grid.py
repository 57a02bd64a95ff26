"""What `grid` answers until every phase asks the plan."""

import pytest
from edge2giant import grid, paths, study


@pytest.fixture(scope="module")
def house():
    return grid.load()


def test_rows_that_resolve_alike_share_a_checkpoint(house):
    smoke, miniature = house.study("smoke"), house.study("miniature")
    row = grid.Row("tiny-0.4m", "gptq-llmcompressor", "w4a16")
    digests = {paths.checkpoint_spec(house, s, row).folder for s in (smoke, miniature)}
    assert len(digests) == 1


def test_nominal_storage_is_the_printed_one(house):
    assert study.nominal_gb(house, grid.Row("llama-3.1-405b-it", "awq", "w4a16")) == 202.5
