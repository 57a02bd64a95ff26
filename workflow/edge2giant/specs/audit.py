"""What the audit of the printed tables needs of the configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QuestionSetSpec:
    """A set of questions that a printed column may come from.

    Parameters
    ----------
    name, label : str
    parts : tuple of (int, str)
        Questions and chance level of each subtask; the level as an exact fraction, such as `1/4`.
    """

    name: str
    label: str
    parts: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class AuditedColumn:
    """A benchmark's column in the printed tables.

    Parameters
    ----------
    benchmark : str
    sets : tuple of QuestionSetSpec
        Sets to compare it with.
    untestable : str
        Why there are none; empty where there are.
    """

    benchmark: str
    sets: tuple[QuestionSetSpec, ...] = ()
    untestable: str = ""


@dataclass(frozen=True)
class ModelSize:
    """Size of a model.

    Parameters
    ----------
    nominal_billions : str
        Parameters in 10^9 as the model's name gives them, as an exact decimal.
    parameters : int
    """

    nominal_billions: str
    parameters: int


@dataclass(frozen=True)
class AuditSpec:
    """What the audit needs beside the printed numbers.

    Parameters
    ----------
    models : dict of str to ModelSize
    questions : dict of str to int
        Size of each benchmark's public set.
    columns : tuple of AuditedColumn
        In the order of `config/published/grids.yaml`.
    """

    models: dict[str, ModelSize]
    questions: dict[str, int]
    columns: tuple[AuditedColumn, ...]
