"""Digits and arrows as the paper prints them; exact decimal arithmetic, so no digit is made up."""

import math
from decimal import ROUND_HALF_UP, Decimal

UP, DOWN = "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"


def fixed(value: float, digits: int = 2) -> str:
    """Round a score half up to a fixed number of digits, by its shortest decimal text."""
    text = str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
    return text.removeprefix("-") if Decimal(text) == 0 else text


def gigabytes(value: float | None) -> str:
    """Print a storage size without trailing zeros; an unknown size is a dash."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 7)}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def difference(value: str, baseline: str) -> str:
    """Signed difference of two printed numbers, so that a table always adds up to what it shows."""
    delta = Decimal(value) - Decimal(baseline)
    return f"{delta:+}" if delta else str(abs(delta))


def arrow(delta: str) -> tuple[str, str]:
    """A signed difference as arrow and digits (zero has no arrow), and its direction: `up`, `down` or `same`."""
    size = delta.lstrip("+-")
    number = Decimal(delta)
    if number > 0:
        return UP + size, "up"
    if number < 0:
        return DOWN + size, "down"
    return size, "same"
