"""The rating in a judge's text."""

import re

# FastChat 0.2.36 (llm_judge/common.py) looks for a number in double brackets, else in single ones; the
# first counts.
DOUBLE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
SINGLE = re.compile(r"\[(\d+\.?\d*)\]")
LOWEST, HIGHEST = 1.0, 10.0


def parse(judgment: str) -> tuple[float | None, str | None]:
    """Find the rating of a judgment.

    FastChat takes any number and gives -1 where there is none. Here a number outside the scale of 1 to 10
    that the prompt sets (a year in brackets, say) is no rating either; its text is kept.

    Parameters
    ----------
    judgment : str
        The judge's whole text.

    Returns
    -------
    rating : float or None
        Rating from 1 to 10; None if the text holds none.
    text : str or None
        The brackets that were found, as they stand in the text.
    """
    found = DOUBLE.search(judgment) or SINGLE.search(judgment)
    if not found:
        return None, None
    value = float(found.group(1))
    return (value if LOWEST <= value <= HIGHEST else None), found.group()
