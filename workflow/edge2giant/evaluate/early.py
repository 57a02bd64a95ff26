"""lm-eval 0.4.4, the release of Appendix D.1: its tasks over the store, which holds the data sets under the names of today.

Four of its names are those that the hub's repositories had before they moved to an owner; two are copies by others, with the same
rows. The prompts, answers and metrics are 0.4.4's own.
"""

import functools
from collections.abc import Callable

RENAMED = {
    "gsm8k": "openai/gsm8k",
    "hellaswag": "Rowan/hellaswag",
    "truthful_qa": "truthfulqa/truthful_qa",
    "winogrande": "allenai/winogrande",
    "hails/mmlu_no_train": "cais/mmlu",  # without the split auxiliary_train, which no task reads
    "lighteval/MATH-Hard": "DigitalLearningGmbH/MATH-lighteval",  # the problems of level 5, see `hardest`
}
FILTERED = "lighteval/MATH-Hard"


def load(manager, names: list[str]) -> dict:
    """Tasks by name, with the store's names of their data sets.

    Parameters
    ----------
    manager : lm_eval.tasks.TaskManager
    names : list of str
    """
    found = {}
    for name in names:
        dataset = manager._get_config(name)["dataset_path"]
        found |= manager.load_task_or_group([{"task": name, "dataset_path": RENAMED.get(dataset, dataset)}])
        if dataset == FILTERED:
            config = found[name].config
            config.process_docs = hardest(config.process_docs)
    return found


def hardest(process_docs: Callable) -> Callable:
    """Prepare the problems of level 5 alone: MATH-Hard holds no others."""

    @functools.wraps(process_docs)
    def prepared(dataset):
        return process_docs(dataset.filter(lambda document: document["level"] == "Level 5", load_from_cache_file=False))

    return prepared
