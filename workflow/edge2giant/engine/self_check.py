"""The check of the fast way of scoring: some questions are also asked the slow way, twice, and the results compared.

The slow way is vLLM's own code, every continuation a prompt of its own. The first time all prompts go together and read no cache;
the second time questions go one by one, in reverse order, and continuations find their context in a cache. Both times the numbers
should be the same, so their difference is what rounding does to a log-likelihood here: the *floor*. The difference of the fast
way from the first asking is held to it.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np

from edge2giant.engine.scoring import Group, Logprobs, Prompt, Score, total
from edge2giant.records.cell import Differences, SelfCheckRecord

# The engine's mean absolute difference may be so many times the floor's in a sample of so many requests, the largest that an
# evaluation takes, and more in a smaller one. On a GPU right answers stay below 1.9 (`bench/self_check_limits.py`).
TIMES, OF_REQUESTS = 2.0, 64
# How seldom the mean of right answers may be called shifted: Student's limit, since a sample often has few questions.
CHANCE = 1e-3
# A shift is also this part of the floor's size: questions that begin alike share the rounding of what they share, and the error
# over questions does not hold that.
SHARE = 0.25
# Nats, by which nothing is decided.
NEGLIGIBLE = 1e-3


@dataclass
class CheckedQuestion:
    """Differences from the first slow asking, one a continuation, in nats; the choices of both ways."""

    engine: list[float]
    floor: list[float]
    best_changed: bool
    margin: float  # on the slow way, of a choice that changed
    greedy_changed: int


@dataclass
class SelfCheck:
    """What was compared since the last call of `usage`."""

    questions: list[CheckedQuestion] = field(default_factory=list)

    def record(self) -> SelfCheckRecord:
        """Give what a cell says."""
        engine, floor = (differences([getattr(one, side) for one in self.questions]) for side in ("engine", "floor"))
        questions, requests = len(self.questions), sum(len(one.engine) for one in self.questions)
        return SelfCheckRecord(
            requests=requests,
            questions=questions,
            engine=engine,
            floor=floor,
            best_changed=sum(one.best_changed for one in self.questions),
            widest_changed_margin=max(one.margin for one in self.questions),
            greedy_changed=sum(one.greedy_changed for one in self.questions),
            outside=outside(engine, floor, questions, requests),
        )


def differences(questions: Sequence[Sequence[float]]) -> Differences:
    """Summarise differences; the error of their mean is the cluster-robust one, since continuations share their context."""
    values = np.concatenate([np.asarray(one, dtype=float) for one in questions])
    mean, count = float(values.mean()), len(questions)
    sums = np.array([np.sum(np.asarray(one) - mean) for one in questions])
    error = float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / len(values)) if count > 1 else None
    sizes = np.abs(values)
    quantiles = [float(np.quantile(sizes, share)) for share in (0.5, 0.9, 0.99)]
    return Differences(mean, error, float(sizes.mean()), *quantiles, largest=float(sizes.max()))


def outside(engine: Differences, floor: Differences, questions: int, requests: int) -> tuple[str, ...]:
    """Say in what the engine's differences are more than the floor's: their `size`, or a `mean` that is not 0."""
    from scipy.stats import t

    found, times = [], TIMES ** max(1.0, (OF_REQUESTS / requests) ** 0.5)
    if engine.mean_abs > times * floor.mean_abs + NEGLIGIBLE:
        found.append("size")
    if engine.error is not None:
        by_chance = float(t.ppf(1 - CHANCE / 2, questions - 1)) * engine.error
        if abs(engine.mean) > max(by_chance, abs(floor.mean) + NEGLIGIBLE, SHARE * floor.mean_abs + NEGLIGIBLE):
            found.append("mean")
    return tuple(found)


def warnings(check: SelfCheckRecord | None) -> tuple[str, ...]:
    """What a reader of a cell must know of its self-check."""
    if check is None or not check.outside:
        return ()
    engine, floor = (f"{one.mean_abs:.2g} nats, mean {one.mean:+.2g}" for one in (check.engine, check.floor))
    differ = f"log-likelihoods of the engine differ from vLLM's own by {engine}; vLLM asked twice differs by {floor}"
    return (f"self-check: {differ} ({check.requests} requests)",)


def sample(groups: Sequence[Group], share: float, limit: int) -> list[Group]:
    """Choose whole questions for the self-check, the same ones for the same requests.

    Parameters
    ----------
    share : float
        About this share of the questions, 0 to 1; at least one where it is above 0.
    limit : int
        At most so many requests.
    """
    if share <= 0 or not groups:
        return []
    ranked = sorted(groups, key=lambda group: (zlib.crc32(group.key), group.key))
    chosen, requests = [], 0
    for group in ranked[: max(1, round(share * len(ranked)))]:
        requests += len(group.wanted)
        if chosen and requests > limit:
            break
        chosen.append(group)
    return chosen


def ask_twice(
    groups: Sequence[Group], ask: Callable[[list[Prompt], str | None], list[Logprobs]]
) -> tuple[list[Logprobs], list[Logprobs]]:
    """Send the slow prompts of groups twice; `ask` takes prompts and, where they may read a prefix cache, its name."""
    first = ask([prompt for group in groups for prompt in group.slow_prompts()], None)
    # a cache of its own for each question, since that of the first asking holds whole continuations
    again = [ask(group.slow_prompts(fresh=False), uuid4().hex) for group in reversed(groups)]
    return first, [answer for answers in reversed(again) for answer in answers]


def compare(groups: Sequence[Group], first: Iterable[Logprobs], second: Iterable[Logprobs]) -> SelfCheck:
    """Compare the scores of groups with both results of their ``slow_prompts``, in order.

    A question counts as changed when the continuation with the highest log-likelihood differs.
    """
    firsts, seconds = iter(first), iter(second)
    return SelfCheck([_compare_question(group, firsts, seconds) for group in groups])


def _compare_question(group: Group, firsts: Iterable[Logprobs], seconds: Iterable[Logprobs]) -> CheckedQuestion:
    fast = [group.score(continuation) for continuation in group.wanted]
    slow, again = [], []
    for _, one, other in zip(group.wanted, firsts, seconds):  # noqa: B905 (as many as the group has)
        slow.append(total(one.values, one.tops))
        again.append(sum(_known(other, one, len(group.context))))
    best_fast, best_slow = _best(fast), _best(slow)
    changed = best_fast != best_slow
    return CheckedQuestion(
        engine=[mine[0] - its[0] for mine, its in zip(fast, slow, strict=True)],
        floor=[value - its[0] for value, its in zip(again, slow, strict=True)],
        best_changed=changed,
        margin=slow[best_slow][0] - slow[best_fast][0] if changed else 0.0,
        greedy_changed=sum(mine[1] != its[1] for mine, its in zip(fast, slow, strict=True)),
    )


def _known(found: Logprobs, whole: Logprobs, start: int) -> list[float]:
    """Values of a continuation; the first ones, where the cache hid them, from another asking."""
    hidden = min(max(found.known_from - start, 0), len(whole.values))
    return [*whole.values[:hidden], *found.values[hidden:]]


def _best(scores: Sequence[Score]) -> int:
    return max(range(len(scores)), key=lambda at: scores[at][0])
