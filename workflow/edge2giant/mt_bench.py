"""What is fixed about MT-Bench: its categories, FastChat's temperatures and the file of its questions."""

from pathlib import Path

from edge2giant import jsonl
from edge2giant.errors import UserError
from edge2giant.records.mt_bench import Question

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
# Categories whose judge prompt holds a reference answer (FastChat 0.2.36, llm_judge/common.py).
REFERENCE_CATEGORIES = ("math", "reasoning", "coding")
# FastChat 0.2.36, llm_judge/common.py; a category that it does not know is sampled at 0.7.
TEMPERATURES = {"extraction": 0.0, "math": 0.0, "coding": 0.0, "reasoning": 0.0, "stem": 0.1, "humanities": 0.1}
OTHER_TEMPERATURE = 0.7
FETCH = "run the acquire phase again"


def temperature(category: str) -> float:
    """FastChat's sampling temperature of a category; 0 means greedy."""
    return TEMPERATURES.get(category, OTHER_TEMPERATURE)


def read_questions(path: str | Path) -> list[dict]:
    """Read question.jsonl.

    Raises
    ------
    UserError
        If the file is missing or empty, or a question lacks its id, its category or its two turns.
    """
    questions = list(jsonl.read(path, Question, FETCH))
    if not questions:
        raise UserError("holds no question", path, FETCH)
    return questions
