"""Planning of log-likelihood prompts, against a brute-force oracle on a fake engine with a prefix cache."""

import hashlib
import math

import numpy
import pytest
from edge2giant.engine import self_check
from edge2giant.engine.scoring import ContinuationTooLongError, Logprobs, Prompt, Scorer
from edge2giant.engine.self_check import compare, sample
from hypothesis import given, settings
from hypothesis import strategies as st

VOCABULARY = 6
BLOCK = 4


def logprobs(prefix):
    """Log-probabilities of every token after a prefix: any function of the prefix will do."""
    weights = [hashlib.sha256(bytes([*prefix, 255, token])).digest()[0] // 64 + 1 for token in range(VOCABULARY)]
    return [math.log(weight / sum(weights)) for weight in weights]


def oracle(context, continuation):
    total, greedy = 0.0, True
    for position, token in enumerate(continuation):
        at = logprobs([*context, *continuation[:position]])
        total += at[token]
        greedy &= at[token] == max(at)
    return total, greedy


class FakeEngine:
    """Answers prompts in order; whole blocks of earlier prompts are cached, and what is cached is not known."""

    def __init__(self, evict=()):
        self.blocks, self.prompts, self.computed, self.evict = set(), 0, 0, set(evict)

    def __call__(self, prompts):
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt: Prompt):
        self.prompts += 1
        if self.prompts in self.evict:
            self.blocks.clear()
        ids = list(prompt.ids)
        cached = 0 if prompt.fresh else self.cached(ids)
        self.computed += len(ids) - cached
        self.blocks |= {tuple(ids[:end]) for end in range(BLOCK, len(ids) + 1, BLOCK)}
        if prompt.rows_from is None:
            at = logprobs(ids)
            return Logprobs([at[token] for token in prompt.candidates], [max(at)])
        rows = [logprobs(ids[:position]) for position in range(prompt.rows_from, len(ids))]
        values = [row[token] for row, token in zip(rows, ids[prompt.rows_from :], strict=True)]
        tops = [max(row) for row in rows]
        for position in range(prompt.rows_from, min(cached + 1, len(ids))):
            values[position - prompt.rows_from] = tops[position - prompt.rows_from] = 99.0  # garbage
        return Logprobs(values, tops, cached + 1)

    def cached(self, prompt):
        end = 0
        while end + BLOCK <= len(prompt) - 1 and tuple(prompt[: end + BLOCK]) in self.blocks:
            end += BLOCK
        return end


def run(pairs, engine, **options):
    scorer = Scorer(pairs, **{"max_prompt": 10_000, "block": BLOCK, **options})
    while prompts := scorer.prompts():
        scorer.take(engine(prompts))
    return scorer


tokens = st.integers(0, VOCABULARY - 1)
contexts = st.lists(tokens, min_size=1, max_size=14)
continuations = st.lists(tokens, min_size=0, max_size=9)
# few distinct contexts, so that they repeat, begin one another and share continuations
batches = st.lists(contexts, min_size=1, max_size=5).flatmap(
    lambda some: st.lists(st.tuples(st.sampled_from(some), continuations), min_size=1, max_size=25)
)


@settings(max_examples=300, deadline=None)
@given(batches, st.sets(st.integers(1, 40), max_size=4))
def test_equals_brute_force(pairs, evict):
    scorer = run(pairs, FakeEngine(evict))
    for (context, continuation), score in zip(pairs, scorer.results(), strict=True):
        expected = oracle(context, continuation)
        assert score == pytest.approx(expected)
        assert score[1] is expected[1]


@settings(max_examples=100, deadline=None)
@given(batches, st.integers(10, 16))
def test_too_long_loses_the_left_and_is_counted(pairs, max_prompt):
    scorer = run(pairs, FakeEngine(), max_prompt=max_prompt)
    cut = [len(context) + len(tail) - max_prompt for context, tail in pairs]
    assert scorer.too_long == sum(over > 0 and bool(tail) for over, (_, tail) in zip(cut, pairs, strict=True))
    for (context, tail), over, score in zip(pairs, cut, scorer.results(), strict=True):
        assert score == pytest.approx(oracle(context[max(over, 0) :], tail))


@settings(max_examples=100, deadline=None)
@given(batches)
def test_self_check_agrees_with_itself(pairs):
    engine = FakeEngine()
    scorer = run(pairs, engine)
    groups = sample(scorer.groups, 1.0, 10_000)
    first = engine([prompt for group in groups for prompt in group.slow_prompts()])
    second = engine([prompt for group in groups for prompt in group.slow_prompts(fresh=False)])
    if not groups:
        return
    check = compare(groups, first, second).record()
    assert check.requests == len({(tuple(c), tuple(t)) for c, t in pairs if t})
    assert check.engine.largest < 1e-9 and check.floor.largest < 1e-9
    assert check.best_changed == check.greedy_changed == 0
    assert check.outside == () == self_check.warnings(check)


def drawn(scale, mean=0.0, questions=16, seed=0):
    """Differences of questions with four continuations, in nats."""
    return self_check.differences(numpy.random.default_rng(seed).normal(mean, scale, (questions, 4)))


@pytest.mark.parametrize(
    ("engine", "floor", "outside"),
    [
        (drawn(0.1), drawn(0.1, seed=1), ()),
        (drawn(0.5), drawn(0.1, seed=1), ("size",)),
        (drawn(0.1, mean=-0.1), drawn(0.1, seed=1), ("mean",)),
        (drawn(0.1, mean=-0.1), drawn(0.1, mean=-0.2, seed=1), ()),  # slow against slow moves as much
        (drawn(1e-6, mean=-1e-5), drawn(0), ()),  # rounding of 32 bits
        (drawn(0.1, mean=-1.0), drawn(0), ("size", "mean")),
    ],
)
def test_an_engine_is_held_to_the_floor(engine, floor, outside):
    assert self_check.outside(engine, floor, questions=16, requests=64) == outside


def test_a_small_sample_needs_more_to_be_outside():
    size, shift = (drawn(0.3), drawn(0.1, seed=1)), (drawn(0.05, mean=-0.1, questions=3), drawn(0.1, questions=3, seed=1))
    assert self_check.outside(*size, 16, 64) == ("size",) and self_check.outside(*size, 4, 16) == ()
    assert self_check.outside(*shift, 16, 64) == ("mean",) and self_check.outside(*shift, 3, 12) == ()


def test_a_shift_that_many_questions_show_is_held_to_the_size_of_the_floor():
    """Thousands of questions that share a prefix: a shift of a tenth of the floor's size comes of the rounding of that prefix."""
    floor = drawn(0.1, questions=4000, seed=1)
    assert self_check.outside(drawn(0.1, mean=0.01, questions=4000), floor, 4000, 16000) == ()
    assert self_check.outside(drawn(0.1, mean=0.03, questions=4000), floor, 4000, 16000) == ("mean",)


def test_differences_of_one_question_count_together():
    """Four equal continuations of a question are one observation: the error is that of the means of the questions."""
    shared = numpy.repeat(numpy.random.default_rng(0).normal(0, 1, (20, 1)), 4, axis=1)
    found = self_check.differences(shared)
    assert found.error == pytest.approx(shared[:, 0].std(ddof=1) / 20**0.5)
    assert found.mean == pytest.approx(shared.mean()) and found.largest == abs(shared).max()
    assert self_check.differences([[0.5, -0.5]]).error is None


def test_a_question_that_changes_is_counted_with_its_margin():
    pairs = [([1, 2], [3]), ([1, 2], [4])]
    scorer = Scorer(pairs, max_prompt=99)
    scorer.prompts()
    scorer.take([Logprobs([-1.0, -2.0], [-1.0])])
    slow = [Logprobs([-2.5], [-2.0], 0), Logprobs([-2.0], [-2.0], 0)]
    check = compare(scorer.groups, slow, slow).record()
    assert (check.best_changed, check.widest_changed_margin, check.greedy_changed) == (1, 0.5, 2)
    assert check.engine.mean == pytest.approx(0.75) and check.floor.mean_abs == 0
    assert check.outside == ("size",)
    assert "differ from vLLM's own by 0.75 nats" in self_check.warnings(check)[0]


def test_one_prompt_for_a_question_with_letters():
    pairs = [([1, 2, 3, 4], [letter]) for letter in range(4)]
    prompts = Scorer(pairs, max_prompt=99).prompts()
    assert prompts == [Prompt([1, 2, 3, 4], (0, 1, 2, 3))]


def test_more_than_128_letters_take_two_prompts():
    prompts = Scorer([([1], [token]) for token in range(130)], max_prompt=99).prompts()
    assert [len(prompt.candidates) for prompt in prompts] == [128, 2]


def test_bracketed_letters_are_rows_since_they_branch_more_than_once():
    pairs = [([1] * 200, [2, letter, 3]) for letter in range(4)]  # " (", "A", ")"
    prompts = Scorer(pairs, max_prompt=999).prompts()
    assert [prompt.rows_from for prompt in prompts] == [200, 200, 200, 200]


def test_letters_behind_a_common_token_take_two_prompts():
    pairs = [([1] * 200, [2, letter]) for letter in range(4)]
    prompts = Scorer(pairs, max_prompt=999).prompts()
    assert [(len(prompt.ids), prompt.candidates) for prompt in prompts] == [(200, (2,)), (201, (0, 1, 2, 3))]


def test_long_continuations_compute_their_context_once():
    pairs = [([5] * 201, [letter] * 20) for letter in range(4)]
    engine = FakeEngine()
    run(pairs, engine)
    assert engine.prompts == 4
    assert engine.computed < 201 + 4 * (20 + BLOCK)


def test_a_context_of_whole_blocks_takes_one_prompt_more():
    pairs = [([5] * 200, [letter] * 20) for letter in range(4)]  # the cache holds all rows of the context
    engine = FakeEngine()
    scorer = run(pairs, engine)
    assert engine.prompts == 5
    assert engine.computed < 200 + 4 * 20 + 2 * BLOCK
    assert scorer.results()[3] == pytest.approx(oracle(*pairs[3]))


def test_duplicates_are_sent_once_and_contexts_are_neighbours():
    pairs = [([2], [3]), ([1], [3]), ([2], [3]), ([2, 5], [3]), ([1], [4]), ([1, 5], [3])]
    prompts = Scorer(pairs, max_prompt=99).prompts()
    assert [prompt.ids for prompt in prompts] == [[1], [1, 5], [2], [2, 5]]


def test_a_sibling_answers_for_tokens_inside_the_cache():
    context = [1, 2, 3]  # not a whole block: the first sibling's block covers the shared beginning
    pairs = [(context, [4, 5, 0, 1, 2, 3, 4]), (context, [4, 5, 0, 1, 3, 3, 3])]
    engine = FakeEngine()
    scorer = run(pairs, engine)
    assert engine.prompts == 2
    for pair, score in zip(pairs, scorer.results(), strict=True):
        assert score == pytest.approx(oracle(*pair))


def test_what_no_sibling_has_is_requested_again_without_the_cache():
    engine = FakeEngine()
    engine([Prompt([1, 2, 3, 4, 5, 0, 1, 2])])  # another prompt has filled the cache
    pairs = [([1, 2, 3], [4, 5, 0, 1, 2, 3])]
    scorer = run(pairs, engine)
    assert engine.prompts == 3
    assert scorer.results()[0] == pytest.approx(oracle(*pairs[0]))


def test_answers_without_end_are_an_error():
    scorer = Scorer([([1], [2, 3, 4, 5, 0, 1, 2, 3])], max_prompt=99)
    never = Logprobs([0.0] * 8, [0.0] * 8, 99)
    for _ in range(2):
        scorer.take([never] * len(scorer.prompts()))
    with pytest.raises(RuntimeError, match="incompletely"):
        scorer.prompts()


def test_a_continuation_longer_than_the_model_is_an_error():
    with pytest.raises(ContinuationTooLongError):
        Scorer([([1], [2] * 20)], max_prompt=10)


def test_sample_is_small_and_the_same_each_time():
    pairs = [([context, 1], [letter]) for context in range(200) for letter in range(4)]
    scorer = Scorer(pairs, max_prompt=99)
    keys = [group.key for group in sample(scorer.groups, 0.05, 10_000)]
    assert len(keys) == 10
    assert keys == [group.key for group in sample(Scorer(pairs[::-1], max_prompt=99).groups, 0.05, 10_000)]
    assert len(sample(scorer.groups, 0.5, 16)) == 4
    assert sample(scorer.groups, 0.0, 16) == []
