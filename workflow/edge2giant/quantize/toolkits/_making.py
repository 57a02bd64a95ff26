"""Model types that a toolkit cannot make a checkpoint of, as verdicts of a plan."""

from collections.abc import Collection, Mapping

from edge2giant.models.facts import ModelFacts
from edge2giant.quantize.preflight import Verdict
from edge2giant.schemes.limits import REFUSED


def refused(name: str, reason: str, hint: str) -> Verdict:
    return Verdict(REFUSED, name, reason, hint)


def check_known(toolkit: str, known: Collection[str], facts: ModelFacts, hint: str) -> list[Verdict]:
    """Refuse a model type that is not in a toolkit's own list."""
    if facts.model_type in known:
        return []
    return [refused("model-type", f"{toolkit} has no model type {facts.model_type}", hint)]


def check_unmade(toolkit: str, unmade: Mapping[str, str], facts: ModelFacts, hint: str) -> list[Verdict]:
    """Refuse a model type that a toolkit takes and does not bring to an end, for the reason in `unmade`."""
    reason = unmade.get(facts.model_type)
    return [refused("model-type", f"{toolkit}: {reason}", hint)] if reason else []
