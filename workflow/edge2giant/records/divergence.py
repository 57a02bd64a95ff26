"""Record of the unquantized model's distributions, which its variants are compared with."""

from dataclasses import dataclass
from typing import Literal

from edge2giant.typed import Positive, Sha256, Text


@dataclass(frozen=True)
class ReferenceRecord:
    """`results/<study>/references/<model>/<benchmark>.json`: where the distributions lie, and what they are.

    Parameters
    ----------
    fingerprint : str
        Their entry of the answer cache.
    sha256 : str
        Of their file.
    bytes : int
    """

    schema: Literal[1]
    study: Text
    model: Text
    benchmark: Text
    fingerprint: Sha256
    sha256: Sha256
    bytes: Positive
