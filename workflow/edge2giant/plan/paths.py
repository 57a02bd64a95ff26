"""The path grammar: where everything of a study lies, relative to the folder of results.

`<results>` is written as Snakemake's path variable, so these strings serve rules as inputs and outputs alike.
"""

from edge2giant import store


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
