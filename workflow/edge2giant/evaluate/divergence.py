"""Compare a loaded model with the unquantized one on text, place by place.

The unquantized model writes its distributions, then is compared with itself in another batch order: the noise floor, which is its
own answer. Every other variant is compared with the distributions that were written.
"""

import contextlib
import os
from pathlib import Path

import datasets
import numpy as np

from edge2giant import divergence, engine, records
from edge2giant.engine.distributions import Asked, Places
from edge2giant.errors import UserError
from edge2giant.quantize.calibration import model_tokenizer
from edge2giant.records.lock import Lock
from edge2giant.specs.evaluate import BenchmarkSpec, DivergenceSpec

ORDER_SEED = 0
"""Of the batch order in which the unquantized model is compared with itself."""


def answer(lm, benchmark: BenchmarkSpec, store_root: Path, folder: Path, checkpoint: Path, reference: Path | None) -> dict:
    """Run the benchmark on a loaded model; see `tasks.answer`.

    Parameters
    ----------
    checkpoint : path
        Whose tokenizer cuts the text.
    reference : path or None
        The unquantized model's distributions; None for the unquantized model itself.
    """
    spec = benchmark.divergence
    windows = windows_of(spec, text_of(spec, benchmark, store_root), checkpoint)
    start = divergence.first_scored(spec.window)
    if reference is None:
        base = divergence.reference_of(windows, engine.places(lm, windows, start, [Asked(spec.kept)] * len(windows)))
        base.save(folder / divergence.REFERENCE)
        order = np.random.default_rng(ORDER_SEED).permutation(len(windows))
    else:
        base, order = divergence.Reference.load(reference), np.arange(len(windows))
        if base.tokens.tolist() != windows:
            raise UserError("its tokenizer cuts the text into other tokens than the unquantized model's", checkpoint)
    divergence.compare(base, _in_order(lm, windows, start, base.ids, order)).save(folder / divergence.PLACES)
    return {"task_versions": {}, "task_hashes": {}, "seeds": {"order": ORDER_SEED}, "templated": False}


def _in_order(lm, windows: list[list[int]], start: int, ids: np.ndarray, order: np.ndarray) -> list[Places]:
    """Compute the windows in some order, and give their places in the windows' own."""
    found = engine.places(lm, [windows[at] for at in order], start, [Asked(0, ids[at]) for at in order])
    return [one for _, one in sorted(zip(order.tolist(), found, strict=True), key=lambda pair: pair[0])]


def text_of(spec: DivergenceSpec, benchmark: BenchmarkSpec, store_root: Path) -> str:
    """The whole text: the rows of a split of the store's data set, one after another."""
    lock = records.read(store_root / benchmark.locks[0], Lock)
    cache = Path(os.environ["HF_DATASETS_CACHE"]) / lock.revision[:16]
    with contextlib.chdir(store_root / "datasets"):  # where a data set's hub id is its relative path
        rows = datasets.load_dataset(spec.repo, spec.config, split=spec.split, cache_dir=str(cache))
    return spec.before + spec.between.join(rows[spec.field])


def windows_of(spec: DivergenceSpec, text: str, checkpoint: Path) -> list[list[int]]:
    """Cut the text by the checkpoint's own tokenizer, with BOS where that puts one before a text."""
    tokenizer = model_tokenizer(checkpoint)
    bos = tokenizer.bos_token_id
    begins = bos is not None and tokenizer("a")["input_ids"][0] == bos
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    return divergence.cut(tokens, spec.window, bos if begins else None, spec.limit)
