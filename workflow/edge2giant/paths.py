"""The path grammar: where everything of a study lies, relative to the folder of results.

`<results>` is written as Snakemake's path variable, so these strings serve rules as inputs and outputs alike.
"""

from edge2giant import grid, records, store


def checkpoint_identity(house: grid.House, study: grid.Study, row: grid.Row) -> dict:
    """Everything that decides a row's weights: the scheme as resolved, the model's source, and the environment."""
    from edge2giant.quantize import RESULT_VERSION
    from edge2giant.quantize.recipe import resolve

    scheme = resolve(
        house.recipes, house.calibration, *grid.astuple(row), calibration=study.calibration,
        settings=study.recipe_settings.get(row.scheme), source=study.checkpoints.get(row.scheme, "make"),
    )  # fmt: skip
    return {
        "scheme": scheme,
        "source": study.source,
        "repo": house.models[row.model]["repo"],
        "revision": house.models[row.model]["revision"],
        "environment": house.environment(study.stack, scheme["toolkit"]),
        "result_version": RESULT_VERSION,
    }


def recipe_digest(identity: dict) -> str:
    """The last folder of a checkpoint's path."""
    return records.digest(identity)[:12]


def checkpoint(row: grid.Row, digest: str) -> str:
    return f"<results>/checkpoints/{row.path}/{digest}"


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


def cell(of: grid.Cell) -> str:
    return f"<results>/{of.study}/cells/{of.row.path}/{of.benchmark}.json"
