"""Divergence of a model from another on text: windows as llama.cpp's perplexity tool cuts them, and what is kept of each place.

numpy alone, for the jobs that compute the places and for those that score them.
"""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from edge2giant.errors import UserError

REFERENCE, PLACES = "reference.npz", "places.npz"
LEAST_WINDOWS = 2  # one alone gives no error
HALF = float(np.log(0.5))


def first_scored(window: int) -> int:
    """First token of a window that is scored: each has half a window before it, as in llama.cpp's tool."""
    return window // 2 + 1


def cut(tokens: Sequence[int], window: int, bos: int | None, limit: int | None = None) -> list[list[int]]:
    """Cut tokens into whole windows, one after another; BOS, where the model has one, replaces the first token of each.

    As llama.cpp's `llama-perplexity` does, which also puts BOS before the whole text.

    >>> cut([5, 6, 7, 8, 9], 3, bos=1)
    [[1, 5, 6], [1, 8, 9]]

    Raises
    ------
    UserError
        Fewer than two windows.
    """
    whole = list(tokens) if bos is None else [bos, *tokens]
    count = len(whole) // window
    if count < LEAST_WINDOWS:
        raise UserError(f"the text has {len(whole)} tokens, fewer than {LEAST_WINDOWS} windows of {window}", "divergence")
    found = [whole[at * window : (at + 1) * window] for at in range(min(count, limit or count))]
    return found if bos is None else [[bos, *one[1:]] for one in found]


@dataclass(frozen=True)
class Arrays:
    """Arrays of one file."""

    def save(self, path: Path) -> None:
        """Write them as `.npz`; the same arrays give the same bytes."""
        np.savez(path, **{one.name: getattr(self, one.name) for one in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read them.

        Raises
        ------
        UserError
            If the file is missing or holds other arrays.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                return cls(**{one.name: found[one.name] for one in fields(cls)})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"cannot be read ({error})", path, "delete its folder and run again") from None


@dataclass(frozen=True)
class Reference(Arrays):
    """What the unquantized model gives the next token at each place.

    Parameters
    ----------
    tokens : ndarray of int32
        The windows, shape (windows, window).
    ids, logprobs : ndarray of int32, ndarray of float32
        The most likely tokens and their log-probabilities in nats, shape (windows, places, kept).
    rest : ndarray of float32
        Log-probability of all others together, shape (windows, places); minus infinity where there are none.
    own, best : ndarray of float32, ndarray of int32
        Log-probability of the token that follows in the text, and the most likely token; shape (windows, places).
    """

    tokens: np.ndarray
    ids: np.ndarray
    logprobs: np.ndarray
    rest: np.ndarray
    own: np.ndarray
    best: np.ndarray


@dataclass(frozen=True)
class Compared(Arrays):
    """A model beside the unquantized one, place by place; all of shape (windows, places).

    Parameters
    ----------
    tokens : ndarray of int32
        The windows, shape (windows, window).
    kl : ndarray of float64
        Divergence from the unquantized model in nats, all tokens but the kept ones taken as one: not more than the true one.
    own, base : ndarray of float32
        Log-probability of the token that follows, and what the unquantized model gives it.
    same_top : ndarray of bool
        Whether both have the same most likely token.
    """

    tokens: np.ndarray
    kl: np.ndarray
    own: np.ndarray
    base: np.ndarray
    same_top: np.ndarray

    @property
    def halved(self) -> np.ndarray:
        """Whether the probability of the token that follows fell by half or more."""
        return self.own.astype(float) - self.base <= HALF


def reference_of(tokens: Sequence[Sequence[int]], places: Iterable) -> Reference:
    """Put the places of all windows together (`engine.distributions.Places`, their chosen tokens the most likely ones)."""
    found = list(places)
    kinds = {"ids": np.int32, "logprobs": np.float32, "rest": np.float32, "own": np.float32, "best": np.int32}
    stacked = {name: np.stack([getattr(one, name) for one in found]).astype(kind) for name, kind in kinds.items()}
    made = Reference(np.array(tokens, dtype=np.int32), **stacked)
    _require_numbers(made.logprobs, made.own)
    return made


def compare(reference: Reference, places: Iterable) -> Compared:
    """Compare a model's places, their chosen tokens those of the reference, window by window.

    Raises
    ------
    UserError
        A log-probability is not finite.
    """
    found = list(places)
    own, best = (np.stack([getattr(one, name) for one in found]) for name in ("own", "best"))
    kl = np.stack([_kl(reference, at, one) for at, one in enumerate(found)])
    _require_numbers(kl, own)
    return Compared(reference.tokens, kl, own.astype(np.float32), reference.own, best == reference.best)


def _kl(reference: Reference, at: int, places) -> np.ndarray:
    """Sum of p (ln p - ln q) over the kept tokens and the rest, shape (places,)."""
    chosen, rest = reference.logprobs[at].astype(float), reference.rest[at].astype(float)
    found = np.sum(np.exp(chosen) * (chosen - places.logprobs), axis=1)
    more = rest > -np.inf  # p ln p is 0 where there are no others
    found[more] += np.exp(rest[more]) * (rest[more] - places.rest[more])
    return found


def _require_numbers(*arrays: np.ndarray) -> None:
    wrong = sum(int((~np.isfinite(one)).sum()) for one in arrays)
    if wrong:
        what = f"{wrong} of {sum(one.size for one in arrays)} log-probabilities are not finite"
        raise UserError(what, "divergence", "the checkpoint overflows: run it in bfloat16 or float32, or quantize it again")
