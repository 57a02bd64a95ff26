"""What an engine refuses: requests that ask nothing, and answers that are no numbers."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from edge2giant.errors import UserError

OVERFLOW = "set dtype to bfloat16 or float32, which hold larger numbers than float16; if it stays, a weight is not finite"
EMPTY = "lm-eval gives no score to an empty text: correct the task or its data"


class NotFiniteError(UserError):
    """The model computes what is no number."""


def require_finite(values: Iterable[float], what: str = "log-likelihoods") -> None:
    """Refuse log-likelihoods of which one is NaN or infinite.

    Raises
    ------
    NotFiniteError
        With their count.
    """
    values = list(values)
    if wrong := sum(not math.isfinite(value) for value in values):
        raise NotFiniteError(f"{wrong:,} of {len(values):,} {what} are not finite", hint=OVERFLOW)


def refuse_empty(requests: Sequence[Any]) -> None:
    """Refuse requests whose last text, the continuation or the prompt, is empty.

    Raises
    ------
    UserError
        Naming task and document of the first.
    """
    for request in requests:
        texts = [one for one in request.args if isinstance(one, str)]
        if not texts[-1]:
            raise UserError(f"{place(request)}: its {'continuation' if len(texts) > 1 else 'prompt'} is empty", hint=EMPTY)


def refuse_pair(requests: Sequence[Any], pair: tuple[str, str] | None, tokens: int, limit: int) -> None:
    """Refuse a continuation without a token, or with more than the model takes.

    Parameters
    ----------
    requests : sequence of lm_eval.api.instance.Instance
        Those of the call, to name the one that asks for the pair.
    """
    if 0 < tokens <= limit:
        return
    named = next((place(one) for one in requests if tuple(one.args) == tuple(pair or ())), "a request")
    if not tokens:
        raise UserError(f"{named}: its continuation has no token of its own", hint=EMPTY)
    raise UserError(f"{named}: its continuation has {tokens} tokens, the model takes {limit}", hint="raise max_model_len")


def refuse_long_answers(requests: Sequence[Any], limit: int, default: int) -> None:
    """Refuse prompts whose answer may have as many tokens as the model takes, which leaves none for the prompt.

    Parameters
    ----------
    requests : sequence of lm_eval.api.instance.Instance
        Prompts, each with lm-eval's settings of its answer.
    limit : int
        Tokens that the model takes.
    default : int
        Tokens of an answer where a task sets none.
    """
    for request in requests:
        asked = request.args[1].get("max_gen_toks") or default
        if asked >= limit:
            what = f"{place(request)}: its answer may have {asked} tokens, the model takes {limit} with the prompt"
            raise UserError(what, hint="raise max_model_len where the model has more positions, or leave the benchmark out")


def place(request: Any) -> str:
    """Name a request: its task and document."""
    return f"task {request.task_name or '(no name)'}, document {request.doc_id}"
