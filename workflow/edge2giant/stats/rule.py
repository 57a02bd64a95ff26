"""How the answers of a benchmark become its score, as a function that works on many resamples at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge2giant import grid
from edge2giant.errors import UserError

MT_BENCH = "mt_bench"


@dataclass(frozen=True)
class Rule:
    """Aggregation of a benchmark's subtasks.

    Attributes
    ----------
    macro : bool
        Mean of the subtasks (each normalised first), or one mean over all questions.
    chances : dict of str to float
        Chance level by task; 0 where nothing is subtracted.
    scale : float
        100 for scores in points, 1 for ratings.
    clip : bool
        Whether a normalised score below 0 counts as 0.
    """

    macro: bool
    chances: Mapping[str, float]
    scale: float = 100.0
    clip: bool = False

    def normalise(self, mean: np.ndarray, chance: float, clip: bool) -> np.ndarray:
        """Put a mean in 0..1 on the scale where chance is 0."""
        score = self.scale * (mean - chance) / (1 - chance)
        return np.maximum(score, 0.0) if clip else score

    def score(self, means: Mapping[str, np.ndarray], sizes: Mapping[str, float], clip: bool | None = None) -> np.ndarray:
        """Return the score from task means.

        Parameters
        ----------
        means : mapping of str to ndarray
            Mean per task (scalars, or one per resample), on the scale of the samples.
        sizes : mapping of str to float
            Questions per task.
        clip : bool, optional
            Overrides the rule's own.
        """
        clip = self.clip if clip is None else clip
        if self.macro:
            return np.mean([self.normalise(mean, self.chances[task], clip) for task, mean in means.items()], axis=0)
        whole = sum(sizes[task] * mean for task, mean in means.items()) / sum(sizes.values())
        return self.normalise(whole, next(iter(self.chances.values())), clip)

    def weight(self, task: str, sizes: Mapping[str, float]) -> float:
        """Points of the (unclipped) score per unit of the task's mean."""
        share = 1 / len(sizes) if self.macro else sizes[task] / sum(sizes.values())
        return share * self.scale / (1 - self.chances[task])


def of_cell(house: grid.House, cell: Mapping) -> Rule:
    """Return the rule of a cell's benchmark under its study's protocol."""
    benchmark = cell["cell"]["benchmark"]
    if benchmark == MT_BENCH:
        tasks = {part["task"] for part in cell["parts"]}
        return Rule(macro=False, chances=dict.fromkeys(tasks, 0.0), scale=1.0)
    scoring = house.scoring(house.study(cell["cell"]["study"]), benchmark)
    chances = {t: 1 / n if n and scoring["normalise"] else 0.0 for t, n in scoring["tasks"].items()}
    macro = scoring["aggregation"] == "mean"
    if not macro and len(set(chances.values())) > 1:
        raise UserError("subtasks of unlike chance need `aggregation: mean`", "config/benchmarks.yaml")
    return Rule(macro, chances, clip=scoring["clip"] and scoring["normalise"])
