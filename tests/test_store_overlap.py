"""Calibration text against evaluated documents, on files made here: what is found, what is not, and what is refused."""

import json

import pyarrow as pa
import pytest
from edge2giant import records, store
from edge2giant.errors import UserError
from edge2giant.store import overlap
from pyarrow import parquet

QUESTION = "Ann walks from the mill to the old bridge and back again before noon; how far did she walk in all?"
OTHERS = [f"Question number {n} asks of the {n}th river whether its water runs north or south in the spring" for n in range(199)]


@pytest.fixture
def place(tmp_path):
    """A benchmark of 200 questions, with a train split, and a function that makes a calibration set of texts."""
    data = tmp_path / "datasets/some/benchmark/main"
    data.mkdir(parents=True)
    for split, questions in (
        ("test", [QUESTION, *OTHERS]),
        ("train", ["A question for examples that nobody is asked to answer at all"]),
    ):
        rows = [{"question": text, "choices": {"text": ["far", "near"]}, "label": 1} for text in questions]
        parquet.write_table(pa.Table.from_pylist(rows), data / f"{split}-00000-of-00001.parquet")
    lock(tmp_path / "datasets", tmp_path / "datasets/asked.lock.json")

    def compare(*documents):
        folder = tmp_path / "calibration/some"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [json.dumps(row if isinstance(row, dict) else {"text": row}) for row in documents]
        (folder / "text.jsonl").write_text("\n".join(rows) + "\n")
        written = lock(folder, folder.with_name("some.lock.json"))
        overlap.report([written], [tmp_path / "datasets/asked.lock.json"], tmp_path / "overlap.json")
        return records.read_json(tmp_path / "overlap.json")["sets"][0]

    return compare


def lock(folder, path):
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(".lock.json")]
    records.write(path, store.make_lock(folder, files, ["some/benchmark"], "made by a test"))
    return path


def test_text_of_its_own_shares_nothing(place):
    assert place("Nothing of this is asked anywhere, whatever the questions may be about in the end, or so one hopes.") == {
        "calibration": "some", "benchmark": "asked", "documents": 200, "comparable": 200, "whole": 0, "in_part": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        f"Before. {QUESTION} After.",
        QUESTION.upper().replace(" ", "\n").replace(";", " --"),
        {"messages": [{"role": "user", "content": "Hello"}, {"role": "user", "content": QUESTION}]},
    ],
    ids=["inside", "other case and points", "conversation"],
)
def test_a_question_is_found_whole(place, text):
    found = place("Some other text that stands before it.", text)
    assert (found["whole"], found["in_part"]) == (1, 1)


def test_thirteen_words_are_a_part_and_twelve_are_not(place):
    words = QUESTION.split()
    assert place(" ".join(words[2:15]))["in_part"] == 1
    assert place(" ".join(words[2:14]) + " elsewhere")["in_part"] == 0
    assert place(" ".join(words[:13]), " ".join(words[13:]))["whole"] == 0, "a document is not put together from two"


def test_examples_that_are_not_evaluated_may_be_shared(place):
    assert place("A question for examples that nobody is asked to answer at all")["whole"] == 0


def test_too_much_is_refused_and_the_counts_are_kept(place, tmp_path):
    with pytest.raises(UserError, match=r"calibration set some: holds 3 of the 200 documents of asked whole"):
        place(QUESTION, *OTHERS[:2])
    assert not (tmp_path / "overlap.json").exists()
    assert records.read_json(tmp_path / "overlap.refused.json")["sets"][0]["whole"] == 3
