"""The judgement of an engine's log-probabilities, on made-up values whose truth is known."""

import math

import numpy as np
import pytest
from edge2giant.quantize.validation import agreement

TEXTS, TOKENS, NOISE, DRAWS = 8, 100, 0.05, 8


def rows(values: np.ndarray) -> list[list[float]]:
    return values.reshape(TEXTS, TOKENS).tolist()


@pytest.fixture(scope="module")
def truth():
    """Right values, the move of one misreading (half the noise of a token), and the reference drawn around them."""
    generator = np.random.default_rng(0)
    right = -5 + generator.standard_normal(TEXTS * TOKENS)
    move, unrounded = (NOISE / 2 * generator.standard_normal(right.size) for _ in range(2))
    draws = [right + NOISE * generator.standard_normal(right.size) for _ in range(DRAWS)]
    spread = np.mean([np.abs(draws[at] - np.mean(np.delete(draws, at, 0), 0)).mean() for at in range(DRAWS)])
    rounding = {
        "draws": DRAWS, "means": [rows(np.mean(draws[0::2], 0)), rows(np.mean(draws[1::2], 0))],
        "spread": dict.fromkeys(agreement.LIMITS, float(spread)), "unrounded": rows(right + unrounded),
        "moves": {"wrong": rows(move)},
    }  # fmt: skip
    return right, move, unrounded, {"exact": {"weights": rows(right + unrounded)}, "rounding": rounding}


def drawn(right: np.ndarray, seed: int) -> np.ndarray:
    return right + NOISE * np.random.default_rng(seed).standard_normal(right.size)


@pytest.mark.parametrize("seed", range(1, 21))
def test_another_draw_passes(truth, seed):
    right, _, _, reference = truth
    found = agreement.judge(rows(drawn(right, seed)), reference, "float16")
    assert found["passed"] and found["reference"] == agreement.DRAWN
    assert abs(found["misreadings"][0]["fraction"]) < 5 * found["misreadings"][0]["error"]


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_misreading_below_the_noise_is_seen(truth, seed):
    right, move, _, reference = truth
    found = agreement.judge(rows(drawn(right + move, seed)), reference, "float16")
    assert found["logprob_difference_mean"] < found["limit"], "the distance alone does not see it"
    assert not found["passed"] and found["misreadings"][0]["fraction"] == pytest.approx(1, abs=0.45)


def test_more_noise_than_rounding_makes_fails(truth):
    right, _, _, reference = truth
    found = agreement.judge(rows(drawn(drawn(right, 1), 2) + drawn(0 * right, 3)), reference, "float16")
    assert found["reference"] == agreement.DRAWN and not found["passed"]


def test_an_engine_that_rounds_nothing_is_held_to_the_weights(truth):
    right, _, unrounded, reference = truth
    found = agreement.judge(rows(right + unrounded + 0.005), reference, "float16")
    assert found["reference"] == "weights" and found["passed"]
    found = agreement.judge(rows(right + 1.5 * unrounded + 0.012), reference, "float16")
    assert found["reference"] == "weights" and not found["passed"]


def test_on_a_gpu_a_run_that_rounds_as_transformers_is_one_more_draw(truth):
    right, move, _, reference = truth
    other = right + 2 * NOISE * np.random.default_rng(9).standard_normal(right.size)  # far from the draws: another manner
    reference = reference | {"exact": reference["exact"] | {agreement.ROUNDED: rows(other)}}
    near = other + 0.2 * NOISE * np.random.default_rng(10).standard_normal(right.size)
    assert not agreement.judge(rows(near), reference, "float32")["passed"], "a CPU has the last bits of the reference"
    found = agreement.judge(rows(near), reference, "float32", same_arithmetic=False)
    assert found["passed"] and found["reference"] == agreement.ROUNDED
    assert not agreement.judge(rows(near + move), reference, "float32", same_arithmetic=False)["passed"]


def test_a_misreading_too_small_to_see_is_left_undecided(truth):
    right, move, _, reference = truth
    small = reference | {"rounding": reference["rounding"] | {"moves": {"tiny": rows(move / 100), "none": rows(0 * move)}}}
    found = agreement.judge(rows(drawn(right, 1)), small, "float16")
    assert found["passed"] and not any(line["decided"] for line in found["misreadings"])
    assert not any(line["decided"] for line in agreement.summary(small["rounding"])["misreadings"])


def test_summary_predicts_the_error_that_an_engine_gets(truth):
    right, _, _, reference = truth
    (said,) = agreement.summary(reference["rounding"])["misreadings"]
    (found,) = agreement.judge(rows(drawn(right, 1)), reference, "float16")["misreadings"]
    assert said["decided"] and said["error"] == pytest.approx(found["error"], rel=0.2)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_value_that_is_no_number_fails(truth, value):
    right, _, _, reference = truth
    broken = drawn(right, 1)
    broken[3] = value
    assert not agreement.judge(rows(broken), reference, "float16")["passed"]
    assert not agreement.judge(rows(broken), {"exact": reference["exact"], "rounding": None}, "float16")["passed"]
