"""Calibration text as token ids: drawn and cut the way the set says, once per checkpoint, hashed.

A set (an entry of `config/calibration.yaml`) says how its documents become samples:

=============  ======================================================================================================
packing        meaning
=============  ======================================================================================================
truncate       documents in shuffled order, each cut to `length` tokens (llmcompressor's examples)
full           documents in shuffled order with at least `length` tokens, cut to `length` (AutoRound)
blocks         shuffled documents of at most `length` tokens laid end to end and cut into blocks of `length` (AutoAWQ)
windows        all documents joined by blank lines; windows of `length` tokens at random places (AutoGPTQ's example)
random_tokens  token ids drawn uniformly from the vocabulary; no text is read
=============  ======================================================================================================

Shuffling is that of `datasets.Dataset.shuffle(seed)`: the permutation of numpy's default generator.
"""

import itertools
import json
import random
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge2giant import jsonl, records
from edge2giant.errors import UserError
from edge2giant.quantize import compat
from edge2giant.specs.quantize import CalibrationSpec


@dataclass(frozen=True)
class Calibration:
    """Token ids to calibrate with, and the SHA-256 of the text file; None for random tokens."""

    spec: CalibrationSpec
    token_ids: list[list[int]]
    text_sha256: str | None

    @property
    def sha256(self) -> str:
        """SHA-256 of the token ids as JSON: two tokenisations are the same set when this is the same."""
        return records.digest(self.token_ids)

    @property
    def longest(self) -> int:
        return max(map(len, self.token_ids))

    def record(self) -> dict:
        """What `checkpoint.json` says of the set."""
        return {
            "id": self.spec.name,
            "repo": self.spec.repo,
            "packing": self.spec.packing,
            "seed": self.spec.seed,
            "samples": len(self.token_ids),
            "length": self.spec.length,
            "tokens": sum(map(len, self.token_ids)),
            "sha256": self.sha256,
            "text_sha256": self.text_sha256,
        }


def load(spec: CalibrationSpec, folder: str | Path | None, model_dir: str | Path) -> Calibration:
    """Draw and tokenise a calibration set with a model's tokenizer.

    Raises
    ------
    UserError
        If the text is missing or too short for the set.
    """
    tokenizer = model_tokenizer(model_dir)
    if not spec.reads_text:
        vocabulary = compat.read_config(Path(model_dir))["vocab_size"]
        return Calibration(spec, random_tokens(spec, min(vocabulary, len(tokenizer))), None)
    if folder is None:
        raise UserError(f"set '{spec.name}' needs its text", "--calibration", "name the folder that holds text.jsonl")
    path = Path(folder) / "text.jsonl"
    return Calibration(spec, pack(read_documents(path), spec, tokenizer, path), records.file_sha256(path))


def model_tokenizer(model_dir: str | Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(model_dir), trust_remote_code=False)


def read_documents(path: Path) -> list[dict]:
    """Read the documents of a text.jsonl: `text`, or `messages` for conversations.

    Raises
    ------
    UserError
        If the file is missing or a line is something else.
    """
    documents = list(jsonl.read(path, hint="acquire the set again"))
    for number, document in enumerate(documents, 1):
        if not document.keys() & {"text", "messages"}:
            raise UserError(f"line {number} has neither `text` nor `messages`", path, "acquire the set again")
    return documents


def tokenise(document: dict, tokenizer, special_tokens: bool = True, date: str | None = None) -> list[int]:
    """Token ids of one document; a conversation goes through the tokenizer's chat template, for which `date` is today.

    Raises
    ------
    UserError
        If there is a conversation and no date: two days would give two sets.
    """
    if "messages" in document:
        if date is None:
            raise UserError("a conversation needs the date of its set", hint="give the set a `date` in config/calibration.yaml")
        today = datetime.fromisoformat(date).strftime
        text = tokenizer.apply_chat_template(document["messages"], tokenize=False, strftime_now=today)
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokenizer(document["text"], add_special_tokens=special_tokens)["input_ids"]


def pack(documents: list[dict], spec: CalibrationSpec, tokenizer, where: object = None) -> list[list[int]]:
    """Turn documents into samples as the set's packing says.

    Raises
    ------
    UserError
        If the documents do not suffice for the number of samples.
    """
    packings = {"truncate": _truncate, "full": _full, "blocks": _blocks, "windows": _windows}
    samples = packings[spec.packing](documents, spec, tokenizer)
    if not samples or (spec.packing in ("truncate", "full") and len(samples) < spec.samples):
        raise UserError(
            f"gives {len(samples)} samples where set '{spec.name}' wants {spec.samples} of {spec.length} tokens",
            where,
            "acquire more text, or lower `samples` or `length` of the set",
        )
    return samples


def refuse_overlap(calibration_text: Path, heldout_text: Path) -> None:
    """Refuse held-out text that the calibration set contains.

    Raises
    ------
    UserError
        If a document is in both.
    """
    documents = ({json.dumps(one, sort_keys=True) for one in read_documents(path)} for path in (calibration_text, heldout_text))
    shared = set.intersection(*documents)
    if shared:
        raise UserError(
            f"{len(shared)} held-out documents are calibration text as well",
            heldout_text,
            "choose other held-out text",
        )


def shuffled(count: int, seed: int) -> list[int]:
    """Order in which `datasets.Dataset.shuffle(seed)` puts `count` rows."""
    import numpy as np

    return np.random.default_rng(seed).permutation(count).tolist()


def random_tokens(spec: CalibrationSpec, vocabulary: int) -> list[list[int]]:
    """Draw token ids uniformly from the vocabulary."""
    import numpy as np

    generator = np.random.default_rng(spec.seed)
    return generator.integers(0, vocabulary, (spec.samples, spec.length)).tolist()


def _token_ids(documents, spec, tokenizer):
    for index in shuffled(len(documents), spec.seed):
        ids = tokenise(documents[index], tokenizer, spec.special_tokens, spec.date)
        if ids:
            yield ids


def _truncate(documents, spec, tokenizer, least=0):
    long_enough = (ids[: spec.length] for ids in _token_ids(documents, spec, tokenizer) if len(ids) >= least)
    return list(itertools.islice(long_enough, spec.samples))


def _full(documents, spec, tokenizer):
    return _truncate(documents, spec, tokenizer, spec.length)


def _blocks(documents, spec, tokenizer):
    kept, stream = 0, []
    bare = [one | {"text": one["text"].strip()} if "text" in one else one for one in documents]
    for ids in _token_ids(bare, spec, tokenizer):
        if len(ids) <= spec.length:
            stream += ids
            kept += 1
        if kept == spec.samples:
            break
    length = spec.length
    return [stream[at * length : (at + 1) * length] for at in range(len(stream) // length)]


def _windows(documents, spec, tokenizer):
    text = "\n\n".join(one["text"] for one in documents)
    stream = tokenizer(text, add_special_tokens=spec.special_tokens)["input_ids"]
    last = len(stream) - spec.length - 1
    if last < 0:
        return []
    draw = random.Random(spec.seed)
    starts = [draw.randint(0, last) for _ in range(spec.samples)]
    return [stream[start : start + spec.length] for start in starts]
