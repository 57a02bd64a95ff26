"""Options in an order that each question's own id decides (GPQA), so that every cell on every machine asks the same prompts.

lm-eval shuffles the options with Python's global generator while it maps the documents: their order depends on what ran before
in the process, and a cache of the map freezes whatever came out first. Here the generator is seeded anew for each question and
put back after.
"""

import functools
import hashlib
import random
from collections.abc import Callable
from types import SimpleNamespace

ID = "Record ID"
QUESTION = "Question"


def seed(document: dict) -> int:
    """Seed of a question: SHA-256 of its id, or of its text where it has none, or of the whole document."""
    name = document.get(ID) or document.get(QUESTION) or sorted(document.items())
    return int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:8], "big")


def stable_order(process_docs: Callable) -> Callable:
    """Return lm-eval's own preparation of the documents, which maps them, with the options shuffled by each question's seed."""

    @functools.wraps(process_docs)
    def prepared(dataset):
        def seeded_map(function: Callable[[dict], dict]):
            return dataset.map(functools.partial(_seeded, function), load_from_cache_file=False)

        before = random.getstate()
        try:
            return process_docs(SimpleNamespace(map=seeded_map))
        finally:
            random.setstate(before)

    return prepared


def _seeded(function: Callable[[dict], dict], document: dict) -> dict:
    random.seed(seed(document))
    return function(document)


def use_order(tasks: dict, order: str) -> None:
    """Give loaded lm-eval tasks that shuffle their options the order of options that a protocol asks for.

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
