"""Exact reading of printed numbers: their digits, the values that print as them, and their one-step misprints.

A printed number is text: ``67.40`` is more precise than ``67.4``. Nothing here passes through binary floating point.
"""

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

from edge2giant.errors import UserError

EXACT, TRUNCATED, ROUNDING, OFF = "rounded", "truncated", "rounding of unprinted digits", "off"
#: From best to worst.
ORDER = (EXACT, TRUNCATED, ROUNDING, OFF)


def number(text: str) -> Fraction:
    """The number that ``text`` prints, exactly."""
    try:
        return Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        raise UserError(f"'{text}' is not a printed number", hint="write digits, at most one point and a sign") from None


def decimals(text: str) -> int:
    """How many digits stand after the decimal point of ``text``."""
    return len(text.partition(".")[2])


def unit(text: str) -> Fraction:
    """The value of one step in the last printed digit of ``text``."""
    return Fraction(1, 10 ** decimals(text))


def prints(value: Fraction, text: str) -> str:
    """Say how ``text`` can be a print of ``value``: rounded, truncated towards zero, or not at all (off).

    A tie counts as rounded in both directions, because tools differ in it.
    """
    printed, step = number(text), unit(text)
    if abs(value - printed) <= step / 2:
        return EXACT
    same_side = printed == 0 or (value > 0) == (printed > 0)
    return TRUNCATED if same_side and abs(printed) <= abs(value) < abs(printed) + step else OFF


def agreement(recomputed: Fraction, text: str, slack: Fraction) -> str:
    """Compare a printed number with one recomputed from other printed numbers; one of `ORDER`.

    Parameters
    ----------
    slack : Fraction
        How far unprinted digits of these other numbers can shift the recomputed one.
    """
    direct = prints(recomputed, text)
    within = abs(recomputed - number(text)) <= unit(text) / 2 + slack
    return ROUNDING if direct == OFF and within else direct


def show(value: Fraction, places: int = 2, signed: bool = False) -> str:
    """Write ``value`` with ``places`` decimals (half up), with two more where it is not exact."""
    digits = places if (value * 10**places).denominator == 1 else places + 2
    shown = (Decimal(value.numerator) / value.denominator).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{shown:+f}" if signed and value else f"{shown:f}"


def digit_edits(text: str) -> list[str]:
    """Every text that differs from ``text`` in exactly one digit."""
    places = [place for place, old in enumerate(text) if old.isdigit()]
    edits = [text[:place] + new + text[place + 1 :] for place in places for new in "0123456789" if new != text[place]]
    return _as_written(edits)


def _as_written(edits: list[str]) -> list[str]:
    """Those that a table could print: none begins with a 0 before another digit."""
    return [edit for edit in edits if not re.match(r"[+-]?0\d", edit)]


def arrow_edits(text: str) -> list[str]:
    """The text with its sign turned round, for printed differences (an arrow in the paper)."""
    swap = {"+": "-", "-": "+"}
    return [swap[text[0]] + text[1:]] if text[0] in swap else []


def swap_edits(text: str) -> list[str]:
    """Every text with two neighbouring, different digits exchanged (``4.93`` for ``4.39``)."""
    pairs = [(place, text[place : place + 2]) for place in range(len(text) - 1)]
    return _as_written([text[:n] + pair[::-1] + text[n + 2 :] for n, pair in pairs if pair.isdigit() and pair[0] != pair[1]])
