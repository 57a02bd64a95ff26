"""The rating in a judge's text."""

import re

# FastChat 0.2.36 (llm_judge/common.py) looks for a number in double brackets, else in single ones; the
# first counts.
DOUBLE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
SINGLE = re.compile(r"\[(\d+\.?\d*)\]")
LOWEST, HIGHEST = 1.0, 10.0


def parse(judgment: str) -> tuple[float | None, str | None]:
    """The rating of a judgment from 1 to 10, if it holds one, and the brackets that were found as they stand in the text.

    FastChat takes any number and gives -1 where there is none. Here a number outside the scale that the prompt sets (a year in
    brackets, say) is no rating either; its text is kept.
    """
    found = DOUBLE.search(judgment) or SINGLE.search(judgment)
    if not found:
        return None, None
    return _on_scale(found.group(1)), found.group()


def last(judgment: str) -> float | None:
    """The last rating of a judgment, in the kind of brackets that `parse` reads; None where it holds none."""
    pattern = DOUBLE if DOUBLE.search(judgment) else SINGLE
    values = [value for text in pattern.findall(judgment) if (value := _on_scale(text)) is not None]
    return values[-1] if values else None


def _on_scale(text: str) -> float | None:
    value = float(text)
    return value if LOWEST <= value <= HIGHEST else None
