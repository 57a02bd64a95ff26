"""Run benchmarks, in the order given, on a model that only counts; a process of its own for test_determinism.py.

usage: ask_everything.py STORE CACHE OUT BENCHMARK... ; the order of GPQA's options comes from the variable GPQA_ORDER
"""

import os
import random
import sys
from pathlib import Path

store, cache, out = (Path(argument).resolve() for argument in sys.argv[1:4])
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_DATASETS_CACHE=str(cache), NLTK_DATA=str(store / "nltk"))

from edge2giant.evaluate import tasks  # noqa: E402
from edge2giant.specs.evaluate import BenchmarkSpec, TasksSpec  # noqa: E402
from edge2giant.specs.variant import Variant  # noqa: E402
from lm_eval.api.model import LM  # noqa: E402

FOLDERS = {"arc_challenge": ("arc", ["arc_challenge"], 5), "gsm8k": ("gsm8k", ["gsm8k"], 5),
           "gpqa": ("leaderboard/gpqa", ["leaderboard_gpqa_main", "leaderboard_gpqa_extended"], 0),
           "musr": ("leaderboard/musr", ["leaderboard_musr_object_placements"], 0)}  # fmt: skip


class Counter(LM):
    """Answers that follow from the prompt alone."""

    def loglikelihood(self, requests, **_):
        return [(-float(len(request.args[1])), False) for request in requests]

    def loglikelihood_rolling(self, requests, **_):
        return [0.0 for _ in requests]

    def generate_until(self, requests, **_):
        return [f"#### {len(request.args[0])}" for request in requests]


random.seed(os.getpid())  # what ran before in the process must not matter
for name in sys.argv[4:]:
    folder, names, shots = FOLDERS[name]
    seeds = {"python": 0, "numpy": 1234, "torch": 1234, "fewshot": 1234}
    order = os.environ["GPQA_ORDER"] if name == "gpqa" else "lm-eval"
    benchmark = BenchmarkSpec(
        name, (f"datasets/{name}.lock.json",), TasksSpec(tuple(names), folder, shots, False, False, None, seeds, order)
    )
    (out / name).mkdir(parents=True)
    made = tasks.answer(Counter(), Variant("m", "fp16", "w16a16"), benchmark, store, out / name)
    (out / name / "hashes.txt").write_text(str(sorted(made["task_hashes"].items())))
