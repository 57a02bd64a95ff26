"""The check of the fast way of scoring: some questions are also sent the slow way, and the results compared."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge2giant.engine.scoring import Group, Logprobs, Score, total


@dataclass
class SelfCheck:
    """Differences between the fast and the slow way: sums over the sampled requests."""

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


def compare(groups: Sequence[Group], slow_results: Iterable[Logprobs]) -> SelfCheck:
    """Compare the scores of groups with the results of their ``slow_prompts``, in order.

    A question counts as changed when the continuation with the highest log-likelihood differs.
    """
    check = SelfCheck()
    results = iter(slow_results)
    for group in groups:
        fast = [group.score(continuation) for continuation in group.wanted]
        slow = []
        for _ in group.wanted:
            result = next(results)
            slow.append(total(result.values, result.tops))
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
