"""Set up the stock lm-eval tasks over the store and keep their raw results as they are."""

import contextlib
import json
import os
import re
from functools import cache
from pathlib import Path

import datasets
import lm_eval
import lm_eval.tasks
import lm_eval.utils
from lm_eval.utils import handle_non_serializable

from edge2giant import grid, jsonl, records, store
from edge2giant.evaluate import early, gpqa, mt_bench
from edge2giant.mt_bench import read_questions

MEMORY = re.compile(r"at 0x[0-9a-f]+")


@cache
def task_manager(folder: str) -> lm_eval.tasks.TaskManager:
    """Index of the tasks of one folder of lm-eval: the whole index takes seconds, this one next to nothing."""
    path = Path(lm_eval.tasks.__file__).parent / folder
    return lm_eval.tasks.TaskManager(include_path=str(path), include_defaults=False)


def compile_templates_once() -> None:
    """Keep compiled prompt templates; lm-eval compiles them again for every question and example, nine tenths of building."""
    environment = lm_eval.utils.env
    if not hasattr(environment.from_string, "cache_info"):
        environment.from_string = cache(environment.from_string)


@contextlib.contextmanager
def working_directory(path: Path):
    """Data sets load by the relative path that their hub id is, so tasks run inside the store."""
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def answer(lm, row: grid.Row, settings: dict, store_root: Path, folder: Path) -> dict:
    """Ask one benchmark of a loaded model and write its raw answers into `folder`.

    Returns
    -------
    dict
        `task_versions`, `task_hashes` and whether the prompts were `templated`.
    """
    if settings["benchmark"] == "mt_bench":
        return _answer_mt_bench(lm, row, settings["mt_bench"], store_root, folder)
    return _answer_tasks(lm, settings, store_root, folder)


def _answer_mt_bench(lm, row: grid.Row, settings: dict, store_root: Path, folder: Path) -> dict:
    questions = read_questions(store_root / "mt_bench/question.jsonl")
    how = mt_bench.Settings(model_id=row.path.replace("/", "--"), **settings)
    jsonl.write(folder / "answers.jsonl", mt_bench.generate_answers(lm, questions, how))
    return {"task_versions": {"mt_bench": mt_bench.RESULT_VERSION}, "task_hashes": {}, "templated": True}


def load_tasks(settings: dict) -> list:
    """The stock tasks of a benchmark; GPQA's with the order of options that the protocol asks for."""
    compile_templates_once()
    manager = task_manager(settings["folder"])
    early_release = not hasattr(manager, "load")
    tasks = early.load(manager, settings["tasks"]) if early_release else manager.load(settings["tasks"])["tasks"]
    gpqa.use_order(tasks, settings.get("gpqa_order", "lm-eval"))
    return list(tasks.values())


def _answer_tasks(lm, settings: dict, store_root: Path, folder: Path) -> dict:
    seeds = settings["seeds"]
    # A cache that an earlier revision of a data set filled would serve its old rows, so each revision has its own.
    lock = records.read_json(store.lock_of_benchmark(store_root, settings["benchmark"]), "lock")
    datasets.config.HF_DATASETS_CACHE = Path(os.environ["HF_DATASETS_CACHE"]) / lock["revision"][:16]
    with working_directory(store_root / "datasets"):
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=load_tasks(settings),
            num_fewshot=settings["num_fewshot"],
            limit=settings["limit"],
            bootstrap_iters=0,
            apply_chat_template=settings["chat_template"],
            fewshot_as_multiturn=settings["fewshot_as_multiturn"] and settings["chat_template"],
            task_manager=task_manager(settings["folder"]),
            random_seed=seeds["python"],
            numpy_random_seed=seeds["numpy"],
            torch_random_seed=seeds["torch"],
            fewshot_random_seed=seeds["fewshot"],
        )
    for task, samples in results.pop("samples").items():
        lines = (json_text(sample) for sample in samples)
        (folder / f"samples_{task}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "results.json").write_text(json_text(results, indent=1), encoding="utf-8")
    configs = json.loads(json_text(results["configs"]))
    return {
        "task_versions": {task: results["versions"][task] for task in settings["tasks"]},
        "task_hashes": {task: task_hash(configs[task]) for task in settings["tasks"]},
        "templated": settings["chat_template"],
    }


def task_hash(config: dict) -> str:
    """Digest of a task's settings; lm-eval writes some functions with their place in memory, which is another in each process."""
    return records.digest(json.loads(MEMORY.sub("at 0x", json.dumps(config))))[:16]


def json_text(value, **how) -> str:
    """JSON as lm-eval itself writes it."""
    return json.dumps(value, default=handle_non_serializable, ensure_ascii=False, **how)
