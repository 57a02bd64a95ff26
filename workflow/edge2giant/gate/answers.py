"""Written answers in the answer cache: how long they are, and which end in a loop."""

from pathlib import Path

from edge2giant import jsonl
from edge2giant.errors import UserError
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
    """The written answers of a cell by task and question; none where options are chosen.

    Raises
    ------
    UserError
        If the cache has the answers no more.
    """
    folder, found = answer_cache / cell.provenance.fingerprint, {}
    if not folder.is_dir():
        hint = "leave `loops` and `length` out of the policy, or delete the cell and its manifest and evaluate again"
        raise UserError(f"has no answers of {cell.cell.variant.path}/{cell.cell.benchmark}", folder, hint)
    for path in sorted(folder.glob("samples_*.jsonl")):
        for sample in jsonl.read(path):
            first = sample["resps"][0][0]
            if not isinstance(first, str):
                break  # the options of a task have log-likelihoods
            found[path.stem, sample["doc_id"]] = first
    conversations = folder / "answers.jsonl"
    for answer in jsonl.read(conversations) if conversations.is_file() else ():
        found |= {(answer["question_id"], turn): text for turn, text in enumerate(answer["choices"][0]["turns"])}
    return found
