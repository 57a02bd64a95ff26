"""The requests that a judge gets: one for each turn of each answer and each repeat."""

import hashlib
from dataclasses import dataclass

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.judge.material import Bench
from edge2giant.mt_bench import FETCH, REFERENCE_CATEGORIES
from edge2giant.specs.judge import JudgeSpec


@dataclass(frozen=True)
class JudgmentRequest:
    """A request for one judgment: the chat messages that are sent, and what they are about.

    A judgment with this fingerprint in the cache is never requested again. Repeats count from 0.
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


def requests_of(bench: Bench, answers: dict[int, dict], spec: JudgeSpec) -> list[JudgmentRequest]:
    """All requests about a set of answers: repeat by repeat, in each by question and turn."""
    return [
        _request(bench, question, answers[key], turn, repeat, spec)
        for repeat in range(spec.repeats)
        for key, question in sorted(bench.questions.items())
        for turn in (1, 2)
    ]


def _request(bench: Bench, question: dict, answer: dict, turn: int, repeat: int, spec: JudgeSpec) -> JudgmentRequest:
    turns = answer["choices"][0]["turns"]
    texts = messages(bench, question, turns, turn)
    return JudgmentRequest(
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
        fingerprint=fingerprint(spec, texts, repeat),
    )


def prompt_name(category: str, turn: int) -> str:
    """Which of the four single-answer judge prompts rates a turn of a category."""
    name = "single-math-v1" if category in REFERENCE_CATEGORIES else "single-v1"
    return name if turn == 1 else f"{name}-multi-turn"


def messages(bench: Bench, question: dict, turns: list[str], turn: int) -> tuple[dict, ...]:
    """Fill a judge prompt: the first turn alone, or both turns with the second to be rated."""
    template = bench.prompts[prompt_name(question["category"], turn)]
    words = {}
    if question["category"] in REFERENCE_CATEGORIES:
        words["ref_answer_1"], words["ref_answer_2"] = bench.references[question["question_id"]]
    if turn == 1:
        words.update(question=question["turns"][0], answer=turns[0])
    else:
        words.update(question_1=question["turns"][0], answer_1=turns[0])
        words.update(question_2=question["turns"][1], answer_2=turns[1])
    try:
        filled = template["prompt_template"].format(**words)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"prompt {template['name']} cannot be filled in ({error})", "judge_prompts.jsonl", FETCH) from None
    return {"role": "system", "content": template["system_prompt"]}, {"role": "user", "content": filled}


def fingerprint(spec: JudgeSpec, texts: tuple[dict, ...], repeat: int) -> str:
    """Digest of what decides a judgment: the judge's model and settings (not its address), messages, repeat."""
    identity = {
        "model": spec.model,
        "temperature": spec.temperature,
        "max_tokens": spec.max_tokens,
        "extra": spec.extra_body,
        "messages": list(texts),
        "repeat": repeat,
    }
    return records.digest(identity)


def text_sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
