"""The numbers that the paper prints, with their digits: `config/published/*.csv`."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

MT_BENCH = "mt_bench"
"""The suite, and its benchmark, whose numbers are in mt_bench.csv."""
CATEGORIES_TABLE, TURNS_TABLE = 6, 7
MISPRINT = "misprint"


@dataclass(frozen=True)
class PrintedNumber:
    """A number of one of the paper's tables.

    Parameters
    ----------
    column : str
        Benchmark, or category or turn of MT-Bench, or `average`.
    value : str
        As printed; `computed` where the table prints the difference alone.
    delta : str or None
        Printed difference from FP16, with its sign.
    storage_gb : str
        Printed size of the variant.
    computed : bool
        Whether the table prints the difference alone.
    toolkit_marked : str
        Toolkit of GPTQ as Table 7 marks it, `unmarked` in Table 6; empty where the table has a row for each toolkit.
    cost_usd : str
        What judging a model cost, once for all of its rows (Table 7).
    """

    table: int
    suite: str
    variant: Variant
    column: str
    value: str
    delta: str | None
    storage_gb: str
    computed: bool = False
    toolkit_marked: str = ""
    cost_usd: str = ""


@dataclass(frozen=True)
class PrintedMark:
    """What the audit says of one printed number.

    Parameters
    ----------
    column : str
        As of a `PrintedNumber`; `storage` or `method` for what a row says of itself.
    what : str
        `value` or `delta`.
    kind : str
        The rule that it breaks, or `misprint` where one change corrects it.
    corrected : str
        The number after that change, else empty.
    """

    table: int
    variant: Variant
    column: str
    what: str
    kind: str
    printed: str
    corrected: str = ""


def _read(path: Path, make: Callable[[dict[str, str]], object]) -> list:
    hint = "restore it from the repository"
    try:
        return [make(line) for line in records.read_csv(path, hint)]
    except (KeyError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", path, hint) from None


def scores(folder: Path) -> list[PrintedNumber]:
    """Every number of Tables 1, 2, 4 and 5, averages included, in printed order; `folder` is `config/published`."""

    def number(line: dict[str, str]) -> PrintedNumber:
        # Only GPTQ needs its toolkit to tell its rows apart.
        method = line["method"] + (f"-{line['toolkit']}" if line["method"] == "gptq" else "")
        variant = Variant(line["model"], method, f"w{line['w_bits']}a{line['a_bits']}")
        delta, size = line["printed_delta"] or None, line["storage_gb"]
        return PrintedNumber(int(line["table"]), line["suite"], variant, line["benchmark"], line["value"], delta, size)

    return _read(Path(folder) / "scores.csv", number)


def mt_bench(folder: Path) -> list[PrintedNumber]:
    """Every number of Tables 6 (by category) and 7 (by turn) in printed order; the average stands in both."""
    behind = _behind_mt_bench(scores(folder))

    def number(line: dict[str, str]) -> PrintedNumber:
        score, column = behind[line["model"], line["method"]], line["category_or_turn"].replace("_", " ")
        return PrintedNumber(
            int(line["table"]),
            MT_BENCH,
            score.variant,
            column,
            line["value"],
            line["printed_delta"] or None,
            score.storage_gb,
            computed=line["value_source"] == "computed",
            toolkit_marked=line["gptq_toolkit_marked"],
            cost_usd=line["api_cost_usd"],
        )

    return _read(Path(folder) / "mt_bench.csv", number)


def _behind_mt_bench(numbers: list[PrintedNumber]) -> dict[tuple[str, str], PrintedNumber]:
    """A number of the variant behind each (model, `fp16`, `gptq` or `awq`) of Tables 6 and 7.

    The paper marks AutoGPTQ in Table 7 also for models without an AutoGPTQ row; there the model's only 4-bit GPTQ row is taken,
    as in `config/studies/paper.yaml`.
    """
    found = {}
    for one in numbers:
        key = (one.variant.model, one.variant.method.partition("-")[0])
        if one.variant.bits in (FP16[1], "w4a16") and (key not in found or one.variant.method == "gptq-autogptq"):
            found[key] = one
    return found


@dataclass(frozen=True)
class StatedBenchmark:
    """What Table 3 says of a benchmark; `scale` is that of its ratings, empty for a share of right answers."""

    benchmark: str
    tasks: int
    questions: int
    scale: str


def stated(folder: Path) -> list[StatedBenchmark]:
    """The rows of Table 3."""

    def row(line: dict[str, str]) -> StatedBenchmark:
        scale = re.search(r"\((\d+-\d+)\)", line["metric"])
        return StatedBenchmark(line["benchmark"], int(line["n_tasks"]), int(line["n_test_samples"]), scale[1] if scale else "")

    return _read(Path(folder) / "benchmarks.csv", row)


def marks(folder: Path, file: Path | None = None) -> list[PrintedMark]:
    """What the audit says of printed numbers: its own `file`, or the copy in `folder`, which a test holds equal to it."""

    def mark(line: dict[str, str]) -> PrintedMark:
        variant = Variant(line["model"], line["method"], line["bits"])
        texts = (line[name] for name in ("column", "what", "kind", "printed", "corrected"))
        return PrintedMark(int(line["table"]), variant, *texts)

    return _read(file or Path(folder) / "marks.csv", mark)


def misprints(folder: Path, file: Path | None = None) -> dict[tuple[int, Variant, str], str]:
    """Probable misprints of values, by table, variant and column: what the audit takes for right; from `marks`."""
    found = (one for one in marks(folder, file) if one.kind == MISPRINT and one.what == "value")
    return {(one.table, one.variant, one.column): one.corrected for one in found}


Parts = tuple[tuple[int, float], ...]
"""Questions and chance level of each subtask whose scores are averaged."""


def printed_stderr(value: float, parts: Parts) -> float:
    """Binomial standard error of a printed score, in points: that of a mean of subtasks, summed over them.

    The paper prints no subtasks, so each is taken to have the score `value`. One of n questions with chance level c then has
    the raw accuracy p = c + (1 - c) value / 100 and the error 100 / (1 - c) sqrt(p (1 - p) / n). Where p is 0 or 1 the error
    is that of one question right or wrong, since no score is without error.
    """

    def variance(questions: int, chance: float) -> float:
        least = min(1 / questions, 0.5)
        accuracy = min(max(chance + (1 - chance) * value / 100, least), 1 - least)
        return (100 / (1 - chance)) ** 2 * accuracy * (1 - accuracy) / questions

    return math.sqrt(sum(variance(*part) for part in parts)) / len(parts)
