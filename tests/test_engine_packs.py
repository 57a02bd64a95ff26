"""Packs of prompts: what is sent is what the scheduler gets, block hashes as if each prompt came alone, answers in order."""

import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
from edge2giant.engine import packs
from edge2giant.engine.packs import Packs, TakesPacks, Unpacker, common_blocks
from edge2giant.engine.scoring import Prompt
from hypothesis import given
from hypothesis import strategies as st

BLOCK = 4


class Params(SimpleNamespace):
    """Stands in for vLLM's SamplingParams."""

    def __init__(self, extra_args=None, **named):
        super().__init__(extra_args=extra_args, **named)


@pytest.fixture(autouse=True)
def vllm(monkeypatch):
    for name in ("vllm", "vllm.v1", "vllm.v1.engine"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["vllm"].SamplingParams = Params
    sys.modules["vllm.v1.engine"].EngineCoreRequest = SimpleNamespace


def hasher(request):
    """Chained hashes of whole blocks, as vLLM's block hasher; counts what it computes."""
    found, before = [], request.block_hashes[-1] if request.block_hashes else 0
    for at in range(len(request.block_hashes) * BLOCK, len(request.prompt_token_ids) - BLOCK + 1, BLOCK):
        before = hash((before, tuple(request.prompt_token_ids[at : at + BLOCK])))
        found.append(before)
        hasher.computed += 1
    return found


class Request:
    """Stands in for vLLM's Request: hashes its blocks when it is made."""

    def __init__(
        self, request_id, prompt_token_ids, sampling_params, pooling_params, client_index, arrival_time, block_hasher=None
    ):
        self.request_id, self.prompt_token_ids, self.sampling_params = request_id, prompt_token_ids, sampling_params
        self.client_index, self.arrival_time = client_index, arrival_time
        self.block_hashes, self._block_hasher = [], block_hasher
        self.update_block_hashes()

    def update_block_hashes(self):
        if self._block_hasher:
            self.block_hashes.extend(self._block_hasher(self))


class Scheduler:
    def __init__(self):
        self.requests = []

    def add_request(self, request):
        self.requests.append(request)


class Engine:
    """The engine's process: unpacks; a log-probability is minus the token; three prompts a step, the last ones first."""

    def __init__(self):
        self.scheduler = type("PackScheduler", (TakesPacks, Scheduler), {})()
        self.scheduler.unpacker = Unpacker(BLOCK)
        self.kept, self.cached = [], 0

    def add_request(self, message):
        made = Request(message.request_id, message.prompt_token_ids, message.sampling_params, None, 0, 0.0, hasher)
        self.scheduler.add_request(made)

    def get_output(self):
        step = [self.scheduler.requests.pop() for _ in range(min(3, len(self.scheduler.requests)))]
        return SimpleNamespace(outputs=[self.answer(one) for one in step])

    def answer(self, request):
        params, ids = request.sampling_params, request.prompt_token_ids
        logprobs = None
        if (params.extra_args or {}).get(packs.KEPT):
            first = max(params.extra_args[packs.ROWS_FROM] - 1, self.cached)
            if first < len(ids) - 1:
                self.kept.append((request.request_id, first, ids[first + 1 :]))
        else:
            import numpy as np

            asked = [99, *params.logprob_token_ids]
            logprobs = (np.array([asked]), np.array([[-0.5, *(-float(one) for one in asked[1:])]], dtype=np.float32))
        return SimpleNamespace(
            request_id=request.request_id,
            finish_reason=SimpleNamespace(name="LENGTH"),
            new_logprobs=logprobs,
            prefill_stats=SimpleNamespace(num_cached_tokens=self.cached),
        )

    def take(self):
        import numpy as np

        kept, self.kept = self.kept, []
        ids = [one for _, _, row in kept for one in row]
        values = np.array([[-one, -0.25] for one in ids], dtype=np.float32)
        names, firsts, rows = zip(*kept, strict=True) if kept else ((), (), ())
        return [None, (names, firsts, list(map(len, rows)), np.array(ids, dtype=np.int32).tobytes(), values.tobytes())]


contexts = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=14), min_size=1, max_size=5)
tails = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=4)


@given(contexts, tails)
def test_the_scheduler_gets_each_prompt_with_the_hashes_it_has_alone(some, ends):
    engine = Engine()
    prompts = [Prompt(context, (), len(context), False, tuple(tail)) for context in some for tail in ends]
    hasher.computed = 0
    Packs(engine, engine.take).send(prompts)
    computed, hasher.computed = hasher.computed, 0
    assert [one.prompt_token_ids for one in engine.scheduler.requests] == [prompt.ids for prompt in prompts]
    alone = [Request("", list(prompt.ids), None, None, 0, 0.0, hasher).block_hashes for prompt in prompts]
    assert [one.block_hashes for one in engine.scheduler.requests] == alone
    assert computed <= hasher.computed + sum(len(context) // BLOCK for context in some)


def test_a_context_is_hashed_once_and_what_it_shares_with_the_last_one_not_again():
    engine, first = Engine(), list(range(40))
    second = [*range(24), *range(100, 116)]
    hasher.computed = 0
    Packs(engine, engine.take).send([Prompt(head, (), 40, False, (at,)) for head in (first, second) for at in range(4)])
    assert hasher.computed == 10 + 4


def test_answers_come_in_order_with_what_the_cache_hid_unknown(monkeypatch):
    monkeypatch.setattr(packs, "PROMPTS", 3)
    engine = Engine()
    engine.cached = 5
    way = Packs(engine, engine.take)
    long, short = [1, 2, 3, 4], [1, 2]
    prompts = [Prompt(long, (), 4, False, (7, 8, 9)), Prompt(long, (5, 6)), Prompt(short, (), 2, False, (3, 4, 5))]
    prompts += [Prompt(short, (8,), tail=(2,)), Prompt(short, (), 2, False, (4, 5)), Prompt([9], (7,), fresh=True)]
    way.send(prompts)
    answers, cached = way.receive()
    assert cached == 5 * len(prompts)
    assert [answers[1], answers[3], answers[5]] == [([-5.0, -6.0], [-0.5], 0), ([-8.0], [-0.5], 0), ([-7.0], [-0.5], 0)]
    values, tops, known = answers[0]
    assert (values[2:], tops[2:], known) == ([-9.0], [-0.25], 6) and all(map(math.isnan, values[:2] + tops[:2]))
    assert answers[2].known_from == 5 and all(map(math.isnan, answers[2].values))  # all of it came from the cache
    assert answers[4].known_from == 4 and all(map(math.isnan, answers[4].values))
    way.send(prompts[:1])
    assert way.receive()[0][0].values[2:] == [-9.0]


def test_what_an_error_left_behind_is_passed_over():
    engine = Engine()
    way = Packs(engine, engine.take)
    way.send([Prompt([1, 2], (), 2, False, (3, 4))])
    way.forget()
    way.send([Prompt([1, 2], (), 2, False, (5, 6))])
    assert way.receive()[0] == [([-5.0, -6.0], [-0.25, -0.25], 2)]


def test_a_wrong_answer_and_a_prompt_that_vllm_gives_up_are_errors():
    engine = Engine()
    way = Packs(engine, lambda: [(["pack-0"], [1], [2], b"\1\0\0\0" * 2, b"\0" * 16)])
    way.send([Prompt([1, 2], (), 2, False, (3, 4))])
    with pytest.raises(RuntimeError, match="other tokens"):
        way.receive()
    way.send([Prompt([1, 2], (3,))])
    engine.scheduler.requests[0].sampling_params.logprob_token_ids = [4]
    with pytest.raises(RuntimeError, match="other tokens"):
        way.receive()
    way.send([Prompt([1, 2], (3,))])
    engine.answer = lambda request: SimpleNamespace(request_id=request.request_id, finish_reason=SimpleNamespace(name="ERROR"))
    with pytest.raises(RuntimeError, match="ERROR"):
        way.receive()


def test_other_requests_go_to_the_scheduler_as_they_are():
    engine = Engine()
    engine.scheduler.add_request(SimpleNamespace(sampling_params=Params(), request_id="1"))
    engine.scheduler.add_request(SimpleNamespace(sampling_params=None, request_id="2"))
    assert [one.request_id for one in engine.scheduler.requests] == ["1", "2"]


def test_a_vllm_without_these_places_takes_no_packs(monkeypatch):
    assert not packs.fits()
    for name, held in (("core.sched.async_scheduler", {"AsyncScheduler": Scheduler}), ("request", {"Request": Request})):
        module = ModuleType(name)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, f"vllm.v1.{name}", module)
    assert packs.fits()
    monkeypatch.delattr(Request, "update_block_hashes")
    assert not packs.fits()


@given(st.binary(max_size=40), st.binary(max_size=9), st.binary(max_size=9), st.integers(1, 5))
def test_common_blocks(shared, one, other, size):
    one, other = shared + one, shared + other
    same = next((at for at in range(min(len(one), len(other))) if one[at] != other[at]), min(len(one), len(other)))
    assert common_blocks(one, other, size) == same // size
