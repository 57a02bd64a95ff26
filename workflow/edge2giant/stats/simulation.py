"""How often intervals cover the true difference and tests reject, on made-up answers of the paper's benchmarks.

An answer changes with a given probability. Without a true difference it gets better or worse alike; with one, 80 % get worse.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge2giant.stats import LEVEL, procedures

REPEATS = 2000
PERMUTATIONS = 999
WORSE = 0.8
# Points that a rate may miss its nominal one by.
ALLOWED = 1.5

Draw = Callable[[np.random.Generator, float], np.ndarray]


@dataclass(frozen=True)
class Scenario:
    """A benchmark, or several pooled.

    Parameters
    ----------
    draw : callable
        Draws what each question changes by, shape (questions,), from a generator and the share of changes for the worse.
    task, cluster : ndarray of shape (questions,)
        Numbers from 0.
    share : ndarray of shape (questions,)
        Points of the score per unit of a question's change.
    expected : float
        Expected change of a question for the worse alone.
    plain : bool
        Whether McNemar's test applies.
    """

    name: str
    change: float | None
    draw: Draw
    task: np.ndarray
    cluster: np.ndarray
    share: np.ndarray
    expected: np.ndarray
    plain: bool = False

    def truth(self, worse: float) -> float:
        """The true difference of the scores."""
        return float(np.sum(self.share * self.expected) * (1 - 2 * worse))


@dataclass
class Counts:
    """Of one procedure in one case."""

    rejected: int = 0
    covered: int = 0
    found: int = 0
    has_interval: bool = field(default=True)


def right_or_wrong(rate: float, questions: int) -> tuple[Draw, np.ndarray]:
    """Each answer changes on its own."""

    def draw(rng, worse):
        uniform = rng.random(questions)
        return np.where(uniform < rate * worse, -1.0, np.where(uniform < rate, 1.0, 0.0))

    return draw, np.full(questions, rate)


def stories(rate: float, cluster: np.ndarray) -> tuple[Draw, np.ndarray]:
    """Questions of a story change together, four in five of them, all for the better or all for the worse."""
    count, together = cluster.max() + 1, 0.8

    def draw(rng, worse):
        uniform = rng.random(count)
        story = np.where(uniform < rate / together * worse, -1.0, np.where(uniform < rate / together, 1.0, 0.0))
        return story[cluster] * (rng.random(len(cluster)) < together)

    return draw, np.full(len(cluster), rate)


def shifts(error: float, questions: int, tail: int) -> tuple[Draw, np.ndarray]:
    """Every value moves, by Student's t with few degrees of freedom; a difference is a fifth of its scale."""

    def draw(rng, worse):
        return error * (rng.standard_t(tail, questions) + (1 - 2 * worse) / 3)

    return draw, np.full(questions, error / 3)


def plain(name: str, questions: int, rate: float) -> Scenario:
    """Independent questions that are right or wrong, under one mean."""
    draw, expected = right_or_wrong(rate, questions)
    numbers = np.arange(questions)
    return Scenario(
        name, rate, draw, np.zeros(questions, int), numbers, np.full(questions, 100 / questions), expected, plain=True
    )


def subtasks(name: str, sizes: list[int], chances: list[float], rate: float, cluster: np.ndarray | None = None) -> Scenario:
    """A mean of normalised subtasks."""
    task = np.repeat(np.arange(len(sizes)), sizes)
    share = np.repeat([100 / (1 - chance) / size / len(sizes) for size, chance in zip(sizes, chances, strict=True)], sizes)
    draw, expected = right_or_wrong(rate, len(task)) if cluster is None else stories(rate, cluster)
    return Scenario(name, rate, draw, task, np.arange(len(task)) if cluster is None else cluster, share, expected)


def gpqa(rate: float) -> Scenario:
    """198 questions stand in three sets, 250 in two and 98 in one: 1192 answers, which change with the question."""
    cluster = np.concatenate([np.arange(198), np.arange(448), np.arange(546)])
    draw, expected = right_or_wrong(rate, 546)
    count = len(cluster)
    share = np.full(count, 100 / 0.75 / count)
    task = np.zeros(count, int)
    return Scenario("GPQA", rate, lambda rng, worse: draw(rng, worse)[cluster], task, cluster, share, expected[cluster])


def ifeval(rate: float) -> Scenario:
    """541 prompts of one to three instructions; the mean of both levels."""
    instructions = np.arange(541) % 3 + 1
    draw, expected = right_or_wrong(rate, 541)
    share = 50 / 541 + 50 / instructions.sum()  # a prompt and one of its instructions
    return Scenario("IFEval", rate, draw, np.zeros(541, int), np.arange(541), np.full(541, share), expected)


def mt_bench(questions: int = 80) -> Scenario:
    """Two ratings of each question in eight categories; both move with the question."""
    task, cluster = np.repeat(np.arange(8), questions // 4), np.repeat(np.arange(questions), 2)
    first, expected = shifts(1.0, questions, 5)
    second, _ = shifts(0.7, 2 * questions, 5)
    share = np.full(2 * questions, 1 / (2 * questions))

    def draw(rng, worse):
        return first(rng, worse)[cluster] + second(rng, 0.5)

    return Scenario("MT-Bench", None, draw, task, cluster, share, expected[cluster])


def values(name: str, questions: int) -> Scenario:
    """Shares of probability that all move a little."""
    draw, expected = shifts(0.05, questions, 4)
    return Scenario(
        name, None, draw, np.zeros(questions, int), np.arange(questions), np.full(questions, 100 / questions), expected
    )


def musr(rate: float, clustered: bool = True) -> Scenario:
    """250 stories with a question each, 64 with four, and 250; or 756 questions taken as independent although they are not."""
    cluster = np.concatenate([np.arange(250), 250 + np.arange(256) // 4, 314 + np.arange(250)])
    case = subtasks("MuSR" if clustered else "MuSR, stories not counted", [250, 256, 250], [1 / 2, 1 / 5, 1 / 3], rate, cluster)
    if clustered:
        return case
    return Scenario(case.name, rate, case.draw, case.task, np.arange(756), case.share, case.expected)


def pool(name: str, cases: list[Scenario]) -> Scenario:
    """The mean of several benchmarks."""
    draws = [case.draw for case in cases]

    def joined(attribute: str) -> np.ndarray:
        found, offset = [], 0
        for case in cases:
            numbers = getattr(case, attribute)
            found.append(numbers + offset)
            offset += numbers.max() + 1
        return np.concatenate(found)

    return Scenario(
        name,
        cases[0].change,
        lambda rng, worse: np.concatenate([draw(rng, worse) for draw in draws]),
        joined("task"),
        joined("cluster"),
        np.concatenate([case.share for case in cases]) / len(cases),
        np.concatenate([case.expected for case in cases]),
    )


def cases() -> list[Scenario]:
    """What is simulated: the paper's sizes, 30 questions, few and many changes, with and without clusters."""
    found = []
    for rate in (0.01, 0.05, 0.2):
        bbh = subtasks("BBH", [240] * 24, [1 / 2] * 12 + [1 / 5] * 12, rate)
        found += [
            plain("30 questions", 30, rate),
            plain("ARC-c", 1172, rate),
            plain("MMLU", 14042, rate),
            bbh,
            gpqa(rate),
            ifeval(rate),
            musr(rate),
            pool("v1 without MC2", [plain("", n, rate) for n in (1172, 1319, 10042, 14042, 1267)]),
            pool("v2", [bbh, gpqa(rate), ifeval(rate), plain("", 1324, rate), plain("", 12032, rate), musr(rate)]),
        ]
    thirty = np.arange(30) // 3
    found += [
        subtasks("30 questions on 10 stories", [30], [0.0], 0.2, thirty),
        musr(0.05, clustered=False),
        values("30 values (MC2)", 30),
        values("TruthfulQA (MC2)", 817),
        mt_bench(),
    ]
    return found


def run(repeats: int, seed: int) -> dict:
    """Simulate all cases; each has draws of its own."""
    every = cases()
    generators = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(len(every)))
    found = [line for case, rng in zip(every, generators, strict=True) for line in simulate(case, repeats, rng)]
    return {"repeats": repeats, "seed": seed, "permutations": PERMUTATIONS, "cases": found}


def simulate(case: Scenario, repeats: int, rng: np.random.Generator) -> list[dict]:
    """A record for each procedure that applies."""
    stratum = np.zeros(case.cluster.max() + 1, int)
    stratum[case.cluster] = case.task
    counts: dict[str, Counts] = {}
    for worse in (0.5, WORSE):
        truth = case.truth(worse)
        for _ in range(repeats):
            for name, test in _tests(case, stratum, case.draw(rng, worse), rng).items():
                one = counts.setdefault(name, Counts())
                one.has_interval = np.isfinite(test.low)
                if worse == 0.5:
                    one.rejected += test.p_value < LEVEL
                else:
                    one.covered += test.low <= truth <= test.high
                    one.found += test.p_value < LEVEL
    return [_record(case, name, one, repeats) for name, one in counts.items()]


def _tests(case: Scenario, stratum: np.ndarray, changes: np.ndarray, rng: np.random.Generator) -> dict[str, procedures.Test]:
    moved = case.share * changes
    if case.plain:
        lost, gained = int(np.sum(changes < 0)), int(np.sum(changes > 0))
        test = procedures.mcnemar(lost, gained, len(changes))
        points = procedures.Test(100 * test.low, 100 * test.high, test.p_value)
        return {"McNemar, Tango": points, "exact McNemar (check)": _alone(procedures.exact_mcnemar(lost, gained))}
    # Shares are equal within a task, so a task's mean change is taken off each of its questions.
    centred = moved - (np.bincount(case.task, moved) / np.bincount(case.task))[case.task]
    influence = np.bincount(case.cluster, centred)
    spread = procedures.spread(np.zeros(len(influence)), influence, stratum)
    found = {"t": procedures.t_test(float(moved.sum()), spread.difference, spread.freedom)}
    if len(changes) < 1500:
        p_value = procedures.permutation(np.bincount(case.cluster, moved), PERMUTATIONS, rng)
        found["permutation (check)"] = _alone(p_value)
    return found


def _alone(p_value: float) -> procedures.Test:
    return procedures.Test(float("nan"), float("nan"), p_value)


def _record(case: Scenario, name: str, counts: Counts, repeats: int) -> dict:
    rates = {
        "error": 100 * counts.rejected / repeats,
        "coverage": 100 * counts.covered / repeats if counts.has_interval else None,
        "power": 100 * counts.found / repeats,
    }
    return {
        "case": case.name,
        "questions": len(case.share),
        "clusters": int(case.cluster.max() + 1),
        "change": case.change,
        "difference": case.truth(WORSE),
        "procedure": name,
        **rates,
        "verdict": _verdict(**rates),
    }


def _verdict(error: float, coverage: float | None, power: float) -> str:
    """How the rates stand to 5 % and 95 %."""
    nominal = 100 * LEVEL
    found = ["rejects too often"] if error > nominal + ALLOWED else ["rejects too rarely"] if error < nominal - ALLOWED else []
    if coverage is not None and abs(coverage - 100 + nominal) > ALLOWED:
        found.append("interval too short" if coverage < 100 - nominal else "interval too long")
    return ", ".join(found) or f"within {ALLOWED} points"


def table(found: list[dict]) -> str:
    """The records as a table in Markdown."""
    heads = ["case", "questions (units)", "change", "procedure", "type I error", "coverage", "power", "against 5 and 95"]
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for one in found:
        change = "all" if one["change"] is None else f"{100 * one['change']:g} %"
        units = f"{one['questions']:,}" + (f" ({one['clusters']:,})" if one["clusters"] != one["questions"] else "")
        coverage = "" if one["coverage"] is None else f"{one['coverage']:.1f}"
        numbers = f"{one['error']:.1f} | {coverage} | {one['power']:.1f}"
        lines.append(f"| {one['case']} | {units} | {change} | {one['procedure']} | {numbers} | {one['verdict']} |")
    return "\n".join(lines)
