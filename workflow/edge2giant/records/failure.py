"""Records of failed jobs."""

from dataclasses import dataclass
from typing import Literal

from edge2giant.specs.variant import Variant
from edge2giant.typed import Text


@dataclass(frozen=True)
class Failure:
    """`results/failures/<study>/<model>/<method>/<bits>/<phase>.json`: why a job failed.

    Without a benchmark it is about all of the variant.
    """

    schema: Literal[1]
    study: Text
    model: Text
    method: Text
    bits: Text
    benchmark: Text | None
    phase: Text
    reason: Text
    log: Text | None
    time: Text

    @classmethod
    def of(cls, study: str, variant: Variant, phase: str, reason: str, log: str | None, time: str) -> "Failure":
        """The failure of all of a variant."""
        return cls(1, study, variant.model, variant.method, variant.bits, None, phase, reason, log, time)

    @property
    def variant(self) -> Variant:
        return Variant(self.model, self.method, self.bits)
