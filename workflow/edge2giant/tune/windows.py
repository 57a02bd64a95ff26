"""Text as windows of token ids: what is trained on, and what is only measured on."""

from dataclasses import dataclass
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.quantize import calibration
from edge2giant.records.tuned import TextRecord


@dataclass(frozen=True)
class Windows:
    """Token ids (windows, length) to train on and to measure on."""

    training: list[list[int]]
    heldout: list[list[int]]
    texts: tuple[TextRecord, ...]


def load(folders: list[Path], model_dir: Path, length: int, heldout: int) -> Windows:
    """Join the documents of each text by blank lines and cut it into windows, the last `heldout` of which are kept apart.

    Raises
    ------
    UserError
        If a text is missing or too short.
    """
    tokenizer, training, apart, texts = calibration.model_tokenizer(model_dir), [], [], []
    for folder in folders:
        path = folder / "text.jsonl"
        text = "\n\n".join(document["text"] for document in _plain(path))
        stream = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]  # whose length is no prompt's
        cut = [stream[at : at + length] for at in range(0, len(stream) - length + 1, length)]
        if len(cut) <= heldout:
            what = f"has {len(cut)} windows of {length} tokens, {heldout} of which are kept apart"
            raise UserError(what, path, "acquire more text, or lower `heldout` in config/models.yaml")
        training += cut[: len(cut) - heldout]
        apart += cut[len(cut) - heldout :]
        texts.append(TextRecord(folder.name, records.file_sha256(path), len(stream), len(cut) - heldout, heldout))
    return Windows(training, apart, tuple(texts))


def _plain(path: Path) -> list[dict]:
    documents = calibration.read_documents(path)
    if any("text" not in one for one in documents):
        raise UserError("holds conversations", path, "tune on sets of plain text")
    return documents
