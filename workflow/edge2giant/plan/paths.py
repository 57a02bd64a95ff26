"""The path grammar: where everything of a study lies, relative to the folder of results.

`<results>` is written as Snakemake's path variable, so these strings serve rules as inputs and outputs alike.
"""

from edge2giant.config.benchmarks import Benchmark

NLTK_LOCK = "nltk.lock.json"


def data_locks(name: str, benchmark: Benchmark) -> tuple[str, ...]:
    """Locks of a benchmark's data below the store: one for each data set, and that of nltk's tables where it needs them."""
    more = (f"datasets/{name}-{number}.lock.json" for number in range(2, len(benchmark.datasets) + 1))
    return f"datasets/{name}.lock.json", *more, *([NLTK_LOCK] if benchmark.nltk else [])


def store(source: str, path: str) -> str:
    return f"<results>/store/{source}/{path}"


def calibration_lock(source: str, name: str) -> str:
    return f"<results>/store/{source}/calibration/{name}.lock.json"
