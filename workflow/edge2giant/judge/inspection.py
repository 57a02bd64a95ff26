"""One offline page that shows two models' answers and judgments side by side.

Text of models may be hostile: it is put into the page as escaped text only, and control and bidirectional characters are made
visible.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from edge2giant import jsonl, pages, records
from edge2giant.errors import UserError
from edge2giant.judge import material, score
from edge2giant.judge.requests import text_sha256
from edge2giant.records.mt_bench import Judgment

SPECIAL = Path(__file__).with_name("page") / "inspect.css"
# C0 controls but tab and newline, DEL and C1, marks that reorder text or hide in it, halves of surrogate
# pairs, non-characters.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


RATED = "Answers of two models side by side, with the ratings and judgments that they got."
UNRATED = "Answers of two models side by side. No judge rated them, so there are no ratings."


def visible(text: str) -> str:
    """Return a text with every control or invisible character written as its code point, like ⟨U+202E⟩."""
    return UNSEEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text.replace("\r\n", "\n"))


class Side:
    """One model: its answers and judgments, by question and turn."""

    def __init__(self, answers: dict[int, dict], judgments: Sequence[dict]):
        self.answers = answers
        self.title = visible(next(iter(answers.values()))["model_id"])
        self.rating: dict[tuple[int, int], float] = {}
        self.judgments: dict[tuple[int, int], list[dict]] = {}
        for row in sorted(judgments, key=lambda j: j["repeat"]):
            self.judgments.setdefault((row["question_id"], row["turn"]), []).append(row)
        self.judge, self.mean, self.rated, self.missing, self.two_readings = "none", "none", 0, 2 * len(answers), 0
        if judgments:
            self._rate(judgments)

    def _rate(self, judgments: Sequence[dict]) -> None:
        rows = score.ratings(judgments)
        self.rating = {(int(r.question_id), int(r.turn)): float(r.rating) for r in rows.itertuples()}
        overall = score.mean(rows)
        self.rated = overall.n
        self.mean = "none" if overall.value is None else f"{overall.value:.2f}"
        self.missing = len(rows) - self.rated
        self.two_readings = len(score.two_readings(judgments))
        self.judge = visible(judgments[0]["judge"])

    def answer(self, question: int, turn: int) -> str:
        """Return the text of one turn, as the model wrote it."""
        return self.answers[question]["choices"][0]["turns"][turn - 1]

    def shown(self, question: int, turn: int, name: str) -> dict:
        """Return what the page shows of one turn."""
        answer = self.answer(question, turn)
        return {
            "name": f"{name}: {self.title}",
            "rating": _rating(self.rating.get((question, turn))),
            "words": len(answer.split()),
            "answer": visible(answer),
            "judgments": [_judgment(row) for row in self.judgments.get((question, turn), [])],
        }


def _judgment(row: dict) -> dict:
    text = row["judgment"] if row["judgment"] is not None else f"(no judgment: {row['error']})"
    last = row.get("last_rating")
    note = "" if last is None else f"; the text ends with another, {_rating(last)}"
    return {"repeat": row["repeat"], "rating": _rating(row["rating"]) + note, "text": visible(text)}


def _rating(value: float | None) -> str:
    return "no rating" if value is None or value != value else f"{value:g}"


def change(a: Side, b: Side, question: int) -> float | None:
    """Mean change of the rating from A to B over the turns that both have rated; None without such a turn."""
    both = [(a.rating.get((question, turn)), b.rating.get((question, turn))) for turn in (1, 2)]
    gaps = [y - x for x, y in both if x is not None and y is not None and x == x and y == y]
    return sum(gaps) / len(gaps) if gaps else None


def question_view(bench: material.Bench, key: int, a: Side, b: Side) -> dict:
    """Return what the page shows of one question."""
    question = bench.questions[key]
    return {
        "id": key,
        "category": visible(question["category"]),
        "change": change(a, b, key),
        "turns": [_turn_view(bench, question, turn, a, b) for turn in (1, 2)],
    }


def _turn_view(bench: material.Bench, question: dict, turn: int, a: Side, b: Side) -> dict:
    key = question["question_id"]
    sides = [a.shown(key, turn, "A"), b.shown(key, turn, "B")]
    judged_by_it = question["category"] in material.REFERENCE_CATEGORIES and key in bench.references
    reference = bench.references[key][turn - 1] if judged_by_it else _own_reference(question, turn)
    return {
        "number": turn,
        "question": visible(question["turns"][turn - 1]),
        "reference": None if reference is None else visible(reference),
        "shown_to_judge": judged_by_it,
        "identical": a.answer(key, turn) == b.answer(key, turn),
        "sides": sides,
    }


def _own_reference(question: dict, turn: int) -> str | None:
    own = question.get("reference")
    fits = isinstance(own, list) and len(own) >= turn and isinstance(own[turn - 1], str)
    return own[turn - 1] if fits and own[turn - 1] else None


def render(bench: material.Bench, a: Side, b: Side) -> str:
    """Return the page's HTML; questions that either model has not answered are left out."""
    keys = sorted(set(bench.questions) & set(a.answers) & set(b.answers))
    questions = [question_view(bench, key, a, b) for key in keys]
    return pages.render(
        "judge/page/inspect.html.j2",
        tables=False,
        special=SPECIAL,
        title=f"MT-Bench: {a.title} and {b.title}",
        lead=RATED if a.judgments or b.judgments else UNRATED,
        source="answers and judgments of both models",
        a=a,
        b=b,
        questions=questions,
        categories=list(dict.fromkeys(q["category"] for q in questions)),
    )


def _check_judgments(answers: dict[int, dict], judgments: Sequence[dict], place: object) -> None:
    texts = {(key, turn): text for key, a in answers.items() for turn, text in enumerate(a["choices"][0]["turns"], 1)}
    for row in judgments:
        text = texts.get((row["question_id"], row["turn"]))
        if text is None or text_sha256(text) != row["answer_sha256"]:
            what = f"the judgment of question {row['question_id']}, turn {row['turn']}, is of another answer"
            raise UserError(what, place, "give the judgments of these answers")


def command(options) -> None:
    """Run `inspect` with the options of the command line."""
    bench = material.load_bench(options.data)
    sides = []
    for answers, judgments in ((options.answers_a, options.judgments_a), (options.answers_b, options.judgments_b)):
        given = material.load_answers(answers)
        if not given:
            raise UserError("holds no answer", answers, "generate the answers first")
        rows = list(jsonl.read(judgments, Judgment)) if judgments else []
        _check_judgments(given, rows, judgments)
        sides.append(Side(given, rows))
    records.write_text(options.out, render(bench, *sides))
