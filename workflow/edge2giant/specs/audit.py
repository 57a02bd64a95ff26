"""What the audit of the printed tables needs of the configuration."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class QuestionSetSpec:
    """A set of questions that a printed column may come from.

    `parts` holds questions and chance level of each subtask; the level as an exact fraction, such as `1/4`.
    """

    name: str
    label: str
    parts: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class AuditedColumn:
    """A benchmark's column in the printed tables, with the sets to compare it with, or why there are none."""

    benchmark: str
    sets: tuple[QuestionSetSpec, ...] = ()
    untestable: str = ""


@dataclass(frozen=True)
class ModelSize:
    """Size of a model: 10^9 parameters as its name gives them, as an exact decimal, and its parameters."""

    nominal_billions: str
    parameters: int


@dataclass(frozen=True)
class BenchmarkFacts:
    """Tasks of a benchmark, the scale of its ratings (`1-10`; empty for a share of right answers), and who says so."""

    tasks: int
    scale: str
    source: str


@dataclass(frozen=True)
class AuditSpec:
    """What the audit needs beside the printed numbers.

    `questions` is the size of each benchmark's public set; `columns` come in the order of `config/published/grids.yaml`.
    """

    models: dict[str, ModelSize]
    questions: dict[str, int]
    columns: tuple[AuditedColumn, ...]
    facts: dict[str, BenchmarkFacts] = field(default_factory=dict)
