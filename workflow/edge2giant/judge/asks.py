"""The requests that a judge gets: one for each turn of each answer and each repeat."""

import hashlib
from dataclasses import dataclass

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.judge.config import Judge
from edge2giant.judge.material import FETCH, REFERENCE_CATEGORIES, Bench


@dataclass(frozen=True)
class Ask:
    """One judgment to be had.

    Attributes
    ----------
    fingerprint : str
        Digest of everything that decides the judge's answer, and of the repeat. A judgment with this
        fingerprint in the journal is never asked for again.
    """

    question_id: int
    category: str
    turn: int
    repeat: int
    prompt: str
    messages: tuple[dict, ...]
    answer_model: str
    answer_id: str
    answer_sha256: str
    question_sha256: str
    fingerprint: str


def plan(bench: Bench, answers: dict[int, dict], judge: Judge) -> list[Ask]:
    """List the judgments of a set of answers: repeat by repeat, in each by question and turn."""
    return [
        _ask(bench, question, answers[key], turn, repeat, judge)
        for repeat in range(judge.repeats)
        for key, question in sorted(bench.questions.items())
        for turn in (1, 2)
    ]


def prompt_name(category: str, turn: int) -> str:
    """Return which of the four single-answer judge prompts rates a turn of a category."""
    name = "single-math-v1" if category in REFERENCE_CATEGORIES else "single-v1"
    return name if turn == 1 else f"{name}-multi-turn"


def messages(bench: Bench, question: dict, turns: list[str], turn: int) -> tuple[dict, ...]:
    """Fill a judge prompt: the first turn alone, or both turns with the second to be rated."""
    template = bench.prompts[prompt_name(question["category"], turn)]
    words = _reference_words(bench, question)
    if turn == 1:
        words.update(question=question["turns"][0], answer=turns[0])
    else:
        words.update(question_1=question["turns"][0], answer_1=turns[0])
        words.update(question_2=question["turns"][1], answer_2=turns[1])
    return (
        {"role": "system", "content": template["system_prompt"]},
        {"role": "user", "content": _filled(template, words)},
    )


def _filled(template: dict, words: dict) -> str:
    try:
        return template["prompt_template"].format(**words)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"prompt {template['name']} cannot be filled in ({error})", "judge_prompts.jsonl", FETCH) from None


def _reference_words(bench: Bench, question: dict) -> dict:
    if question["category"] not in REFERENCE_CATEGORIES:
        return {}
    first, second = bench.references[question["question_id"]]
    return {"ref_answer_1": first, "ref_answer_2": second}


def _ask(bench: Bench, question: dict, answer: dict, turn: int, repeat: int, judge: Judge) -> Ask:
    turns = answer["choices"][0]["turns"]
    texts = messages(bench, question, turns, turn)
    return Ask(
        question_id=question["question_id"],
        category=question["category"],
        turn=turn,
        repeat=repeat,
        prompt=prompt_name(question["category"], turn),
        messages=texts,
        answer_model=answer["model_id"],
        answer_id=answer["answer_id"],
        answer_sha256=text_sha256(turns[turn - 1]),
        question_sha256=text_sha256("\n".join(question["turns"])),
        fingerprint=fingerprint(judge, texts, repeat),
    )


def fingerprint(judge: Judge, texts: tuple[dict, ...], repeat: int) -> str:
    """Digest what decides a judgment: the judge's model and settings (not its address), messages, repeat."""
    identity = {
        "model": judge.model,
        "temperature": judge.temperature,
        "max_tokens": judge.max_tokens,
        "extra": judge.extra_body,
        "messages": list(texts),
        "repeat": repeat,
    }
    return records.digest(identity)


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
