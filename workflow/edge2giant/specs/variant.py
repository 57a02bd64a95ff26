"""Names of what is measured: a model under a method and bits, and its score on a benchmark."""

import re
from dataclasses import dataclass

from edge2giant.errors import UserError

BITS = re.compile(r"w(\d+)a(\d+)")


@dataclass(frozen=True, order=True)
class Variant:
    """A model under a method and bits: what a checkpoint holds and a table row shows.

    Parameters
    ----------
    model : str
        Entry of `config/models.yaml`.
    method : str
        Method with its toolkit, such as `gptq-llmcompressor`; `fp16` for the unquantized model.
    bits : str
        Width of weights and activations, such as `w4a16`.
    """

    model: str
    method: str
    bits: str

    @property
    def method_bits(self) -> str:
        return f"{self.method}/{self.bits}"

    @property
    def path(self) -> str:
        """The folders below `cells/`, `checkpoints/` and the like."""
        return f"{self.model}/{self.method}/{self.bits}"

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of a weight and of an activation."""
        return widths(self.bits)


def widths(bits: str) -> tuple[int, int]:
    """Weight and activation bits of a name such as `w4a16`.

    Raises
    ------
    UserError
        If the name has another form.
    """
    match = BITS.fullmatch(bits)
    if not match:
        raise UserError(f"bits '{bits}' are not of the form w4a16")
    return int(match[1]), int(match[2])


@dataclass(frozen=True, order=True)
class Cell:
    """The score of one variant on one benchmark in one study."""

    study: str
    variant: Variant
    benchmark: str

    @property
    def path(self) -> str:
        """Path of the record below the folder of results."""
        return f"{self.study}/cells/{self.variant.path}/{self.benchmark}.json"
