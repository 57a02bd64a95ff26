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
    value = float(found.group(1))
    return (value if LOWEST <= value <= HIGHEST else None), found.group()
