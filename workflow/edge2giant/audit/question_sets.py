"""Which printed digits a benchmark of n questions can produce, and which n fits a column.

A score of n questions of equal weight is 100 k/n, or 100 max(k/n - c, 0) / (1 - c) once the chance level c
is subtracted. A column of fifty printed values that all lie on the grid of one n, where only few printable
values do, says which set was run. Where the grid is finer than the print (10,042 questions, or a mean of
many subtasks), every digit is possible and the test has no power; that is reported.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor, lcm

import numpy as np
from scipy.stats import binomtest

from edge2giant.audit.exact import EXACT, OFF, TRUNCATED, number, prints, unit
from edge2giant.specs.audit import QuestionSetSpec

NO_POWER, WEAK = 0.9, 0.5
FITS = 0.9
#: Once the first parts of a mean reach this share of the printable values (in the middle half of the range
#: that they span), the other parts can only fill the rest: every digit is possible.
SATURATED = 0.99


def _score(correct: int, n: int, chance: Fraction) -> Fraction:
    """Points of `correct` right answers to n questions of this chance level."""
    return max(100 * (Fraction(correct, n) - chance) / (1 - chance), Fraction(0))


@dataclass(frozen=True)
class QuestionSet:
    """A set of questions and the scores that it can give.

    Parameters
    ----------
    parts : tuple of (int, Fraction)
        Questions and chance level of each subtask.
    """

    name: str
    label: str
    parts: tuple[tuple[int, Fraction], ...]

    @classmethod
    def of(cls, spec: QuestionSetSpec) -> "QuestionSet":
        return cls(spec.name, spec.label, tuple((questions, Fraction(chance)) for questions, chance in spec.parts))

    @property
    def single(self) -> bool:
        """Whether the score is one k/n, not a mean over subtasks."""
        return len(self.parts) == 1

    @property
    def questions(self) -> int:
        """Number of questions over all parts."""
        return sum(n for n, _ in self.parts)

    @property
    def spacing(self) -> Fraction:
        """Distance of neighbouring values in points; of the coarsest step for a mean of parts."""
        return max(Fraction(100, n) / (1 - chance) for n, chance in self.parts) / len(self.parts)

    def score(self, correct: int) -> Fraction:
        """The score in points of ``correct`` right answers (one part only)."""
        ((n, chance),) = self.parts
        return _score(correct, n, chance)

    def neighbours(self, text: str) -> list[tuple[int, Fraction]]:
        """The counts and scores right below, at and above a printed value (one part only)."""
        ((n, chance),) = self.parts
        middle = min((number(text) / 100 * (1 - chance) + chance) * n, n)
        counts = range(max(floor(middle) - 1, 0), min(ceil(middle) + 1, n) + 1)
        return [(k, self.score(k)) for k in counts]

    def holds(self, text: str) -> str:
        """Say how a printed value lies on the grid: rounded, truncated or off.

        For a mean of parts the answer is exact as long as the parts can be enumerated; see `reach`.
        """
        if self.single:
            found = {prints(score, text) for _, score in self.neighbours(text)}
            return next((how for how in (EXACT, TRUNCATED) if how in found), OFF)
        if unit(text) != Fraction(1, 100):
            return EXACT
        step, rounded, truncated = int(number(text) * 100), *self.reach
        if not 0 <= step < len(rounded):
            return OFF
        return EXACT if rounded[step] else TRUNCATED if truncated[step] else OFF

    @cached_property
    def reach(self):
        """Printable values (hundredths of a point, 0..10000) that the set can give, rounded and truncated.

        Returns
        -------
        rounded, truncated : ndarray of bool, shape (10001,)
            For a mean of many parts the walk stops once the first parts reach nearly every printable value
            in their range (`SATURATED`); then all count as reached.
        """
        values, scale, width = np.zeros(1, dtype=np.int64), 1, 0  # sums of scores, as whole multiples of 1 / scale
        for n, chance in self.parts:
            scores = {_score(k, n, chance) / len(self.parts) for k in range(n + 1)}
            finer = lcm(scale, *(score.denominator for score in scores))
            steps = np.array(sorted(int(score * finer) for score in scores))
            values, scale = np.unique((values * (finer // scale))[:, None] + steps), finer
            width += 10000 // len(self.parts)
            rounded, truncated = self._prints(values, scale)
            if not self.single and rounded[width // 4 : 3 * width // 4].mean() >= SATURATED:
                return np.ones(10001, dtype=bool), np.ones(10001, dtype=bool)
        return rounded, truncated

    @staticmethod
    def _prints(values, scale: int):
        rounded, truncated = np.zeros(10001, dtype=bool), np.zeros(10001, dtype=bool)
        truncated[values * 100 // scale] = True
        rounded[(values * 200 + scale) // (2 * scale)] = True
        rounded[-((scale - values * 200) // (2 * scale))] = True
        return rounded, truncated


@dataclass(frozen=True)
class Evidence:
    """How a printed column fits one candidate set.

    Parameters
    ----------
    cells, rounded, truncated : int
        Printed values; those on the grid when rounded; those on it only when truncated.
    chance : float
        Share of the printable values between the column's smallest and largest that lie on the grid
        (rounded or truncated): what an unrelated number would reach.
    p_value : float
        Chance of at least so many on the grid if the numbers were unrelated to it (exact binomial).
    """

    column: str
    candidate: QuestionSet
    cells: int
    rounded: int
    truncated: int
    chance: float
    p_value: float

    @property
    def share(self) -> float:
        """Share of the printed values on the grid."""
        return (self.rounded + self.truncated) / self.cells

    @property
    def verdict(self) -> str:
        """``no power``, ``fits``, ``weak support`` or ``rejected``."""
        if self.chance >= NO_POWER:
            return "no power"
        if self.share < FITS:
            return "rejected"
        return "weak support" if self.chance >= WEAK else "fits"


def chance_level(candidate: QuestionSet, low: Fraction, high: Fraction) -> float:
    """The share of the two-digit values in [low, high] that the set can print."""
    rounded, truncated = candidate.reach
    first, last = (int(min(max(end, 0), 100) * 100) for end in (low, high))
    return float((rounded | truncated)[first : last + 1].mean())


def weigh(column: str, candidate: QuestionSet, texts: list[str]) -> Evidence:
    """Compare a column of printed values with one candidate set."""
    how = [candidate.holds(text) for text in texts]
    values = [number(text) for text in texts]
    chance = chance_level(candidate, min(values), max(values))
    rounded, truncated = how.count(EXACT), how.count(TRUNCATED)
    p_value = float(binomtest(rounded + truncated, len(texts), chance, alternative="greater").pvalue)
    return Evidence(column, candidate, len(texts), rounded, truncated, chance, p_value)


def best(evidence: list[Evidence]) -> Evidence | None:
    """The fitting candidate with the strongest evidence, if any has power."""
    fitting = [found for found in evidence if found.verdict in ("fits", "weak support") and found.candidate.single]
    return min(fitting, key=lambda found: found.p_value, default=None)
