"""What tables, figures, comparisons, claims, reports and exports need of the configuration of one study.

Mappings are for look-up alone: a spec is stored with sorted keys, so whatever has an order is a tuple.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from edge2giant.errors import unknown
from edge2giant.records.units import UnitName
from edge2giant.specs.variant import Variant, widths
from edge2giant.typed import OMITTED

FP16 = ("fp16", "w16a16")
AVERAGE = "average"


@dataclass(frozen=True)
class Labels:
    """What a reader sees of a name; a name without an entry is its own label.

    Parameters
    ----------
    methods : dict of str to str
        With the mark of the toolkit (`GPTQ*`).
    toolkits : dict of str to str
        Toolkit of every method; `none` for the unquantized model.
    parts : dict of str to str
        Headings of the categories and turns of a judged benchmark.
    """

    models: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    toolkits: dict[str, str] = field(default_factory=dict)
    benchmarks: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    def model(self, name: str) -> str:
        return self.models.get(name, name)

    def method(self, name: str) -> str:
        return self.methods.get(name, name)

    def toolkit(self, method: str) -> str:
        return self.toolkits.get(method, method)

    def benchmark(self, name: str) -> str:
        return "Average" if name == AVERAGE else self.benchmarks.get(name, name)

    def part(self, name: str) -> str:
        return "Average" if name == AVERAGE else self.parts.get(name, name)

    def bits(self, name: str, effective: float | None = None) -> str:
        """Width of weights, or what it is on average, and of activations as the paper prints it (`4/16`)."""
        weights, activations = widths(name)
        return f"{weights if effective is None else format(effective, '.1f')}/{activations}"

    def method_bits(self, method: str, bits: str) -> str:
        """Method and width in one short text (`GPTQ** 4/16`); `FP16` alone for the unquantized model."""
        return self.method(method) if method == FP16[0] else f"{self.method(method)} {self.bits(bits)}"


@dataclass(frozen=True)
class StudyVariant:
    """A variant that a study evaluates.

    Parameters
    ----------
    storage_gb : float
        Nominal size of its weights in 10^9 bytes: the billions of parameters in the model's name times weight bits over 8.
    benchmarks : tuple of str
        What the study evaluates it on, in the order of the study.
    changed : str or None
        What the study changes of its recipe, in words.
    effective_bits : float or None
        Bits of a weight on average, where layers have different ones.
    """

    variant: Variant
    storage_gb: float
    benchmarks: tuple[str, ...]
    changed: str | None = field(default=None, metadata=OMITTED)
    effective_bits: float | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class Measure:
    """What a column of numbers is.

    Parameters
    ----------
    unit : str
        See `records.units`.
    lower_is_better : bool
    label : str
        Heading; of a benchmark empty, since `Labels` has it.
    """

    unit: UnitName = "percent"
    lower_is_better: bool = False
    label: str = ""


@dataclass(frozen=True)
class StudyBenchmark:
    """A benchmark under the study's protocol.

    Parameters
    ----------
    questions : int
        Size of the whole set.
    datasets : dict of str to str
        Repository to revision.
    metrics : tuple of str
        lm-eval's names; empty for a judged benchmark.
    normalise : bool
        Whether the score is scaled from chance (0) to perfect (100).
    measure : Measure
        Of the score.
    limit : str or None
        What of it the study asks, in words; None for all.
    """

    suite: str
    questions: int
    confidential: bool = False
    datasets: dict[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    num_fewshot: int = 0
    aggregation: str = "single"
    normalise: bool = False
    measure: Measure = Measure()
    limit: str | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class SuiteColumns:
    """Benchmarks that stand in the same tables.

    Parameters
    ----------
    benchmarks : tuple of str
        In the order of the columns: all that the paper prints, and what the study has beside them.
    average : bool
        Whether they have a mean.
    """

    name: str
    label: str
    short: str
    benchmarks: tuple[str, ...]
    average: bool = True


@dataclass(frozen=True)
class TableLayout:
    """A table as a study fills it.

    Parameters
    ----------
    columns : tuple of str
        Benchmarks, or parts of a judged one; the average last.
    variants : tuple of Variant
        What the study shows in this table, in its order.
    printed : bool
        Whether the columns are exactly those that the paper prints, so that the averages can be compared.
    parts_of : str or None
        The judged benchmark whose categories or turns are the columns.
    measures : dict of str to Measure
        Of columns that are no benchmark's score alone: `benchmark/metric`, a part of its cells, among them.
    notes : tuple of str
        What a reader must know, below the table.
    """

    number: int
    title: str
    suite: str
    columns: tuple[str, ...]
    variants: tuple[Variant, ...] = ()
    printed: bool = True
    parts_of: str | None = None
    measures: dict[str, Measure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudySpec:
    """What every table, figure, comparison, report and export of a study needs of the configuration.

    Parameters
    ----------
    source : str
        Where models and data come from: `hub`, or `miniature` for models and questions made up here.
    labels : Labels
        Of all in `config/`, so that what the paper prints has its labels, too.
    repositories : dict of str to str
        Hub id of every model.
    benchmarks : dict of str to StudyBenchmark
        Every benchmark in `config/benchmarks.yaml`, as the study's protocol changes it.
    suites : tuple of SuiteColumns
        Suites that the paper prints, and those of the study.
    tables : tuple of TableLayout
        Every table of these suites by number, whether or not the study asks for it.
    figure2_models : tuple of str
        Panels of Figure 2.
    paper : bool
        Whether the study regenerates the paper, whose numbers then stand beside its own.
    """

    study: str
    title: str
    protocol: str
    protocol_title: str
    stack: str
    source: str
    variants: tuple[StudyVariant, ...]
    labels: Labels
    repositories: dict[str, str]
    benchmarks: dict[str, StudyBenchmark]
    suites: tuple[SuiteColumns, ...]
    tables: tuple[TableLayout, ...]
    figure2_models: tuple[str, ...]
    paper: bool = False

    def limited(self, benchmarks: Iterable[str]) -> str:
        """What to say of benchmarks of which a part alone is asked; an empty text if none is."""
        asked = [(self.labels.benchmark(name), self.benchmarks[name].limit) for name in benchmarks]
        parts = ", ".join(f"{label} {limit}" for label, limit in asked if limit)
        return f"A quick look, not whole benchmarks: {parts}." if parts else ""

    def table(self, number: int) -> TableLayout:
        """Layout of a numbered table; a `UserError` with those that the study's suites have if it has none of that number."""
        known = {table.number: table for table in self.tables}
        if number not in known:
            raise unknown("table", str(number), map(str, known), f"study {self.study}")
        return known[number]

    @property
    def categories(self) -> TableLayout | None:
        """The first table of a judged benchmark's parts: what Figure 2 draws."""
        return next((table for table in self.tables if table.parts_of), None)

    @cached_property
    def averaged(self) -> dict[str, tuple[str, ...]]:
        """Suite to the benchmarks that its average takes in."""
        return {suite.name: suite.benchmarks for suite in self.suites if suite.average}

    @cached_property
    def by_variant(self) -> dict[Variant, StudyVariant]:
        return {entry.variant: entry for entry in self.variants}

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.variant.model for entry in self.variants))
