"""GPQA's options in an order that each question's own id decides, so that every cell on every machine asks the same prompts.

lm-eval shuffles the options with Python's global generator while it maps the documents: their order depends on what ran before
in the process, and a cache of the map freezes whatever came out first. Here the generator is seeded anew for each question and
put back after.
"""

import functools
import hashlib
import random
from collections.abc import Callable

ID = "Record ID"
QUESTION = "Question"
ORDERS = ("stable", "lm-eval")


def seed(document: dict) -> int:
    """Seed of a question: SHA-256 of its id, or of its text where it has none."""
    name = document.get(ID) or document[QUESTION]
    return int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:8], "big")


class SeededMap:
    """A data set whose `map` seeds Python's global generator from each document before the function sees it."""

    def __init__(self, dataset):
        self.dataset = dataset

    def map(self, function: Callable[[dict], dict]):
        """Map the documents in their order; the generator's state is the same after as before."""
        before = random.getstate()
        try:
            return self.dataset.map(functools.partial(_seeded, function), load_from_cache_file=False)
        finally:
            random.setstate(before)


def _seeded(function: Callable[[dict], dict], document: dict) -> dict:
    random.seed(seed(document))
    return function(document)


def stable_order(process_docs: Callable) -> Callable:
    """Return lm-eval's own preparation of the documents, with the options shuffled by each question's seed."""

    @functools.wraps(process_docs)
    def prepared(dataset):
        return process_docs(SeededMap(dataset))

    return prepared


def use_order(tasks: dict, order: str) -> None:
    """Give loaded lm-eval tasks of GPQA the order of options that a protocol asks for.

    Parameters
    ----------
    tasks : dict of str to lm_eval.api.task.Task
    order : {"stable", "lm-eval"}
        By the question's id, or as lm-eval itself does.
    """
    if order == "lm-eval":
        return
    for task in tasks.values():
        task.config.process_docs = stable_order(task.config.process_docs)
        fewshot = getattr(task, "fewshot_cfg", None)  # lm-eval 0.4.4 has one preparation for both
        if fewshot is not None and fewshot.process_docs is not None:
            task.fewshot_cfg.process_docs = stable_order(task.fewshot_cfg.process_docs)
