"""The path grammar: where everything of a study lies, relative to the folder of results.

`<results>` is written as Snakemake's path variable, so these strings serve rules as inputs and outputs alike.
"""

from edge2giant import grid, store
from edge2giant.specs.quantize import QuantizeSpec
from edge2giant.specs.variant import Variant

SUITES = ("leaderboard_v1", "leaderboard_v2", "mt_bench")
WHOLE = "all"
ROW = "{model}/{method}/{bits}"


def checkpoint_spec(house: grid.House, study: grid.Study, row: grid.Row) -> QuantizeSpec:
    """What decides a row's weights, for what does not take `edge2giant.config` yet."""
    from edge2giant.plan import quantize

    return quantize.checkpoint_spec(house.config, house.config.study(study.name), Variant(*grid.astuple(row)))


def model(source: str, name: str) -> str:
    return f"<results>/store/{source}/models/{name}"


def model_lock(source: str, name: str) -> str:
    return f"<results>/store/{source}/models/{name}.lock.json"


def benchmark_lock(source: str, benchmark: str) -> str:
    return store.lock_of_benchmark(f"<results>/store/{source}", benchmark).as_posix()


def nltk_lock(source: str) -> str:
    """Lock of the sentence tables that IFEval's checks split answers with."""
    return f"<results>/store/{source}/nltk.lock.json"


def calibration_lock(source: str, name: str) -> str:
    return f"<results>/store/{source}/calibration/{name}.lock.json"


def manifest(study: str, row: grid.Row, batch: str) -> str:
    return f"<results>/{study}/evaluations/{row.path}/{batch}.json"


def cell(of: grid.Cell) -> str:
    return f"<results>/{of.study}/cells/{of.row.path}/{of.benchmark}.json"


def batch_of(size: str, benchmark: str, suite: str) -> str:
    """Name of the batch that a benchmark belongs to under a batch size of config.yaml."""
    return {"suite": suite, "checkpoint": WHOLE, "benchmark": benchmark}[size]


def benchmarks_of_batch(house: grid.House, study: grid.Study, row: grid.Row, batch: str) -> list[str]:
    """The benchmarks of a batch, in the order of the study."""
    if batch == WHOLE:
        return study.benchmarks_of(row)
    if batch in SUITES:
        return house.suite(study, row, batch)
    return [name for name in study.benchmarks_of(row) if name == batch]
