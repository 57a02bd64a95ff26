"""Written answers in the answer cache: how long they are, and which end in a loop."""

from pathlib import Path

from edge2giant import jsonl
from edge2giant.records.cell import CellRecord

LONGEST_PERIOD = 256
LEAST_REPEATS, LEAST_CHARACTERS = 4, 80


def loops(text: str) -> bool:
    """Whether a text ends in one piece, at least four times and over at least 80 characters.

    An answer that is cut at its limit may end anywhere in the piece.
    """
    end = text.rstrip()
    for period in range(1, LONGEST_PERIOD + 1):
        repeats = max(LEAST_REPEATS, -(-LEAST_CHARACTERS // period))
        if len(end) >= period * repeats and end.endswith(end[-period:] * repeats):
            return True
    return False


def written(cell: CellRecord, answer_cache: Path) -> dict[tuple, str]:
    """The written answers of a cell by task and question; none where options are chosen."""
    found = {}
    for path in sorted((answer_cache / cell.provenance.fingerprint).glob("samples_*.jsonl")):
        for sample in jsonl.read(path):
            first = sample["resps"][0][0]
            if isinstance(first, str):
                found[path.stem, sample["doc_id"]] = first
    return found
