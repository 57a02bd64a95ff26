"""Stock lm-eval against an engine of this project: a real model in float32 on a CPU, questions of the real benchmarks.

    workflow/in-env cpu/vllm python tests/stock_agreement.py MODEL DATA docs/measurements/stock.json

MODEL is a folder of a checkpoint (`make mirror`), DATA a folder of data sets by hub id. Stock is `lm_eval.simple_evaluate` with
lm-eval's own transformers back end and its own index of tasks. Benchmarks are prompted as protocol `leaderboard` says: chats in
version 2, none in version 1. Writes for engines hf and vllm both scores, the largest difference of a log-likelihood, how many
written answers are equal, and seconds.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import yaml
from shared import ROOT

BENCHMARKS, PROTOCOLS = (
    yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")) for name in ("benchmarks", "protocols")
)
BENCHMARKS, PROTOCOL = BENCHMARKS["benchmarks"], PROTOCOLS["leaderboard"]
CHOSEN = ("winogrande", "truthfulqa", "mmlu", "bbh", "arc_challenge", "hellaswag", "gsm8k", "ifeval")
SUBJECTS = {
    "mmlu": ("mmlu_abstract_algebra", "mmlu_anatomy", "mmlu_computer_security", "mmlu_high_school_geography", "mmlu_philosophy"),
    "bbh": ("leaderboard_bbh_boolean_expressions", "leaderboard_bbh_navigate", "leaderboard_bbh_sports_understanding"),
}
LIMITS = {"mmlu": 6, "bbh": 6, "ifeval": 8}
"""Questions of each task; 12 where a benchmark has one."""
SHOTS = {"arc_challenge": 5, "hellaswag": 3}
"""Fewer examples than the benchmark's 25 and 10, whose prompts are long for a CPU."""
SETTINGS = {"dtype": "float32", "max_model_len": 4096}
OWN = {
    "hf": {"device": "cpu", "batch_size": 8},
    "vllm": {"enforce_eager": True, "gpu_memory_utilization": 0.1, "block_size": 32, "max_num_batched_tokens": 4096},
}


def make_store(root: Path, data: Path, names: tuple[str, ...]) -> Path:
    """A store whose data sets are links into `data`, and the environment that makes lm-eval read them without a hub."""
    from edge2giant import records
    from edge2giant.records.lock import FileDigest, Lock

    (root / "datasets").mkdir(parents=True)
    for folder in data.iterdir():
        if folder.is_dir():
            (root / "datasets" / folder.name).symlink_to(folder)
    for name in names:
        lock = Lock(("sample",), "shared", f"sample-{name}", {"x": FileDigest(0, "0" * 64)})
        records.write(root / f"datasets/{name}.lock.json", lock)
    shutil.copytree(ROOT / "workflow/demo/punkt_tab_stand_in", root / "nltk/tokenizers/punkt_tab/english")
    os.environ |= {"NLTK_DATA": str(root / "nltk"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(root / "cache")}
    return root


def tasks_of(name: str):
    """Tasks of a benchmark, questions and prompts, as protocol `leaderboard` has them."""
    from edge2giant.specs.evaluate import TasksSpec

    entry = BENCHMARKS[name]
    prompts = PROTOCOL | PROTOCOL["suites"].get(entry["suite"], {})
    return TasksSpec(
        names=SUBJECTS.get(name, tuple(entry["tasks"])),
        folder=entry["folder"],
        num_fewshot=SHOTS.get(name, entry["num_fewshot"]),
        chat_template=prompts["chat_template"],
        fewshot_as_multiturn=prompts["fewshot_as_multiturn"],
        limit=LIMITS.get(name, 12),
        seeds=PROTOCOL["seeds"],
    )


@cache
def stock_index():
    import lm_eval.tasks

    return lm_eval.tasks.TaskManager()


def by_stock(lm, name: str, store: Path) -> tuple[float, dict]:
    """Score of a benchmark by stock lm-eval, in points, and its samples by task, document and filter."""
    import lm_eval
    from edge2giant.evaluate.tasks import json_text

    tasks, entry = tasks_of(name), BENCHMARKS[name]
    with contextlib.chdir(store / "datasets"):
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=list(tasks.names),
            task_manager=stock_index(),
            num_fewshot=tasks.num_fewshot,
            limit=tasks.limit,
            bootstrap_iters=0,
            apply_chat_template=tasks.chat_template,
            fewshot_as_multiturn=tasks.chat_template and tasks.fewshot_as_multiturn,
            random_seed=tasks.seeds["python"],
            numpy_random_seed=tasks.seeds["numpy"],
            torch_random_seed=tasks.seeds["torch"],
            fewshot_random_seed=tasks.seeds["fewshot"],
        )
    keys = [f"{metric['name']},{metric['filter']}" for metric in entry["metrics"]]
    values = [results["results"][task][key] for task in tasks.names for key in keys]
    samples = {task: json.loads(json_text(results["samples"][task])) for task in tasks.names}
    return 100 * sum(values) / len(values), by_question(samples)


def by_ours(lm, name: str, store: Path, folder: Path) -> tuple[float, dict]:
    """The same by an engine of this project and its scoring; chance is left in, as stock leaves it."""
    from edge2giant import jsonl
    from edge2giant.evaluate import tasks as task_runner
    from edge2giant.scoring import cell
    from edge2giant.specs.evaluate import BenchmarkSpec
    from edge2giant.specs.score import LmEvalMetric, ScoreSpec
    from edge2giant.specs.variant import Variant

    tasks, entry, variant = tasks_of(name), BENCHMARKS[name], Variant("real", "fp16", "w16a16")
    task_runner.answer(lm, variant, BenchmarkSpec(name, (f"datasets/{name}.lock.json",), tasks), store, folder)
    spec = ScoreSpec(
        "stock", variant, name, entry["suite"], judged=False, toolkit="none", protocol="leaderboard", stack="cpu",
        tasks={task: entry["tasks"][task] for task in tasks.names},
        metrics=tuple(LmEvalMetric(metric["name"], metric["filter"]) for metric in entry["metrics"]),
        aggregation=entry["aggregation"], normalise=False, clip=False, printed=None,
    )  # fmt: skip
    samples = {task: list(jsonl.read(folder / f"samples_{task}.jsonl")) for task in tasks.names}
    return cell.score_tasks(folder, spec).estimate.value, by_question(samples)


def by_question(samples: dict[str, list[dict]]) -> dict[tuple, dict]:
    return {(task, one["doc_id"], one["filter"]): one for task, found in samples.items() for one in found}


def timed(work, *arguments) -> dict:
    """Score and samples that `work` gives, and the seconds that it took."""
    began = time.perf_counter()
    score, samples = work(*arguments)
    return {"score": score, "samples": samples, "seconds": round(time.perf_counter() - began, 1)}


def compared(name: str, stock: dict, ours: dict) -> dict:
    """What `by_stock` and `by_ours` say to one benchmark, side by side."""
    tasks, one, other = tasks_of(name), stock["samples"], ours["samples"]
    numbers, texts = [], []
    for key in one:
        for pair in zip(one[key]["resps"], other[key]["resps"], strict=True):
            kind = numbers if isinstance(pair[0][0], list) else texts
            kind.append((pair[0][0], pair[1][0]))
    hashes = ("doc_hash", "prompt_hash", "target_hash")
    return {
        "questions": len({key[:2] for key in one}),
        "examples": tasks.num_fewshot,
        "chat": tasks.chat_template,
        "score": [stock["score"], ours["score"]],
        "seconds": [stock["seconds"], ours["seconds"]],
        "same prompts": one.keys() == other.keys() and all(one[key][it] == other[key][it] for key in one for it in hashes),
        "log-likelihoods": len(numbers),
        "largest difference": max((abs(float(mine[0]) - float(its[0])) for mine, its in numbers), default=None),
        "texts": len(texts),
        "same texts": sum(mine == its for mine, its in texts),
    }


def stock_model(model: Path):
    """lm-eval's own back end, with the model in it."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(model), dtype="float32", batch_size=8, device="cpu", max_length=SETTINGS["max_model_len"])


def our_model(engine: str, model: Path):
    from edge2giant.engine import open_engine

    return open_engine(engine, model, SETTINGS | OWN[engine])


def main(model: Path, data: Path, out: Path) -> None:
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    found = {engine: {} for engine in OWN}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        store = make_store(Path(folder) / "store", data.resolve(), CHOSEN)
        stock = stock_model(model)
        engines = {engine: opened.enter_context(our_model(engine, model)) for engine in OWN}
        for name in CHOSEN:
            by = timed(by_stock, stock, name, store)
            for engine, lm in engines.items():
                answers = Path(folder) / engine / name
                answers.mkdir(parents=True)
                found[engine][name] = compared(name, by, timed(by_ours, lm, name, store, answers))
                out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                print(engine, name, json.dumps(found[engine][name]), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
