"""Limits of engines: what they do not load, and what they compute otherwise than the recipe says."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge2giant.errors import UserError

if TYPE_CHECKING:
    from edge2giant.schemes.scheme import Scheme

REFUSED, DEGRADED, NEEDS = "refused", "degraded", "needs"
VLLM, HF = ("vllm", "vllm-stock"), ("hf",)


@dataclass(frozen=True)
class Device:
    """Hardware as far as limits depend on it: `cpu`, or `cuda` with its compute capability."""

    kind: str
    capability: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> "Device":
        """Read 'cpu', or 'cuda:8.9'.

        Raises
        ------
        UserError
            If it is neither.
        """
        match = re.fullmatch(r"cuda:(\d+)\.(\d+)", text)
        if text != "cpu" and not match:
            raise UserError(f"unknown device '{text}'", hint="write cpu, or cuda:<compute capability> such as cuda:8.9")
        return cls("cuda", (int(match[1]), int(match[2]))) if match else cls("cpu")

    def below(self, *capability: int) -> bool:
        return self.kind == "cuda" and self.capability < capability


@dataclass(frozen=True)
class Limit:
    """One known limit of an engine.

    Parameters
    ----------
    engines : tuple of str
    since : str
        Release of the engine since which it holds (of transformers for 'hf').
    level : {'refused', 'degraded', 'needs'}
        It will not work; it works in another way than the recipe says; it works if something is installed.
    reason, hint : str
    learnt : {'run', 'source'}
        Tried by this project, or read in the engine's code at that release.
    packages : tuple of str
        Distributions that make it work, for 'needs'.
    """

    name: str
    engines: tuple[str, ...]
    since: str
    applies: Callable[["Scheme", Device], bool]
    level: str
    reason: str
    hint: str
    learnt: str
    packages: tuple[str, ...] = ()
