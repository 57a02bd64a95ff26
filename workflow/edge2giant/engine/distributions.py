"""What a model gives the next token at many places: chosen tokens' log-probabilities, and all other tokens as one.

Engines and vLLM's workers compute it by `of_logits`; what comes out of an engine is `Places`, for one window of text.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

# Columns of `of_logits` before those of the chosen tokens.
OWN, BEST, CHOSEN = 0, 1, 2


class Asked(NamedTuple):
    """Which tokens are chosen at each place.

    Attributes
    ----------
    most : int
        So many of the most likely ones; 0 where `ids` names them.
    ids : ndarray or None
        Token ids, shape (places, chosen).
    """

    most: int = 0
    ids: np.ndarray | None = None

    def as_json(self) -> dict[str, Any]:
        """What travels to a worker: small integers, and ids as bytes."""
        if self.ids is None:
            return {"most": self.most}
        return {"most": 0, "chosen": self.ids.shape[1], "ids": np.ascontiguousarray(self.ids, dtype=np.int32).tobytes()}

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> "Asked":
        if content["most"]:
            return cls(content["most"])
        return cls(0, np.frombuffer(content["ids"], dtype=np.int32).reshape(-1, content["chosen"]))


@dataclass(frozen=True)
class Places:
    """Log-probabilities, in nats, at the places of one window.

    Parameters
    ----------
    own : ndarray
        Of the token that follows in the text, shape (places,).
    best : ndarray of int
        The most likely token, shape (places,).
    ids, logprobs : ndarray
        Chosen tokens and their log-probabilities, shape (places, chosen).
    rest : ndarray
        Of all other tokens together, shape (places,); minus infinity where there are none.
    """

    own: np.ndarray
    best: np.ndarray
    ids: np.ndarray
    logprobs: np.ndarray
    rest: np.ndarray

    @classmethod
    def of_columns(cls, ids: np.ndarray, logprobs: np.ndarray) -> "Places":
        """Split the columns that `of_logits` gives."""
        return cls(logprobs[:, OWN], ids[:, BEST], ids[:, CHOSEN:-1], logprobs[:, CHOSEN:-1], logprobs[:, -1])


def of_logits(logits: Any, own: Any, asked: Asked, first: int = 0) -> tuple[Any, Any]:
    """Token ids and log-probabilities of each row, columns: own token, best one, chosen ones, all others together.

    Parameters
    ----------
    logits : tensor, [rows, vocabulary]
    own : tensor of int64, [rows]
        The token that follows.
    asked : Asked
    first : int
        The place of the first row among those of `asked.ids`.

    Returns
    -------
    tensor of int64, tensor of float32
        Both [rows, 3 + chosen]; the id of all others is -1.
    """
    import torch

    logits = logits.float()
    whole = torch.logsumexp(logits, dim=-1, keepdim=True)
    if asked.ids is None:
        chosen = logits.topk(min(asked.most, logits.shape[-1]), dim=-1).indices
    else:
        part = torch.from_numpy(asked.ids[first : first + len(logits)].astype(np.int64))
        chosen = part.to(logits.device)
    best = logits.argmax(dim=-1, keepdim=True)
    ids = torch.cat([own[:, None], best, chosen], dim=1)
    found = logits.gather(1, ids) - whole
    others = logits.scatter(1, chosen, float("-inf"))
    rest = torch.logsumexp(others, dim=-1, keepdim=True) - whole
    return torch.cat([ids, torch.full_like(best, -1)], dim=1), torch.cat([found, rest], dim=1)
