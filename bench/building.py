"""Time what surrounds the model: building a benchmark's requests and scoring its answers, by lm-eval and as a batch does it.

Reads data sets in the layout of the hub, whole or samples, and uses a model that answers nothing. The CPU seconds of two sizes
(one question for each task, and all questions) give the fixed cost and the cost of a question, and so the time for the real set.

    workflow/in-env cpu/main python bench/building.py --data DIR
"""

import argparse
import os
import sys
import time
from pathlib import Path

from requests_of_tasks import ROOT, recorder

sys.path.insert(0, str(ROOT / "workflow"))


def seconds(entry, manager, limit):
    """Return (CPU seconds, questions) of one benchmark."""
    import lm_eval

    lm, began = recorder(), time.process_time()
    lm_eval.simple_evaluate(
        model=lm,
        tasks=list(entry["tasks"]),
        num_fewshot=entry["num_fewshot"],
        bootstrap_iters=0,
        task_manager=manager,
        limit=limit,
    )
    return time.process_time() - began, len({(one.task_name, one.doc_id) for one in lm.kept})


def at_full_size(entry, manager):
    """Return the CPU seconds of the real number of questions."""
    seconds(entry, manager, 1)  # loads the data
    (fixed, few), (all_there, many) = seconds(entry, manager, 1), seconds(entry, manager, None)
    each = max(0.0, all_there - fixed) / max(1, many - few)
    return fixed + each * (entry["documents"] - few)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, as the hub names them")
    parser.add_argument("--benchmarks", nargs="*", help="default: all but mt_bench and ifeval, which needs NLTK's tables")
    arguments = parser.parse_args()
    import yaml
    from edge2giant.evaluate import tasks
    from lm_eval.tasks import TaskManager

    benchmarks = yaml.safe_load((ROOT / "config/benchmarks.yaml").read_text())
    names = arguments.benchmarks or [name for name in benchmarks if name not in {"mt_bench", "ifeval"}]
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1")
    os.chdir(arguments.data)
    manager = TaskManager()
    before = {name: at_full_size(benchmarks[name], manager) for name in names}
    tasks.compile_templates_once()
    after = {name: at_full_size(benchmarks[name], manager) for name in names}
    print("| benchmark | questions | lm-eval s | templates compiled once s |\n|---|---|---|---|")
    for name in names:
        print(f"| {name} | {benchmarks[name]['documents']} | {before[name]:.1f} | {after[name]:.1f} |")
    print(f"| all | | {sum(before.values()):.0f} | {sum(after.values()):.0f} |")


if __name__ == "__main__":
    main()
