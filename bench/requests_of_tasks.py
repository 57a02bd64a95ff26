"""Build a file of benchmark requests from the stock lm-eval tasks, at the sizes of the real suites or a part of them.

Reads data sets in the layout of the hub (a folder that holds `allenai/ai2_arc` and so on, whole or samples);
writes one gzipped JSON file; never touches a model.

Where the folder holds only samples of a data set, documents are repeated until the size is reached, and every
repetition is made another prompt: benchmarks with random examples draw others (another seed), and all of them
get a number in front of the question, at the first place where the prompts of a task differ. So repetitions
share what different questions of the real set share, and no more.

    python bench/requests_of_tasks.py --data DIR --share 0.1 --out requests.json.gz
"""

import argparse
import gzip
import json
import math
import os
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Benchmarks whose examples lm-eval draws anew for each document.
RANDOM_EXAMPLES = {"arc_challenge", "hellaswag", "winogrande", "gsm8k"}


def recorder():
    """Return an lm-eval model that keeps the requests and answers nothing."""
    from lm_eval.api.model import LM

    class Recorder(LM):
        def __init__(self):
            super().__init__()
            self.kept = []

        def loglikelihood(self, requests, **_):
            self.kept += requests
            return [(-1.0, False)] * len(requests)

        def loglikelihood_rolling(self, requests, **_):
            raise NotImplementedError

        def generate_until(self, requests, **_):
            self.kept += requests
            return [""] * len(requests)

    return Recorder()


def documents_of(tasks, num_fewshot, seed, manager):
    """Return task -> list of documents, each a list of (type, arguments)."""
    import lm_eval

    lm = recorder()
    lm_eval.simple_evaluate(
        model=lm,
        tasks=tasks,
        num_fewshot=num_fewshot,
        bootstrap_iters=0,
        predict_only=True,
        log_samples=False,
        fewshot_as_multiturn=False,
        fewshot_random_seed=seed,
        task_manager=manager,
    )
    found = defaultdict(lambda: defaultdict(list))
    for request in lm.kept:
        found[request.task_name][request.doc_id].append((request.request_type, request.args))
    return {task: [documents[key] for key in sorted(documents)] for task, documents in found.items()}


def common(texts):
    """Count the characters that all texts begin with."""
    first, last = min(texts), max(texts)
    return next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def varied(document, at, number):
    """Put a number at position `at` of every context of a document; the first round stays as it is."""
    if number == 0:
        return document
    return [(kind, (context[:at] + f"[{number}] " + context[at:], *rest)) for kind, (context, *rest) in document]


def requests_of(benchmark, entry, share, manager):
    """Return (documents, how many of them were in the data) of a benchmark."""
    wanted = max(1, round(entry["documents"] * share))
    seeds = 8 if benchmark in RANDOM_EXAMPLES else 1
    tasks = list(entry["tasks"])
    rounds = [documents_of(tasks, entry["num_fewshot"], 1234 + seed, manager) for seed in range(seeds)]
    each = math.ceil(wanted / len(tasks))
    chosen, sample = [], 0
    for task in tasks:
        sample += len(rounds[0][task])
        at = [common([document[0][1][0] for document in one[task]]) for one in rounds]
        for place in range(each):
            number, index = divmod(place, len(rounds[0][task]))
            chosen.append(varied(rounds[number % seeds][task][index], at[number % seeds], number))
    return chosen[:: max(1, len(chosen) // wanted)][:wanted], sample


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, as the hub names them")
    parser.add_argument("--benchmarks", nargs="*", help="default: all tasks of lm-eval")
    parser.add_argument("--share", type=float, default=1.0, help="share of the documents of the real sets")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    import yaml
    from lm_eval.tasks import TaskManager

    every = yaml.safe_load((ROOT / "config/benchmarks.yaml").read_text())["benchmarks"]
    benchmarks = {name: entry for name, entry in every.items() if "tasks" in entry}
    os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="true")
    os.chdir(arguments.data)
    manager = TaskManager()
    built = {}
    for name in arguments.benchmarks or benchmarks:
        documents, sample = requests_of(name, benchmarks[name], arguments.share, manager)
        built[name] = {"documents": documents, "in_the_data": sample, "real": benchmarks[name]["documents"]}
        print(name, len(documents), "documents,", sum(map(len, documents)), "requests", file=sys.stderr)
    with gzip.open(out, "wt", encoding="utf-8") as file:
        json.dump(built, file)


if __name__ == "__main__":
    main()
