"""The checks of a checkpoint: each has a value and a limit."""

import math

from edge2giant.errors import UserError


class Checks(list):
    """The checks done so far: name, value, limit and whether it passed."""

    def add(self, name: str, value, limit, passed: bool) -> None:
        self.append({"check": name, "value": value, "limit": limit, "passed": bool(passed)})

    def none(self, name: str, wrong) -> None:
        """Nothing may be wrong; the first three names are the value."""
        self.add(name, sorted(wrong)[:3] or 0, 0, not wrong)

    def below(self, name: str, value: float, limit: float) -> None:
        self.add(name, rounded(value), limit, math.isfinite(value) and value <= limit)

    def above(self, name: str, value: float, limit: float) -> None:
        self.add(f"{name}, at least", rounded(value), limit, math.isfinite(value) and value >= limit)


def rounded(value: float) -> float | None:
    """Six significant digits, or None for what JSON cannot say."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def require(checks: Checks, where: object) -> None:
    """Raise if a check failed.

    Raises
    ------
    UserError
        Naming the failed checks with value and limit.
    """
    failed = [
        f"{c['check']} is {'not finite' if c['value'] is None else c['value']} (limit {c['limit']})"
        for c in checks
        if not c["passed"]
    ]
    if failed:
        raise UserError(
            f"the checkpoint failed its validation and is not written: {'; '.join(failed[:4])}",
            where,
            "read the toolkit's log, then check the recipe, the calibration set and the toolkit's version",
        )
