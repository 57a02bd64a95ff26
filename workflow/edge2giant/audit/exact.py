"""Exact reading of printed numbers: their digits, the values that print as them, and their one-step misprints.

A printed number is text: ``67.40`` is more precise than ``67.4``. Nothing here passes through binary floating point.
"""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

from edge2giant.errors import UserError

EXACT, TRUNCATED, ROUNDING, OFF = "rounded", "truncated", "rounding of unprinted digits", "off"
#: From best to worst; corrections must not make any agreement worse.
ORDER = (EXACT, TRUNCATED, ROUNDING, OFF)


def number(text: str) -> Fraction:
    """Return the number that ``text`` prints, exactly.

    Raises
    ------
    UserError
        If ``text`` is not a finite decimal number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise UserError(f"'{text}' is not a printed number", hint="write digits, at most one point and a sign")
    return Fraction(value)


def decimals(text: str) -> int:
    """Return how many digits stand after the decimal point of ``text``."""
    return len(text.partition(".")[2])


def unit(text: str) -> Fraction:
    """Return the value of one step in the last printed digit of ``text``."""
    return Fraction(1, 10 ** decimals(text))


def prints(value: Fraction, text: str) -> str:
    """Say how ``text`` can be a print of ``value``: rounded, truncated towards zero, or not at all (off).

    A tie counts as rounded in both directions, because tools differ in it.
    """
    printed, step = number(text), unit(text)
    if abs(value - printed) <= step / 2:
        return EXACT
    size, shown = abs(value), abs(printed)
    same_side = printed == 0 or (value > 0) == (printed > 0)
    return TRUNCATED if same_side and shown <= size < shown + step else OFF


def agreement(recomputed: Fraction, text: str, slack: Fraction) -> str:
    """Compare a printed number with one recomputed from other printed numbers.

    Parameters
    ----------
    recomputed : Fraction
        Value computed from the printed inputs.
    text : str
        The printed result.
    slack : Fraction
        How far the recomputed value may lie from the one that the authors computed before printing,
        given that the inputs are printed with finite digits.

    Returns
    -------
    str
        ``rounded`` or ``truncated`` if the printed inputs give it directly, ``rounding of unprinted digits``
        if some unprinted digits of the inputs give it, else ``off``.
    """
    direct = prints(recomputed, text)
    if direct != OFF:
        return direct
    return ROUNDING if abs(recomputed - number(text)) <= unit(text) / 2 + slack else OFF


def show(value: Fraction, places: int = 2, signed: bool = False) -> str:
    """Write ``value`` with ``places`` decimals (half up), plus one more digit where it is not exact."""
    sign = "-" if value < 0 else ("+" if signed and value > 0 else "")
    exact_here = (value * 10**places).denominator == 1
    digits = places if exact_here else places + 2
    scaled = int(abs(value) * 10**digits + Fraction(1, 2))
    whole, rest = divmod(scaled, 10**digits)
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"


def digit_edits(text: str) -> list[str]:
    """Return every text that differs from ``text`` in exactly one digit (same length, same sign)."""
    edits = []
    for place, old in enumerate(text):
        if old.isdigit():
            edits += [text[:place] + new + text[place + 1 :] for new in "0123456789" if new != old]
    return edits


def arrow_edits(text: str) -> list[str]:
    """Return the text with its sign turned round, for printed differences (an arrow in the paper)."""
    swap = {"+": "-", "-": "+"}
    return [swap[text[0]] + text[1:]] if text and text[0] in swap else []


def swap_edits(text: str) -> list[str]:
    """Return every text with two neighbouring, different digits exchanged (``4.93`` for ``4.39``)."""
    edits = []
    for place in range(len(text) - 1):
        pair = text[place : place + 2]
        if pair.isdigit() and pair[0] != pair[1]:
            edits.append(text[:place] + pair[::-1] + text[place + 2 :])
    return edits
