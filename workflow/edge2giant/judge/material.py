"""What a judge prompt holds: questions, reference answers, prompt templates, and the answers to be rated."""

from dataclasses import dataclass
from pathlib import Path

from edge2giant import jsonl, mt_bench
from edge2giant.errors import UserError
from edge2giant.mt_bench import FETCH, REFERENCE_CATEGORIES
from edge2giant.records.mt_bench import Answer, JudgePrompt

PROMPTS = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")


@dataclass(frozen=True)
class Bench:
    """The MT-Bench store: questions by id, reference answers (two turns) by id, judge prompts by name."""

    questions: dict[int, dict]
    references: dict[int, list[str]]
    prompts: dict[str, dict]


def load_bench(folder: str | Path) -> Bench:
    """Read question.jsonl, reference_answer.jsonl and judge_prompts.jsonl of a folder.

    Raises
    ------
    UserError
        If a file is missing or wrong, or a question of a category that is judged by reference has none.
    """
    folder = Path(folder)
    questions = {q["question_id"]: q for q in mt_bench.read_questions(folder / "question.jsonl")}
    answers = jsonl.read(folder / "reference_answer.jsonl", Answer, FETCH)
    references = {answer["question_id"]: answer["choices"][0]["turns"] for answer in answers}
    for key, question in questions.items():
        if question["category"] in REFERENCE_CATEGORIES and key not in references:
            raise UserError(f"question {key} ({question['category']}) has no reference answer", folder, FETCH)
    file = folder / "judge_prompts.jsonl"
    prompts = {prompt["name"]: prompt for prompt in jsonl.read(file, JudgePrompt, FETCH)}
    if missing := [name for name in PROMPTS if name not in prompts]:
        raise UserError(f"has no judge prompt {', '.join(missing)}", file, FETCH)
    return Bench(questions, references, prompts)


def load_answers(path: str | Path) -> dict[int, dict]:
    """Read answers.jsonl (ours or FastChat's) by question id; of several answers to a question the last counts."""
    return {row["question_id"]: row for row in jsonl.read(path, Answer)}


def check_complete(bench: Bench, answers: dict[int, dict], place: object) -> None:
    """Raise `UserError` unless the answers are those to exactly the questions of the bench."""
    missing = sorted(set(bench.questions) - set(answers))
    unknown = sorted(set(answers) - set(bench.questions))
    if missing:
        what = f"{len(missing)} questions are not answered: {_some(missing)}"
        raise UserError(what, place, "generate them")
    if unknown:
        raise UserError(f"{len(unknown)} answers are to no question: {_some(unknown)}", place, "check --data")


def _some(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (" ..." if len(ids) > 8 else "")
