"""Which prompts to send for a batch of log-likelihood requests, and how to read their answers.

This module works on token ids alone, without tokenizers, models or vLLM. A request is a context and a continuation; its result is
the sum of the continuation's log-probabilities and whether each of its tokens was the most likely one, as lm-eval defines both.

Requests with the same context make a group, sent in the cheaper of two ways:

``next``
    One prompt for every place where continuations branch or go on, which gives the log-probabilities of the
    tokens that may follow. One-token answers (the letters of MMLU) need one prompt a question.
``rows``
    One prompt for every continuation, which gives the log-probability of each of its tokens. The first of them
    computes the context, the others find it in the prefix cache.

The prefix cache may reach to the end of a context, or past it into a continuation. Nothing is computed there, so the
log-probabilities of the tokens that it covers, and of the one after them, are unknown. They are taken from a sibling with the
same tokens; if there is none, they are requested again.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# vLLM refuses more token ids in one `logprob_token_ids`.
MAX_TOKEN_IDS = 128
# Unknown tokens of a continuation that are cheaper to request one by one than by computing its whole prompt again.
FEW = 4

Tokens = Sequence[int]
Score = tuple[float, bool]


class Prompt(NamedTuple):
    """One prompt to send.

    Attributes
    ----------
    head : sequence of int
        Token ids it begins with; prompts of one question have the same object.
    candidates : tuple of int
        Tokens whose log-probabilities after the prompt are wanted; or, instead,
    rows_from : int
        First position of the prompt from which on the log-probabilities of its own tokens are wanted.
    fresh : bool
        Do not read the prefix cache.
    tail : tuple of int
        Token ids after `head`.
    """

    head: Tokens
    candidates: tuple[int, ...] = ()
    rows_from: int | None = None
    fresh: bool = False
    tail: tuple[int, ...] = ()

    @property
    def ids(self) -> Tokens:
        """All token ids of the prompt."""
        return [*self.head, *self.tail] if self.tail else self.head

    @property
    def length(self) -> int:
        """Number of its tokens."""
        return len(self.head) + len(self.tail)


class Logprobs(NamedTuple):
    """What the model computed for a prompt.

    Attributes
    ----------
    values : sequence of float
        Log-probabilities of the ``candidates``, or of ``ids[rows_from:]``.
    tops : sequence of float
        Log-probability of the most likely token at the same places; for ``candidates`` a single one.
    known_from : int
        First position of the prompt whose log-probability was computed; what stands before is undefined.
    """

    values: Sequence[float] = ()
    tops: Sequence[float] = ()
    known_from: int = 0


class ContinuationTooLongError(ValueError):
    """A continuation that does not fit into the model even without its context."""


@dataclass
class Group:
    """The continuations of one context, and what is known of them."""

    context: Tokens
    key: bytes
    wanted: dict[tuple[int, ...], None] = field(default_factory=dict)
    # continuation -> (its log-probabilities, the best ones there, number of leading tokens unknown)
    rows: dict[tuple[int, ...], tuple[Sequence[float], Sequence[float], int]] = field(default_factory=dict)
    # prefix of continuations -> token that follows -> log-probability; and the best one
    nexts: dict[tuple[int, ...], dict[int, float]] = field(default_factory=dict)
    tops: dict[tuple[int, ...], float] = field(default_factory=dict)

    def first_prompts(self, block: int) -> list[Prompt]:
        """Plan the prompts of this group, shortest first; ``block`` is the prefix cache's, in tokens."""
        branches, leaves = self._branches(), self._leaves()
        if branches is not None and len(branches) <= len(leaves):
            return [prompt for prefix, tokens in branches.items() for prompt in self._next_prompts(prefix, tokens)]
        firsts = dict.fromkeys(leaf[0] for leaf in leaves)
        # the cache then holds the row that tells the first tokens, for all continuations but one
        hidden = len(firsts) > 1 and len(self.context) % block == 0
        return [*(self._next_prompts((), firsts) if hidden else ()), *map(self._row_prompt, leaves)]

    def take(self, prompt: Prompt, answer: Logprobs) -> None:
        """Store the result of a prompt of this group."""
        if prompt.rows_from is None:
            prefix = prompt.tail
            self.nexts.setdefault(prefix, {}).update(zip(prompt.candidates, answer.values, strict=True))
            if answer.tops:
                self.tops[prefix] = answer.tops[0]
            return
        continuation = prompt.tail
        unknown = min(max(answer.known_from - len(self.context), 0), len(continuation))
        held = self.rows.get(continuation)
        if held is None or unknown < held[2]:
            self.rows[continuation] = (answer.values, answer.tops, unknown)

    def missing_prompts(self) -> list[Prompt]:
        """Plan what the results so far leave unknown: few tokens one by one, many without the cache."""
        few: dict[tuple[int, ...], dict[int, None]] = {}
        many = []
        for continuation in self._leaves():
            # its own row, where there is one, tells the rest
            _, _, open_tokens = self.rows.get(continuation, ((), (), len(continuation)))
            unknown = [at for at in range(open_tokens) if self._find(continuation, at) is None]
            if len(unknown) > FEW:
                many.append(self._row_prompt(continuation, fresh=True))
            else:
                for at in unknown:
                    few.setdefault(continuation[:at], {})[continuation[at]] = None
        return [prompt for prefix, tokens in few.items() for prompt in self._next_prompts(prefix, tokens)] + many

    def score(self, continuation: tuple[int, ...]) -> Score | None:
        """Sum a continuation; None when a token of it is unknown."""
        own = self.rows.get(continuation)
        if own is not None and own[2] == 0:
            return total(own[0], own[1])
        values, tops = [], []
        for position in range(len(continuation)):
            found = self._find(continuation, position)
            if found is None:
                return None
            values.append(found[0])
            tops.append(found[1])
        return total(values, tops)

    def slow_prompts(self, fresh: bool = True) -> list[Prompt]:
        """Plan every continuation as a prompt of its own; a `fresh` one reads no cache."""
        return [self._row_prompt(continuation, fresh) for continuation in self.wanted]

    def _find(self, continuation: tuple[int, ...], position: int) -> tuple[float, float] | None:
        prefix, token = continuation[:position], continuation[position]
        if token in self.nexts.get(prefix, ()):
            return self.nexts[prefix][token], self.tops[prefix]
        through = continuation[: position + 1]
        for sibling, (values, tops, unknown) in self.rows.items():
            if unknown <= position and sibling[: position + 1] == through:
                return values[position], tops[position]
        return None

    def _branches(self) -> dict[tuple[int, ...], dict[int, None]] | None:
        """Give the prefixes where continuations go on and the tokens that follow; None when there are more than continuations."""
        if max(map(len, self.wanted)) > len(self.wanted):
            return None
        branches: dict[tuple[int, ...], dict[int, None]] = {}
        for continuation in self.wanted:
            for position, token in enumerate(continuation):
                branches.setdefault(continuation[:position], {})[token] = None
        return branches

    def _leaves(self) -> list[tuple[int, ...]]:
        """Give the continuations that do not begin another one."""
        ordered = sorted(self.wanted)
        return [one for one, after in zip(ordered, [*ordered[1:], ()], strict=True) if after[: len(one)] != one]

    def _next_prompts(self, prefix: tuple[int, ...], tokens: Iterable[int]) -> list[Prompt]:
        ids = tuple(tokens)
        return [Prompt(self.context, ids[at : at + MAX_TOKEN_IDS], tail=prefix) for at in range(0, len(ids), MAX_TOKEN_IDS)]

    def _row_prompt(self, continuation: tuple[int, ...], fresh: bool = False) -> Prompt:
        return Prompt(self.context, (), len(self.context), fresh, continuation)


class Scorer:
    """A batch of requests from the first prompt to the last result.

    Parameters
    ----------
    pairs : sequence of (context, continuation)
        Token ids; no context may be empty.
    max_prompt : int
        Longest prompt that the model takes. Longer ones lose tokens on the left, as in lm-eval, and are
        counted in ``too_long``.
    block : int
        Tokens of a block of the prefix cache.

    Raises
    ------
    ContinuationTooLongError
        A continuation alone does not fit.

    Examples
    --------
    >>> scorer = Scorer([([1, 2], [3]), ([1, 2], [4])], max_prompt=8)
    >>> [(prompt.ids, prompt.candidates) for prompt in scorer.prompts()]
    [([1, 2], (3, 4))]
    >>> scorer.take([Logprobs([-1.0, -2.0], [-1.0])])
    >>> scorer.prompts(), scorer.results()
    ([], [(-1.0, True), (-2.0, False)])
    """

    def __init__(self, pairs: Sequence[tuple[Tokens, Tokens]], max_prompt: int, block: int = 16) -> None:
        self.too_long = 0
        self._block = block
        self._groups: dict[bytes, Group] = {}
        self._keys: dict[int, bytes] = {}
        self._keep = [context for context, _ in pairs]  # `_keys` goes by identity: nothing may be freed
        self._of_request = [self._place(context, tuple(tail), max_prompt) for context, tail in pairs]
        self.groups = [self._groups[key] for key in sorted(self._groups)]
        self._sent: list[tuple[Group, Prompt]] = []
        self._rounds = 0

    def prompts(self) -> list[Prompt]:
        """Give the prompts to send now, neighbours sharing a context; an empty list when all is known.

        Raises
        ------
        RuntimeError
            Prompts sent without the cache came back incomplete.
        """
        self._sent = [
            (group, prompt)
            for group in self.groups
            for prompt in (group.missing_prompts() if self._rounds else group.first_prompts(self._block))
        ]
        if self._sent and self._rounds > 1:
            raise RuntimeError(f"{len(self._sent)} prompts were answered incompletely, without a cache")
        self._rounds += 1
        return [prompt for _, prompt in self._sent]

    def take(self, answers: Iterable[Logprobs]) -> None:
        """Store the results of the last `prompts`, in their order."""
        for (group, prompt), answer in zip(self._sent, answers, strict=True):
            group.take(prompt, answer)

    def results(self) -> list[Score]:
        """Give the scores, in the order of the requests."""
        known: dict[tuple[bytes, tuple[int, ...]], Score] = {}
        scores = []
        for place in self._of_request:
            if place is None:
                scores.append((0.0, True))
                continue
            group, continuation = place
            name = (group.key, continuation)
            if name not in known:
                known[name] = group.score(continuation)  # type: ignore[assignment]
            scores.append(known[name])
        return scores

    def _place(self, context: Tokens, continuation: tuple[int, ...], max_prompt: int):
        if not continuation:
            return None
        cut = len(context) + len(continuation) - max_prompt
        if cut > 0:
            self.too_long += 1
            if cut >= len(context):
                raise ContinuationTooLongError(
                    f"a continuation of {len(continuation)} tokens does not fit a model of {max_prompt}"
                )
            context = context[cut:]
            key = _key(context)
        else:
            key = self._keys.get(id(context)) or self._keys.setdefault(id(context), _key(context))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(context, key)
        group.wanted[continuation] = None
        return group, continuation


def total(values: Iterable[float], tops: Iterable[float]) -> Score:
    values = list(values)
    # A token that ties with the most likely one counts as most likely, as in lm-eval's vLLM back end.
    return float(sum(values)), all(value >= top for value, top in zip(values, tops, strict=True))


def _key(context: Tokens) -> bytes:
    """Bytes that sort contexts so that those with a common beginning are neighbours."""
    return array("I", context).tobytes()
