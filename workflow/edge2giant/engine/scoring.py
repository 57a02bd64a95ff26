"""Which prompts to send for a batch of log-likelihood requests, and how to read their answers.

Pure: knows token ids, not tokenizers, models or vLLM. A request is a context and a continuation, both token
ids; its result is the sum of the continuation's log-probabilities and whether each of its tokens was the most
likely one, as lm-eval defines both.

Requests with the same context make a group, asked by the cheaper of two ways:

``next``
    One prompt for every place where continuations branch or go on, which gives the log-probabilities of the
    tokens that may follow. One-token answers (the letters of MMLU) need one prompt a question.
``rows``
    One prompt for every continuation, which gives the log-probability of each of its tokens. Contexts that
    are long, or shared, get a prompt of their own first, so that their tokens are computed once, from the
    prefix cache ever after, and without any log-probability.

The prefix cache may reach past a context into a continuation; nothing is computed there, so nothing is known
of the tokens that it covers. They are taken from a sibling with the same tokens, else asked again without it.
"""

import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# vLLM refuses more token ids in one `logprob_token_ids`.
MAX_TOKEN_IDS = 128
# Host and GPU cost of a `rows` prompt over that of a `next` prompt on a cached context.
ROWS_COST = 1.5

Tokens = Sequence[int]
Score = tuple[float, bool]


class Ask(NamedTuple):
    """One prompt to send.

    Either ``token_ids`` (log-probabilities of these tokens after the prompt) or ``rows_from`` (those of the
    prompt's own tokens from this position on) is asked; with neither, the prompt only fills the cache.
    """

    prompt: Tokens
    token_ids: tuple[int, ...] = ()
    rows_from: int | None = None
    fresh: bool = False  # do not read the prefix cache


class Answer(NamedTuple):
    """What came back.

    Attributes
    ----------
    values : sequence of float
        For ``token_ids``: their log-probabilities; for ``rows_from``: those of ``prompt[rows_from:]``.
    tops : sequence of float
        Log-probability of the most likely token at the same places; for ``token_ids`` a single one.
    known_from : int
        First position of the prompt whose log-probability was computed; what stands before is undefined.
    """

    values: Sequence[float] = ()
    tops: Sequence[float] = ()
    known_from: int = 0


class ContinuationTooLongError(ValueError):
    """A continuation that does not fit into the model even without its context."""


@dataclass
class SelfCheck:
    """The fast way held against the slow one: sums over the sampled requests."""

    requests: int = 0
    questions: int = 0
    sum_difference: float = 0.0
    max_difference: float = 0.0
    best_changed: int = 0  # questions whose most likely continuation differs
    widest_change: float = 0.0  # widest margin, on the slow way, of such a question
    greedy_changed: int = 0

    def add(self, other: "SelfCheck") -> None:
        """Take in the sums of another call."""
        self.requests += other.requests
        self.questions += other.questions
        self.sum_difference += other.sum_difference
        self.max_difference = max(self.max_difference, other.max_difference)
        self.best_changed += other.best_changed
        self.widest_change = max(self.widest_change, other.widest_change)
        self.greedy_changed += other.greedy_changed

    def record(self) -> dict[str, float | int]:
        """Give the numbers for a cell; differences in nats."""
        return {
            "requests": self.requests,
            "questions": self.questions,
            "mean_abs_difference": self.sum_difference / self.requests if self.requests else 0.0,
            "max_abs_difference": self.max_difference,
            "best_changed": self.best_changed,
            "widest_changed_margin": self.widest_change,
            "greedy_changed": self.greedy_changed,
        }


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

    def first_asks(self, lead_tokens: int) -> list[Ask]:
        """Plan the prompts of this group, shortest first."""
        branches = self._branches()
        leaves = self._leaves()
        lead = len(self.context) >= lead_tokens and (len(leaves) > 1 or len(self.context) >= 2 * lead_tokens)
        if branches is not None and len(branches) <= ROWS_COST * len(leaves) + lead:
            return [ask for prefix, tokens in branches.items() for ask in self._next_asks(prefix, tokens)]
        asks = self._next_asks((), dict.fromkeys(leaf[0] for leaf in leaves))[:1] if lead else []
        return asks + [self._rows_ask(leaf) for leaf in leaves]

    def take(self, ask: Ask, answer: Answer) -> None:
        """Store an answer of this group."""
        start = len(self.context)
        if ask.rows_from is None:
            prefix = tuple(ask.prompt[start:])
            self.nexts.setdefault(prefix, {}).update(zip(ask.token_ids, answer.values, strict=True))
            if answer.tops:
                self.tops[prefix] = answer.tops[0]
            return
        continuation = tuple(ask.prompt[start:])
        unknown = min(max(answer.known_from - start, 0), len(continuation))
        held = self.rows.get(continuation)
        if held is None or unknown < held[2]:
            self.rows[continuation] = (answer.values, answer.tops, unknown)

    def missing(self) -> list[Ask]:
        """Ask again, without the cache, for continuations that the answers so far leave open."""
        return [self._rows_ask(continuation, fresh=True) for continuation in self._leaves() if self.score(continuation) is None]

    def score(self, continuation: tuple[int, ...]) -> Score | None:
        """Sum a continuation; None when a token of it is unknown."""
        own = self.rows.get(continuation)
        if own is not None and own[2] == 0:
            return _total(own[0], own[1])
        values, tops = [], []
        for position in range(len(continuation)):
            found = self._find(continuation, position)
            if found is None:
                return None
            values.append(found[0])
            tops.append(found[1])
        return _total(values, tops)

    def slow_asks(self) -> list[Ask]:
        """Ask every continuation on its own, without the cache."""
        return [self._rows_ask(continuation, fresh=True) for continuation in self.wanted]

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
        """Give the prefixes to ask at and the tokens that follow; None when they are far too many."""
        if max(map(len, self.wanted)) > ROWS_COST * len(self.wanted) + 1:
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

    def _next_asks(self, prefix: tuple[int, ...], tokens: Iterable[int]) -> list[Ask]:
        prompt = [*self.context, *prefix] if prefix else self.context
        ids = tuple(tokens)
        return [Ask(prompt, ids[at : at + MAX_TOKEN_IDS]) for at in range(0, len(ids), MAX_TOKEN_IDS)]

    def _rows_ask(self, continuation: tuple[int, ...], fresh: bool = False) -> Ask:
        return Ask([*self.context, *continuation], (), len(self.context), fresh)


class Scorer:
    """A batch of requests from the first prompt to the last result.

    Parameters
    ----------
    pairs : sequence of (context, continuation)
        Token ids; no context may be empty.
    max_prompt : int
        Longest prompt that the model takes. Longer ones lose tokens on the left, as in lm-eval, and are
        counted in ``too_long``.
    lead_tokens : int
        Contexts at least this long, with several continuations, get a prompt of their own.
    wave_tokens : int, optional
        Tokens that the prefix cache can be relied on to keep. Prompts for ``rows`` are sent in waves of at
        most so many, the contexts of a wave before its continuations: in a step that computes log-probabilities
        of some prompts, vLLM computes them for all tokens of the step.

    Raises
    ------
    ContinuationTooLongError
        A continuation alone does not fit.

    Examples
    --------
    >>> scorer = Scorer([([1, 2], [3]), ([1, 2], [4])], max_prompt=8)
    >>> [(ask.prompt, ask.token_ids) for ask in scorer.asks()]
    [([1, 2], (3, 4))]
    >>> scorer.take([Answer([-1.0, -2.0], [-1.0])])
    >>> scorer.asks(), scorer.results()
    ([], [(-1.0, True), (-2.0, False)])
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tokens, Tokens]],
        max_prompt: int,
        lead_tokens: int = 128,
        wave_tokens: int | None = None,
    ) -> None:
        self.too_long = 0
        self._lead_tokens = lead_tokens
        self._groups: dict[bytes, Group] = {}
        self._keys: dict[int, bytes] = {}
        self._keep = [context for context, _ in pairs]  # `_keys` goes by identity: nothing may be freed
        self._of_request = [self._place(context, tuple(tail), max_prompt) for context, tail in pairs]
        self._order = [self._groups[key] for key in sorted(self._groups)]
        self._sent: list[tuple[Group, Ask]] = []
        self._planned = self._waves(wave_tokens)
        self._asked_again = False

    def asks(self) -> list[Ask]:
        """Give the prompts to send now, neighbours sharing a context; an empty list when all is known.

        Raises
        ------
        RuntimeError
            Prompts sent without the cache came back incomplete.
        """
        self._sent = next((one for one in self._planned if one), [])
        if not self._sent:
            self._sent = [(group, ask) for group in self._order for ask in group.missing()]
            if self._sent and self._asked_again:
                raise RuntimeError(f"{len(self._sent)} prompts were answered incompletely, without a cache")
            self._asked_again = True
        return [ask for _, ask in self._sent]

    def _waves(self, wave_tokens: int | None) -> Iterator[list[tuple[Group, Ask]]]:
        """Yield what to send together: first all that asks for no rows, then waves of contexts and of rows."""
        planned = [(group, group.first_asks(self._lead_tokens)) for group in self._order]
        with_rows = [one for one in planned if one[1][-1].rows_from is not None]
        yield [(group, ask) for group, asks in planned if asks[-1].rows_from is None for ask in asks]
        for wave in _portions(with_rows, wave_tokens):
            yield [(group, ask) for group, asks in wave for ask in asks if ask.rows_from is None]
            yield [(group, ask) for group, asks in wave for ask in asks if ask.rows_from is not None]

    def take(self, answers: Iterable[Answer]) -> None:
        """Store the answers of the last `asks`, in its order."""
        for (group, ask), answer in zip(self._sent, answers, strict=True):
            group.take(ask, answer)

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

    def sample(self, share: float, limit: int) -> list[Group]:
        """Choose whole questions for the self-check, the same ones for the same requests.

        Parameters
        ----------
        share : float
            About this share of the questions, 0 to 1; at least one where it is above 0.
        limit : int
            At most so many requests.
        """
        if share <= 0 or not self._order:
            return []
        ranked = sorted(self._order, key=lambda group: zlib.crc32(group.key))
        chosen, requests = [], 0
        for group in ranked[: max(1, round(share * len(ranked)))]:
            requests += len(group.wanted)
            if chosen and requests > limit:
                break
            chosen.append(group)
        return chosen

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


def compare(groups: Sequence[Group], slow_answers: Iterable[Answer]) -> SelfCheck:
    """Hold the scores of groups against the answers to their ``slow_asks``, in order.

    A question counts as changed when the continuation with the highest log-likelihood differs.
    """
    check = SelfCheck()
    answers = iter(slow_answers)
    for group in groups:
        fast = [group.score(continuation) for continuation in group.wanted]
        slow = []
        for _ in group.wanted:
            answer = next(answers)
            slow.append(_total(answer.values, answer.tops))
        check.add(_compare_question(fast, slow))
    return check


def _compare_question(fast: Sequence[Score], slow: Sequence[Score]) -> SelfCheck:
    differences = [abs(one[0] - other[0]) for one, other in zip(fast, slow, strict=True)]
    best_fast = max(range(len(fast)), key=lambda at: fast[at][0])
    best_slow = max(range(len(slow)), key=lambda at: slow[at][0])
    changed = best_fast != best_slow
    return SelfCheck(
        requests=len(slow),
        questions=1,
        sum_difference=sum(differences),
        max_difference=max(differences),
        best_changed=int(changed),
        widest_change=slow[best_slow][0] - slow[best_fast][0] if changed else 0.0,
        greedy_changed=sum(one[1] != other[1] for one, other in zip(fast, slow, strict=True)),
    )


def _total(values: Iterable[float], tops: Iterable[float]) -> Score:
    values = list(values)
    # A token that ties with the most likely one counts as most likely, as in lm-eval's vLLM back end.
    return float(sum(values)), all(value >= top for value, top in zip(values, tops, strict=True))


def _portions(planned: Sequence[tuple[Group, list[Ask]]], tokens: int | None) -> Iterator[list[tuple[Group, list[Ask]]]]:
    """Cut a plan into portions whose prompts hold at most ``tokens``; one group at least."""
    portion: list[tuple[Group, list[Ask]]] = []
    held = 0
    for group, asks in planned:
        size = sum(len(ask.prompt) - len(group.context) for ask in asks) + len(group.context)
        if portion and tokens is not None and held + size > tokens:
            yield portion
            portion, held = [], 0
        portion.append((group, asks))
        held += size
    if portion:
        yield portion


def _key(context: Tokens) -> bytes:
    """Bytes that sort contexts so that those with a common beginning are neighbours."""
    return array("I", context).tobytes()
