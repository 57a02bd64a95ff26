"""Records of MT-Bench: questions, answers and judge prompts in FastChat's format, whose own files fit as well, and judgments."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from edge2giant.typed import OMITTED, Natural, NotEmpty, Positive, Range, Sha256, Text


@dataclass(frozen=True)
class Question:
    """A line of `question.jsonl`: one question of two turns."""

    OPEN: ClassVar = True

    question_id: Natural
    category: Text
    turns: tuple[Text, Text]
    reference: Any = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class Choice:
    """One sampled answer: the text of each turn."""

    OPEN: ClassVar = True

    index: Natural
    turns: tuple[str, str]


@dataclass(frozen=True)
class TurnNote:
    """Lengths of a turn, in tokens; `prompt_cut` says that the model's window was too short for prompt and answer."""

    prompt_tokens: Natural
    answer_tokens: Natural
    limit: Positive
    limit_reached: bool
    prompt_cut: bool


@dataclass(frozen=True)
class Generation:
    """How an answer was generated."""

    category: Text
    temperature: Annotated[float, Range(0)]
    seed: Natural
    stop: tuple[Text, ...]
    turns: tuple[TurnNote, TurnNote]


@dataclass(frozen=True)
class Answer:
    """A line of `answers.jsonl`: one model's answer to one question; FastChat writes no `generation`."""

    OPEN: ClassVar = True

    question_id: Natural
    answer_id: Text
    model_id: Text
    choices: Annotated[tuple[Choice, ...], NotEmpty()]
    tstamp: float
    generation: Generation | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class JudgePrompt:
    """A line of `judge_prompts.jsonl`."""

    OPEN: ClassVar = True

    name: Text
    system_prompt: str
    prompt_template: str


@dataclass(frozen=True)
class Judgment:
    """A line of `judgments.jsonl`: what one judge said of one turn of one answer, once.

    `status` is `rated`, `unparsed` (the judge's text holds no rating) or `failed` (there is no text, `error` says why).
    `last_rating` is the last one in the text where that differs from `rating`, the first, which counts.
    """

    schema: Literal[1]
    question_id: Natural
    category: Text
    turn: Literal[1, 2]
    repeat: Natural
    rating: Annotated[float, Range(1, 10)] | None
    rating_text: str | None
    status: Literal["rated", "unparsed", "failed"]
    judgment: str | None
    error: Text | None
    prompt: Text
    judge: Text
    model: Text
    answered_by: str | None
    finish_reason: str | None
    tokens_in: Natural | None
    tokens_out: Natural | None
    usd: float
    attempts: Positive
    seconds: float
    finished: Text
    answer_model: Text
    answer_id: Text
    answer_sha256: Sha256
    question_sha256: Sha256
    fingerprint: Sha256
    last_rating: Annotated[float, Range(1, 10)] | None = field(default=None, metadata=OMITTED)
