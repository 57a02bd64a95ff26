"""The project's own rule judge: rates answers of the miniature study by rule, from the judge prompt alone.

It is no language model. It reads the question and the answer (and the reference, where there is one) out of a
prompt of FastChat's form and compares the answer with the one right answer that each form of miniature
question has. Other questions get a poor guess from surface features, so that real questions can be sent
through the same machinery; such a rating is no measure of quality. The same prompt always gets the same text.
"""

import difflib
import re
from dataclasses import dataclass

MODEL = "edge2giant-rule-judge-1"
COUNTS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# The best rating of a guess from surface features.
BEST_GUESS = 5.0


@dataclass(frozen=True)
class Shown:
    """What a judge prompt shows of the turn that is to be rated."""

    question: str
    answer: str
    reference: str | None


@dataclass(frozen=True)
class Verdict:
    """A rating from 1 to 10 in steps of a half, and its reason."""

    rating: float
    reason: str

    @property
    def text(self) -> str:
        """The judgment in the words that the rating is parsed from."""
        return f"Rule judge, no language model: {self.reason}. Rating: [[{self.rating:g}]]"


def read_prompt(prompt: str) -> Shown | None:
    """Find question, answer and reference of the turn to be rated; None if the prompt has no known form."""
    if "<|The Start of Assistant A's Conversation with User|>" in prompt:
        return _second_turn(prompt)
    question = _between(prompt, "[Question]\n", "\n\n[The Start of ")
    answer = _between(prompt, "[The Start of Assistant's Answer]\n", "\n[The End of Assistant's Answer]", True)
    reference = _between(prompt, "[The Start of Reference Answer]\n", "\n[The End of Reference Answer]")
    return None if question is None or answer is None else Shown(question, answer, reference)


def _second_turn(prompt: str) -> Shown | None:
    head, _, talk = prompt.partition("<|The Start of Assistant A's Conversation with User|>")
    talk = talk.rpartition("<|The End of Assistant A's Conversation with User|>")[0]
    # the first user, the first answer, the second user; what follows is the second answer whatever it holds
    parts = re.split(r"\n*### (?:User|Assistant A):\n", talk, maxsplit=4)
    if len(parts) != 5:
        return None
    _, referred, reference = head.rpartition("### Reference answer:\n")
    reference = reference.partition("\n\n<|The End of")[0] if referred else None
    return Shown(parts[3].strip(), parts[4].strip(), reference)


def _between(text: str, start: str, end: str, last: bool = False) -> str | None:
    _, found, rest = text.partition(start)
    body, ended, _ = rest.rpartition(end) if last else rest.partition(end)
    return body if found and ended else None


def right_answer(question: str) -> str | None:
    """Return the one right answer that a miniature question states, None for any other question."""
    for pattern, answer in _FORMS:
        if found := re.fullmatch(pattern, question.strip()):
            return answer(found)
    return None


def _repeated(found: re.Match) -> str:
    return " ".join([found[1]] * (COUNTS.index(found[2]) + 1))


def _looked_up(found: re.Match) -> str | None:
    entries = dict(re.findall(r"([\w ]+): ([^.]+)\.", found[1]))
    return {key.strip(): value for key, value in entries.items()}.get(found[2])


def _counted(found: re.Match) -> str:
    return " ".join(str(number) for number in range(int(found[1]), int(found[2]) + 1))


_FORMS = (
    (rf"Write the word (\w+) ({'|'.join(COUNTS)}) times?\.", _repeated),
    (r"Write these words: (.+)\.", lambda found: found[1]),
    (r"Say that you are (.+)\.", lambda found: f"I am {found[1]}."),
    (r"((?:[\w ]+: [^.]+\. )+)Give the (\w+)\.", _looked_up),
    (r"Count from (\d+) to (\d+)(?: for [\w ]+)?\.", _counted),
)


def grade(prompt: str) -> Verdict:
    """Rate the answer that a judge prompt shows."""
    shown = read_prompt(prompt)
    if shown is None:
        return Verdict(1.0, "the prompt has no form that this judge can read")
    if not shown.answer.strip():
        return Verdict(1.0, "the answer is empty")
    stated = right_answer(shown.question)
    if stated is not None:
        return _compared(shown.answer, stated, "the answer that the question asks for")
    if shown.reference is not None:
        return _compared(shown.answer, shown.reference, "the reference answer")
    return _guess(shown)


def _compared(answer: str, right: str, what: str) -> Verdict:
    got, due = _words(answer), _words(right)
    if got == due:
        return Verdict(10.0, f"it is {what}")
    alike = difflib.SequenceMatcher(None, got, due, autojunk=False).ratio()
    if due and _holds(got, due):
        # right, with more words around it: from 6 (a lot more) up to 9
        return Verdict(_half(6.0 + 3.0 * alike), f"it holds {what} and {len(got) - len(due)} words more")
    return Verdict(_half(1.0 + 6.0 * alike), f"it agrees with {what} by {alike:.2f}")


def _holds(got: list[str], due: list[str]) -> bool:
    return any(got[i : i + len(due)] == due for i in range(len(got) - len(due) + 1))


def _guess(shown: Shown) -> Verdict:
    got, asked = _words(shown.answer), set(_words(shown.question))
    variety = len(set(got)) / len(got) if got else 0.0
    touch = len(asked & set(got)) / len(asked) if asked else 0.0
    length = min(len(got) / 100.0, 1.0)
    rating = _half(1.0 + (BEST_GUESS - 1.0) * (variety + touch + length) / 3.0)
    found = f"variety {variety:.2f}, words of the question {touch:.2f}, length {length:.2f}"
    return Verdict(rating, f"a guess from {found}")


def _words(text: str) -> list[str]:
    # the first thousand words decide; a runaway answer must not cost minutes
    return re.findall(r"[\w+-]+", text.lower())[:1000]


def _half(rating: float) -> float:
    return round(rating * 2.0) / 2.0
