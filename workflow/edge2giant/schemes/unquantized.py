"""16 bits: the model as it is."""

from dataclasses import dataclass
from typing import ClassVar, Self

from edge2giant.schemes.scheme import BY_TENSOR, Scheme


@dataclass(frozen=True)
class SixteenBits(Scheme):
    """Weights and activations in the model's own 16-bit type."""

    format: str = "none"
    bits: int = 16
    group_size: int = BY_TENSOR

    limits: ClassVar = ()

    @property
    def label(self) -> str:
        return "16 bits"

    def bytes(self, rows: int, columns: int) -> int:
        return 2 * rows * columns

    @classmethod
    def of_config(cls, config: dict) -> Self | None:
        return None if config else cls()


KINDS = (SixteenBits,)
