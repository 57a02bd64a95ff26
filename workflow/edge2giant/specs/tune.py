"""What decides the weights of a model that is tuned from another one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NoiseSpec:
    """Uniform noise on the linear layers of decoder blocks.

    Parameters
    ----------
    bits, group_size : int
        Grid that the source lies on: a least value and 2^bits - 1 equal steps for each group of input channels.
    share : float
        Most that is added or subtracted, in steps.
    """

    bits: int
    group_size: int
    share: float


@dataclass(frozen=True)
class DistillationSpec:
    """AdamW on the divergence of the source's next-token distributions from the tuned model's.

    Parameters
    ----------
    steps, windows : int
        Updates, and windows of text in each.
    length : int
        Tokens of a window.
    learning_rate : float
        The largest: reached after `warmup` steps, then lowered to 0 along a cosine.
    heldout : int
        Last windows of each text that are only measured on.
    seed : int
        Of the noise and of the order of windows.
    """

    steps: int
    windows: int
    length: int
    learning_rate: float
    warmup: int
    heldout: int
    seed: int


@dataclass(frozen=True)
class TuneSpec:
    """What decides the weights.

    Parameters
    ----------
    model, repo : str
        Name and id of the model that is made.
    source : str
        Name of the model that it is made from.
    texts : tuple of str
        Calibration sets whose documents are read, in this order.
    licence : str
        Of the model that is made, for its card.
    environment : str
        `<stack>/<name>` of the environment that it runs in.
    result_version : int
        `tune.RESULT_VERSION`.
    """

    model: str
    repo: str
    source: str
    texts: tuple[str, ...]
    noise: NoiseSpec
    distillation: DistillationSpec
    licence: str
    environment: str
    result_version: int
