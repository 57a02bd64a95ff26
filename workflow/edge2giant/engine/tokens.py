"""Token ids of (context, continuation) pairs, the same as lm-eval's, with every distinct piece of text encoded once.

lm-eval encodes ``context + continuation`` and ``context`` for every answer choice: a question of MMLU-Pro with
its five examples is encoded some twenty times. Here texts are cut where no token can cross the cut, every
distinct piece is encoded once, and the ids are joined.

Texts are cut after newlines between two visible ASCII characters. A long last piece is also cut before a space and a
letter near its end, so that a continuation is joined to a short text. This is safe for byte-pair models when no token of the
vocabulary holds a newline (or a character and a space) followed by such a character: merges on the two sides then never meet,
and the pre-tokenizers of the GPT and SentencePiece families end a word there. How they split several newlines depends on whether
a character follows; such a piece is encoded with one, whose token is dropped. `safe_to_cut` checks this on the tokenizer. In
addition, `PairEncoder.begin` encodes a sample of each call's pairs the long way; if one differs, texts are encoded whole from
then on.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

log = logging.getLogger(__name__)

Ids = list[int]
# Whether a piece begins a text, whether another one follows, and the piece.
Key = tuple[bool, bool, str]
# A safe place to cut, if a visible character stands before it.
CUT = re.compile(r"\n+(?=[!-~])")
# The end of a piece whose tokens depend on what follows, and something that may follow.
NEWLINES, FOLLOWER = "\n\n", "A"
# A newline, as byte-level and as SentencePiece vocabularies write it, and a visible ASCII character after it.
CROSSING = re.compile(r"[\nĊ][!-~]")
LOCAL_NORMALIZERS = {"Prepend", "Replace", "NFC", "NFKC", "Sequence"}
CUTTING_PRETOKENIZERS = {"ByteLevel", "Split", "Digits", "Metaspace", "Sequence"}
# A word of letters after a visible character and one space, and the space as vocabularies write it.
WORD_CUT = re.compile(r"[!-~](?= [A-Za-z])")
CROSSING_WORD = re.compile(r"[!-~][ Ġ▁][A-Za-z]")
LONG_PIECE, SHORT_END = 160, 40  # characters
SAMPLE = 12
# Requests of the first portion and of the largest.
FIRST_PORTION, LARGEST_PORTION = 64, 1024


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
    ends = [found.end() for found in CUT.finditer(text, 1) if "!" <= text[found.start() - 1] <= "~"]
    parts = [text[start:end] for start, end in pairwise([0, *ends, len(text)])]
    last = parts[-1]
    if len(last) > LONG_PIECE:
        ends = [found.end() for found in WORD_CUT.finditer(last, len(last) - LONG_PIECE, len(last) - SHORT_END)]
        if ends:
            parts[-1:] = [last[: ends[-1]], last[ends[-1] :]]
    return parts


def portions(pairs: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Cut sorted pairs into growing portions; pairs with one context stay together.

    The engine computes a portion while the next one is encoded; the first is small so that it starts at once.
    """
    start, size = 0, FIRST_PORTION
    while start < len(pairs):
        end = min(start + size, len(pairs))
        while end < len(pairs) and pairs[end][0] == pairs[end - 1][0]:
            end += 1
        yield list(pairs[start:end])
        start, size = end, min(2 * size, LARGEST_PORTION)


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
        self._newline, follower = encode_plain(["\n", "\n" + FOLLOWER]) if cut else ([], [])
        self._follower = follower[len(self._newline) :]
        self._ids: dict[Key, Ids] = {}  # of the pieces of this call
        self.cut = cut

    def begin(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Begin a call: drop the texts of the last one, and check on a sample that texts may be cut."""
        self._ids = {}
        chosen = pairs[:: max(1, len(pairs) // SAMPLE)]
        if self.cut and self._cut_pairs(chosen) != [self._encode_pair(*pair) for pair in chosen]:
            self._stop_cutting()

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]]:
        """Encode pairs with contexts that are not empty; equal contexts give one and the same list."""
        if self.cut:
            encoded = self._cut_pairs(pairs)
            if encoded is not None:
                return encoded
            self._stop_cutting()
        return self._whole_pairs(pairs)

    def _stop_cutting(self) -> None:
        log.warning("cut texts gave other tokens than whole ones: texts are encoded whole from here on")
        self.cut = False

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
        cut = {one: _keys(pieces(one)) for one in dict.fromkeys(one for one, _ in moved if one)}
        # the continuation joins the last piece of its context
        tails = {(one, tail): _keys(pieces(cut[one][-1][2] + tail), len(cut[one]) == 1) for one, tail in moved if one}
        if not self._encode_pieces(key for keys in (*cut.values(), *tails.values()) for key in keys):
            return None
        lasts = {one: self._ids[keys[-1]] for one, keys in cut.items()}
        contexts = {one: self._join(keys[:-1]) + lasts[one] for one, keys in cut.items()}
        ends = {(one, tail): self._join(keys)[len(lasts[one]) :] for (one, tail), keys in tails.items()}
        return [
            (contexts[one], ends[one, tail]) if one else self._encode_pair(*pair)
            for pair, (one, tail) in zip(pairs, moved, strict=True)
        ]

    def _join(self, keys: Sequence[Key]) -> Ids:
        return list(chain.from_iterable(map(self._ids.__getitem__, keys)))

    def _encode_pieces(self, keys: Iterable[Key]) -> bool:
        """Encode every piece that is new; False if a cut fails."""
        new = [key for key in dict.fromkeys(keys) if key not in self._ids]
        for begins, encode in ((True, self._encode), (False, self._encode_plain)):
            some = [key for key in new if key[0] is begins]
            before, after = [] if begins else self._newline, self._follower
            followed = [key[1] and key[2].endswith(NEWLINES) for key in some]
            texts = [("" if begins else "\n") + key[2] + FOLLOWER * more for key, more in zip(some, followed, strict=True)]
            for key, more, ids in zip(some, followed, encode(texts) if texts else [], strict=True):
                end = len(ids) - len(after) * more
                if ids[: len(before)] != before or (more and ids[end:] != after):
                    return False
                self._ids[key] = ids[len(before) : end]
        return True


def _keys(parts: Sequence[str], begins: bool = True) -> list[Key]:
    last = len(parts) - 1
    return [(begins and not at, at < last, part) for at, part in enumerate(parts)]


def move_spaces(context: str, continuation: str) -> tuple[str, str]:
    """Move white space from the end of a context to its continuation, as lm-eval does.

    >>> move_spaces("Answer: ", "A")
    ('Answer:', ' A')
    """
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation
