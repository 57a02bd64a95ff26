"""The numbers that the paper prints, with their digits: `config/published/*.csv`."""

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
    """

    table: int
    suite: str
    variant: Variant
    column: str
    value: str
    delta: str | None
    storage_gb: str
    computed: bool = False


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
        delta, computed = line["printed_delta"] or None, line["value_source"] == "computed"
        return PrintedNumber(
            int(line["table"]), MT_BENCH, score.variant, column, line["value"], delta, score.storage_gb, computed
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


def stated_questions(folder: Path) -> dict[str, int]:
    """The number of test samples that Table 3 states, by benchmark."""
    return dict(_read(Path(folder) / "benchmarks.csv", lambda line: (line["benchmark"], int(line["n_test_samples"]))))
