"""The smallest change of a printed number that would make a broken rule hold, if there is exactly one.

Tried are one changed digit and one turned arrow, in every number that the rule reads; only where none of
these helps, two neighbouring digits exchanged. A change counts only if the rule then holds on the printed
digits and no other rule of that number agrees worse. The change that resolves most broken rules is the
correction; where several resolve equally many there is none.
"""

from collections import ChainMap, defaultdict
from dataclasses import dataclass

from edge2giant.audit.constraints import Constraint, RuleOutcome, Texts
from edge2giant.audit.exact import EXACT, OFF, ORDER, TRUNCATED, arrow_edits, digit_edits, swap_edits
from edge2giant.audit.printed import Key

STEPS = ({"one arrow": arrow_edits, "one digit": digit_edits}, {"two digits exchanged": swap_edits})


@dataclass(frozen=True)
class Correction:
    """A change of one printed number, by one of `STEPS`, and the names of the broken rules that hold after it."""

    key: Key
    before: str
    after: str
    step: str
    resolves: tuple[str, ...]


class Rulebook:
    """All rules and printed numbers, with the present outcome of each rule."""

    def __init__(self, rules: list[Constraint], texts: Texts):
        self.rules, self.texts = rules, texts
        self.now: dict[str, RuleOutcome] = {rule.name: rule.check(texts) for rule in rules}
        self.by_key: dict[Key, list[Constraint]] = defaultdict(list)
        for rule in rules:
            for key in dict.fromkeys(rule.keys):
                self.by_key[key].append(rule)

    def corrections(self, rule: Constraint) -> list[Correction]:
        """The one-step changes that resolve `rule` and most other rules, and break none: the correction, if there is just one."""
        for steps in STEPS:
            found = [
                change
                for key in dict.fromkeys(rule.keys)
                for step, edits in steps.items()
                for after in edits(self.texts[key])
                if (change := self._try(rule, key, after, step))
            ]
            if found:
                most = max(len(change.resolves) for change in found)
                return sorted((c for c in found if len(c.resolves) == most), key=lambda c: (c.key, c.after))
        return []

    def _try(self, rule: Constraint, key: Key, after: str, step: str) -> Correction | None:
        texts = ChainMap({key: after}, self.texts)
        resolved = []
        for other in self.by_key[key]:
            old, new = self.now[other.name].level, other.check(texts).level
            if ORDER.index(new) > ORDER.index(old) or (other is rule and new not in (EXACT, TRUNCATED)):
                return None
            if old == OFF and new != OFF:
                resolved.append(other.name)
        return Correction(key, self.texts[key], after, step, tuple(sorted(resolved)))
