"""Log-probabilities of asked rows: the arithmetic, and prompts that are computed in several steps."""

import pytest

pytestmark = pytest.mark.toolkit("main")
torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from edge2giant.engine import runners, step_rows  # noqa: E402
from edge2giant.engine.step_rows import Span, StepRows, values_of  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

WIDTH, VOCABULARY = 8, 50
HEAD = torch.randn(WIDTH, VOCABULARY, generator=torch.Generator().manual_seed(0))


def logits_of(hidden):
    return hidden @ HEAD


def hidden_of(prompt):
    """Hidden states of a prompt: any function of the token and its position will do."""
    return torch.stack([torch.sin(torch.arange(WIDTH) * (token + 1.0) + at) for at, token in enumerate(prompt)])


def expected(prompt, first):
    logprobs = torch.log_softmax(logits_of(hidden_of(prompt)), -1)
    own = [logprobs[at - 1, prompt[at]].item() for at in range(first, len(prompt))]
    best = [logprobs[at - 1].max().item() for at in range(first, len(prompt))]
    return own, best


def test_values_are_those_of_a_log_softmax_whatever_the_chunk(monkeypatch):
    hidden, targets = torch.randn(37, WIDTH), torch.randint(0, VOCABULARY, (30,))
    index = torch.randperm(37)[:30]
    whole = torch.log_softmax(logits_of(hidden), -1)[index]
    for chunk in (1, 7, 512):
        monkeypatch.setattr(step_rows, "CHUNK", chunk)
        found = values_of(hidden, index, targets, logits_of)
        assert found.logprobs[:, 0].tolist() == pytest.approx(whole.gather(1, targets[:, None])[:, 0].tolist(), abs=1e-5)
        assert found.token_ids[:, 1].tolist() == whole.argmax(-1).tolist()
        # the same token has the same value twice, so `own >= best` tells what greedy decoding would give
        greedy = found.token_ids[:, 0] == found.token_ids[:, 1]
        assert (found.logprobs[greedy, 0] == found.logprobs[greedy, 1]).all()


def test_a_gpu_that_gathers_no_logits_gives_nothing():
    assert values_of(torch.zeros(2, WIDTH), torch.tensor([0]), torch.tensor([0]), lambda _: None) is None


def split(taken):
    """Name -> (first row, own tokens, log-probabilities) of what `StepRows.take` gives."""
    names, firsts, counts, ids, values = taken
    ids, values = np.frombuffer(ids, np.int32), np.frombuffer(values, np.float32).reshape(-1, 2)
    ends = np.cumsum([0, *counts])
    return {
        name: (first, ids[low:high].tolist(), values[low:high])
        for name, first, low, high in zip(names, firsts, ends, ends[1:], strict=False)
    }


prompts = st.lists(
    st.tuples(st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=20), st.floats(0, 1), st.floats(0, 1)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(prompts, st.integers(1, 9))
def test_prompts_in_pieces_over_many_steps(some, budget):
    """As a scheduler would: some tokens from the cache, then at most `budget` a step, over all prompts."""
    rows, found = StepRows(), {}
    state = {}
    for number, (prompt, at, hit) in enumerate(some):
        first = 1 + int(at * (len(prompt) - 2))
        rows.begin(str(number), first, kept=number % 2 == 1)
        state[number] = (prompt, first, int(hit * (len(prompt) - 1)))
    cached = {number: one[2] for number, one in state.items()}
    while state:
        left, spans, hidden = budget, [], []
        for number, (prompt, first, computed) in list(state.items()):
            size = min(left, len(prompt) - computed)
            if not size:
                break
            spans.append(Span(str(number), sum(map(len, hidden)), computed, size, len(prompt), number))
            hidden.append(hidden_of(prompt)[computed : computed + size])
            left -= size
            state[number] = (prompt, first, computed + size)
        done = rows.step(
            spans,
            torch.cat(hidden),
            logits_of,
            lambda slots, positions: torch.tensor([some[s][0][p] for s, p in zip(slots, positions, strict=True)]),
        )
        found.update(done)
        state = {number: one for number, one in state.items() if one[2] < len(one[0])}
    kept = split(rows.take())
    assert rows.take() == ([], [], [], b"", b"")
    for number, (prompt, at, _) in enumerate(some):
        first = max(1 + int(at * (len(prompt) - 2)), cached[number] + 1)
        if first >= len(prompt):
            assert str(number) not in found | kept
            continue
        if number % 2:
            assert str(number) not in found
            begins, ids, logprobs = kept[str(number)]
            assert (begins, ids) == (first - 1, prompt[first:])
        else:
            logprobs = torch.cat([values.logprobs[part] for values, part in found[str(number)].parts])
        own, best = expected(prompt, first)
        assert logprobs[:, 0].tolist() == pytest.approx(own, abs=1e-5)
        assert logprobs[:, 1].tolist() == pytest.approx(best, abs=1e-5)


def test_a_prompt_that_starts_again_drops_what_it_held():
    rows, prompt = StepRows(), [3, 1, 4, 1, 5, 9, 2, 6]
    rows.begin("a", 2)

    def step(computed, size):
        return rows.step(
            [Span("a", 0, computed, size, len(prompt), 0)],
            hidden_of(prompt)[computed : computed + size],
            logits_of,
            lambda _, positions: torch.tensor([prompt[at] for at in positions]),
        )

    assert step(0, 4) == {}
    found = step(0, 8)["a"]
    assert [part.stop - part.start for _, part in found.parts] == [6]


def test_what_is_no_request_of_ours_and_an_unknown_runner_stay_as_they_are():
    from types import SimpleNamespace

    assert runners.rows_asked(None) is None
    assert runners.rows_asked(SimpleNamespace(extra_args=None)) is None
    assert runners.rows_asked(SimpleNamespace(extra_args={runners.ROWS_FROM: 3})) == (3, None, False)
    assert runners.install(SimpleNamespace()) == "unknown"
    assert runners.install(SimpleNamespace(prompt_logprobs_worker=None)) == "idle"


class OwnRows:
    """Stands in for vLLM's `PromptLogprobsWorker`, as 0.25.1 to 0.33 call it: answers for what it was not told to leave out."""

    def __init__(self, requests):
        self.uses_prompt_logprobs = np.zeros(requests, dtype=bool)
        self.held = {}

    def add_request(self, req_id, req_idx, sampling_params):
        self.held[req_id] = req_idx
        self.uses_prompt_logprobs[req_idx] = sampling_params.prompt_logprobs is not None

    def remove_request(self, req_id):
        self.held.pop(req_id)

    def compute_prompt_logprobs(self, logits_fn, hidden_states, input_batch, all_token_ids, num_computed_tokens, prompt_lens):
        return {name: "vLLM's own" for name in input_batch.req_ids if self.uses_prompt_logprobs[self.held[name]]}


def test_the_second_model_runner_answers_ours_and_leaves_the_others():
    from types import SimpleNamespace

    prompts = {"ours": [3, 1, 4, 1, 5, 9, 2, 6], "stock": [2, 7, 1, 8], "bare": [1, 4, 1]}
    asked = {"ours": {runners.ROWS_FROM: 5}, "stock": None, "bare": None}
    slots = {"ours": 2, "stock": 0, "bare": 3}
    tokens = torch.zeros(4, 10, dtype=torch.int32)
    runner = SimpleNamespace(prompt_logprobs_worker=OwnRows(4))
    assert runners.install(runner) == "v2"
    worker = runner.prompt_logprobs_worker
    for name, prompt in prompts.items():
        tokens[slots[name], : len(prompt)] = torch.tensor(prompt)
        wanted = SimpleNamespace(extra_args=asked[name], prompt_logprobs=None if name == "bare" else 1)
        worker.add_request(name, slots[name], wanted)
    sizes = np.array([len(prompt) for prompt in prompts.values()])
    batch = SimpleNamespace(
        req_ids=list(prompts),
        idx_mapping_np=np.array(list(slots.values())),
        query_start_loc_np=np.concatenate([[0], np.cumsum(sizes)]),
        num_computed_prefill_tokens_np=np.zeros(3, dtype=np.int32),
        num_scheduled_tokens=sizes,
    )
    lengths = np.zeros(4, dtype=np.int32)
    lengths[list(slots.values())] = sizes
    hidden = torch.cat([hidden_of(prompt) for prompt in prompts.values()])
    found = worker.compute_prompt_logprobs(logits_of, hidden, batch, tokens, None, lengths)
    assert found.pop("stock") == "vLLM's own"
    assert list(found) == ["ours"]
    ((values, rows),) = found["ours"].parts
    assert values.logprobs[rows][:, 0].tolist() == pytest.approx(expected(prompts["ours"], 5)[0], abs=1e-5)
    assert values.token_ids[rows][:, 0].tolist() == prompts["ours"][5:]
    worker.remove_request("ours")
    assert "ours" not in worker.held
