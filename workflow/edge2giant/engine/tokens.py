"""Token ids of (context, continuation) pairs, the same as lm-eval's, without encoding everything each time.

lm-eval encodes ``context + continuation`` and ``context`` for every answer choice: a question of MMLU-Pro with
its five examples is encoded some twenty times. Here texts are cut where no token can cross the cut, every
distinct piece is encoded once, and the ids are joined.

Texts are cut after a single newline between two visible ASCII characters, and a long last piece besides before
a space and a letter near its end, so that what continues a text is joined to little. This is safe for byte-pair
models when no token of the vocabulary holds a newline, or a character and a space, and then such a character:
merges on the two sides then never meet, and pre-tokenizers of the GPT and SentencePiece families all end a word
there. `safe_to_cut` reads that off the
tokenizer; `PairEncoder` besides encodes a sample of the pairs of each call the long way, and falls back to
encoding whole texts, for good, if one differs.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

log = logging.getLogger(__name__)

Ids = list[int]
CUT = re.compile(r"(?<=[!-~]\n)(?=[!-~])")
# A newline, as byte-level and as SentencePiece vocabularies write it, and a visible ASCII character after it.
CROSSING = re.compile(r"[\nĊ][!-~]")
LOCAL_NORMALIZERS = {"Prepend", "Replace", "NFC", "NFKC", "Sequence"}
CUTTING_PRETOKENIZERS = {"ByteLevel", "Split", "Digits", "Metaspace", "Sequence"}
# A word of letters after a visible character and one space, and the space as vocabularies write it.
WORD_CUT = re.compile(r"[!-~](?= [A-Za-z])")
CROSSING_WORD = re.compile(r"[!-~][ Ġ▁][A-Za-z]")
LONG_PIECE, SHORT_END = 160, 40  # characters
SAMPLE = 12


def safe_to_cut(tokenizer: Any) -> bool:
    """Tell whether texts may be cut at `CUT` without changing their token ids.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerFast
        Others (slow ones, Mistral's own) give False.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    spec = json.loads(backend.to_str())
    model = spec["model"]
    return (
        model.get("type") == "BPE"
        and not model.get("dropout")
        and not model.get("continuing_subword_prefix")
        and not model.get("end_of_word_suffix")
        and _types(spec.get("normalizer")) <= LOCAL_NORMALIZERS
        and _types(spec.get("pre_tokenizer")) <= CUTTING_PRETOKENIZERS
        and not any(CROSSING.search(token) or CROSSING_WORD.search(token) for token in model["vocab"])
        and not any(added["lstrip"] or added["rstrip"] or "\n" in added["content"] for added in spec["added_tokens"])
    )


def _types(part: dict | None) -> set[str]:
    if part is None:
        return set()
    inner = part.get("normalizers") or part.get("pretokenizers") or []
    return {part["type"]}.union(*map(_types, inner))


def pieces(text: str) -> list[str]:
    """Cut a text at its safe places; joined, the pieces are the text."""
    parts = CUT.split(text)
    last = parts[-1]
    if len(last) > LONG_PIECE:
        ends = [found.end() for found in WORD_CUT.finditer(last, len(last) - LONG_PIECE, len(last) - SHORT_END)]
        if ends:
            parts[-1:] = [last[: ends[-1]], last[ends[-1] :]]
    return parts


class PairEncoder:
    """Encodes pairs as ``TemplateLM._encode_pair`` does.

    Parameters
    ----------
    encode : callable
        list of texts -> list of ids, with the special tokens that a whole text gets (lm-eval's ``tok_encode``).
    encode_plain : callable
        The same without special tokens.
    encode_pair : callable
        (context, continuation) -> (ids, ids): lm-eval's own way, for texts without content and for samples.
    cut : bool
        Texts may be cut (`safe_to_cut`).
    """

    def __init__(
        self,
        encode: Callable[[list[str]], list[Ids]],
        encode_plain: Callable[[list[str]], list[Ids]],
        encode_pair: Callable[[str, str], tuple[Ids, Ids]],
        cut: bool,
    ) -> None:
        self._encode, self._encode_plain, self._encode_pair = encode, encode_plain, encode_pair
        self._newline = encode_plain(["\n"])[0] if cut else []
        self.cut = cut

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]]:
        """Encode pairs with contexts that are not empty; equal contexts give one and the same list."""
        if self.cut:
            encoded = self._cut_pairs(pairs)
            if encoded is not None and self._holds(pairs, encoded):
                return encoded
            log.warning("cut texts gave other tokens than whole ones: texts are encoded whole from here on")
            self.cut = False
        return self._whole_pairs(pairs)

    def _holds(self, pairs: Sequence[tuple[str, str]], encoded: Sequence[tuple[Ids, Ids]]) -> bool:
        step = max(1, len(pairs) // SAMPLE)
        return all(
            (list(encoded[at][0]), list(encoded[at][1])) == self._encode_pair(*pairs[at]) for at in range(0, len(pairs), step)
        )

    def _whole_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]]:
        moved = [move_spaces(*pair) for pair in pairs]
        texts = dict.fromkeys(text for one, tail in moved for text in (one, one + tail) if one)
        ids = dict(zip(texts, self._encode(list(texts)) if texts else [], strict=True))
        return [
            (ids[one], ids[one + tail][len(ids[one]) :]) if one else self._encode_pair(*pair)
            for pair, (one, tail) in zip(pairs, moved, strict=True)
        ]

    def _cut_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]] | None:
        moved = [move_spaces(*pair) for pair in pairs]
        cut = {one: pieces(one) for one, _ in moved if one}
        # the continuation joins the last piece of its context
        tails = {(one, tail): pieces(cut[one][-1] + tail) for one, tail in moved if one}
        ids = self._encode_pieces(cut.values(), ((len(cut[one]) == 1, parts) for (one, _), parts in tails.items()))
        if ids is None:
            return None
        heads = {one: _join(ids, parts[:-1]) for one, parts in cut.items()}
        lasts = {one: ids[len(parts) == 1, parts[-1]] for one, parts in cut.items()}
        contexts = {one: heads[one] + lasts[one] for one in cut}
        ends = {
            (one, tail): _join(ids, parts, first=len(cut[one]) == 1)[len(lasts[one]) :] for (one, tail), parts in tails.items()
        }
        return [
            (contexts[one], ends[one, tail]) if one else self._encode_pair(*pair)
            for pair, (one, tail) in zip(pairs, moved, strict=True)
        ]

    def _encode_pieces(
        self, texts: Iterable[list[str]], tails: Iterable[tuple[bool, list[str]]]
    ) -> dict[tuple[bool, str], Ids] | None:
        """Encode every distinct piece once; keys say whether the piece begins a text. None if a cut fails."""
        firsts: dict[str, None] = {}
        others: dict[str, None] = {}
        for parts in texts:
            firsts[parts[0]] = None
            others.update(dict.fromkeys(parts[1:]))
        for begins, parts in tails:
            (firsts if begins else others)[parts[0]] = None
            others.update(dict.fromkeys(parts[1:]))
        newline = self._newline
        inner = self._encode_plain(["\n" + piece for piece in others]) if others else []
        if any(one[: len(newline)] != newline for one in inner):
            return None
        ids = {(False, piece): one[len(newline) :] for piece, one in zip(others, inner, strict=True)}
        begun = self._encode(list(firsts)) if firsts else []
        return ids | {(True, piece): one for piece, one in zip(firsts, begun, strict=True)}


def move_spaces(context: str, continuation: str) -> tuple[str, str]:
    """Move white space from the end of a context to its continuation, as lm-eval does.

    >>> move_spaces("Answer: ", "A")
    ('Answer:', ' A')
    """
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def _join(ids: dict[tuple[bool, str], Ids], parts: Sequence[str], first: bool = True) -> Ids:
    joined: Ids = []
    for piece in parts:
        joined += ids[first, piece]
        first = False
    return joined
