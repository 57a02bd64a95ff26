"""Say how many evaluated documents stand in calibration text as well, whole or in part.

A model that was calibrated on a benchmark's questions would score for the wrong reason. Both sides lie in the store, so this
needs no model and no GPU. It belongs to a study and not to a checkpoint: several
studies with different benchmarks share a checkpoint.

Text is compared as words, in lower case and without punctuation. A document is there *whole* when its longest field stands in
one calibration document; fields of fewer than LEAST words say nothing, and such documents are counted as not comparable. It
is there *in part* when RUN words in a row of any field are (T. Brown et al., arXiv 2005.14165, appendix C: 13-grams); text
from templates does that without holding a question. Of a data set's splits those are compared that are evaluated: all but
`train` and `dev` where there are others. The whole calibration file is compared, of which a checkpoint draws some samples, so
counts are upper bounds.

More than `LARGEST_SHARE` of a benchmark's documents there whole is refused: below it, knowing the answers could not move the
score by more than its standard error (1,000 documents: 1.5 points).
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge2giant import jsonl, records
from edge2giant.errors import UserError
from edge2giant.jsonl import texts_in
from edge2giant.records.lock import Lock
from edge2giant.store import texts

LEAST, RUN = 8, 13
LARGEST_SHARE = 0.01
NOT_EVALUATED = ("train", "dev")


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def runs(tokens: list[str], size: int) -> Iterator[int]:
    """Hashes of all runs of `size` words."""
    return (hash(tuple(tokens[at : at + size])) for at in range(len(tokens) - size + 1))


def evaluated(files: Iterable[Path]) -> list[Path]:
    """The files of a data set that hold evaluated splits, by their names."""
    data = [path for path in files if path.name.endswith(texts.FORMS)]
    return [path for path in data if not path.name.startswith(NOT_EVALUATED)] or data


class Document:
    """One evaluated document: its longest field, the runs of all fields, and what was found of it so far."""

    def __init__(self, row: object):
        tokens = [words(field) for field in texts_in(row)]
        longest = max(tokens, key=len, default=[])
        self.comparable = len(longest) >= LEAST
        self.text = f" {' '.join(longest)} "
        self.anchor = hash(tuple(longest[:LEAST]))
        self.runs = {run for field in tokens for run in runs(field, RUN)}


def compare(text: Path, benchmarks: dict[str, list[Document]]) -> list[dict]:
    """Compare one calibration file with benchmarks.

    Returns
    -------
    list of dict
        benchmark, documents, comparable, whole, in_part.
    """
    compared = [document for found in benchmarks.values() for document in found if document.comparable]
    wanted = {run for document in compared for run in document.runs}
    by_anchor: dict[int, list[Document]] = {}
    for document in compared:
        by_anchor.setdefault(document.anchor, []).append(document)
    here, whole = set(), set()
    for row in jsonl.read(text, hint="fetch the calibration set again"):
        tokens = words(" ".join(texts_in(row)))
        here |= wanted.intersection(runs(tokens, RUN))
        if anchors := by_anchor.keys() & set(runs(tokens, LEAST)):
            joined = f" {' '.join(tokens)} "
            whole |= {id(document) for anchor in anchors for document in by_anchor[anchor] if document.text in joined}
    return [
        {
            "benchmark": name,
            "documents": len(found),
            "comparable": sum(document.comparable for document in found),
            "whole": sum(id(document) in whole for document in found),
            "in_part": sum(not document.runs.isdisjoint(here) for document in found),
        }
        for name, found in benchmarks.items()
    ]


def read(lock: Path) -> list[Document]:
    """The evaluated documents of a benchmark whose lock lies in the store.

    Raises
    ------
    UserError
        If its files hold none.
    """
    files = [lock.parent / name for name in records.read(lock, Lock).files]
    found = [Document(row) for path in evaluated(files) for row in texts.rows(path)]
    if not found:
        raise UserError("holds no document to compare", lock, "acquire the data set again")
    return found


def report(calibration: list[Path], datasets: list[Path], out: Path) -> None:
    """Compare locks of calibration sets with locks of data sets, write the counts, and refuse what is shared too much.

    Raises
    ------
    UserError
        Naming the set and the benchmark; the counts are written nevertheless, beside `out`.
    """
    benchmarks = {name_of(lock): read(lock) for lock in datasets}
    lines = [
        {"calibration": name_of(lock)} | line
        for lock in calibration
        for line in compare(lock.with_name(name_of(lock)) / texts.NAME, benchmarks)
    ]
    wrong = [line for line in lines if line["whole"] > LARGEST_SHARE * line["documents"]]
    records.write_json(out.with_suffix(".refused.json") if wrong else out, {"limit": LARGEST_SHARE, "sets": lines})
    for line in lines:
        print(json.dumps(line))
    if wrong:
        first = wrong[0]
        raise UserError(
            f"holds {first['whole']} of the {first['documents']} documents of {first['benchmark']} whole",
            f"calibration set {first['calibration']}",
            "calibrate with other text (`calibration` of the study), or leave the benchmark out",
        )


def name_of(lock: Path) -> str:
    return lock.name.removesuffix(".lock.json")
