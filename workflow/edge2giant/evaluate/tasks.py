"""Run the stock lm-eval tasks over the data sets of the store and write their raw results."""

import contextlib
import json
import math
import os
import re
from functools import cache
from pathlib import Path

import datasets
import lm_eval
import lm_eval.evaluator
import lm_eval.tasks
import lm_eval.utils
from lm_eval.utils import handle_non_serializable

from edge2giant import jsonl, records
from edge2giant.evaluate import early, mt_bench, option_order
from edge2giant.mt_bench import read_questions
from edge2giant.records.lock import Lock
from edge2giant.records.mt_bench import Answer
from edge2giant.specs.evaluate import BenchmarkSpec, TasksSpec
from edge2giant.specs.variant import Variant

TOKEN_PERPLEXITY = "token_perplexity"
KINDS = {"multiple_choice": "loglikelihood"}
"""What lm-eval asks a model for a task's kind of output, where it has another name."""
MEMORY = re.compile(r"at 0x[0-9a-f]+")


@cache
def task_manager(folder: str) -> lm_eval.tasks.TaskManager:
    """Index of the tasks of one folder of lm-eval: the whole index takes seconds, this one next to nothing."""
    path = Path(lm_eval.tasks.__file__).parent / folder
    return lm_eval.tasks.TaskManager(include_path=str(path), include_defaults=False)


def describe_no_machine() -> None:
    """Keep lm-eval from asking pip, the compiler and the GPU about each benchmark's machine: cells have their provenance."""
    lm_eval.evaluator.add_env_info = lambda results: None


def compile_templates_once() -> None:
    """Keep compiled prompt templates: lm-eval compiles them again for every question and example."""
    environment = lm_eval.utils.env
    if not hasattr(environment.from_string, "cache_info"):
        environment.from_string = cache(environment.from_string)


def answer(lm, variant: Variant, benchmark: BenchmarkSpec, store_root: Path, folder: Path) -> dict:
    """Run one benchmark on a loaded model and write its raw answers into `folder`.

    Returns
    -------
    dict
        `task_versions`, `task_hashes`, `seeds` for its provenance, and whether the prompts were `templated`.
    """
    if benchmark.tasks is None:
        return _answer_mt_bench(lm, variant, benchmark, store_root, folder)
    return _answer_tasks(lm, benchmark, store_root, folder)


def _answer_mt_bench(lm, variant: Variant, benchmark: BenchmarkSpec, store_root: Path, folder: Path) -> dict:
    lm.answers_turns = True
    questions, generation = read_questions(store_root / "datasets" / benchmark.name / "question.jsonl"), benchmark.generation
    answers = mt_bench.generate_answers(lm, questions, variant.path.replace("/", "--"), generation)
    jsonl.write(folder / "answers.jsonl", answers, Answer)
    return {
        "task_versions": {benchmark.name: mt_bench.RESULT_VERSION},
        "task_hashes": {},
        "seeds": {"generation": generation.seed},
        "templated": True,
    }


def load_tasks(tasks: TasksSpec) -> list:
    """The stock tasks of a benchmark, with the order of options that the protocol names."""
    compile_templates_once()
    describe_no_machine()
    manager = task_manager(tasks.folder)
    names = list(tasks.names)
    early_release = not hasattr(manager, "load")
    found = early.load(manager, names) if early_release else manager.load(names)["tasks"]
    option_order.use_order(found, tasks.option_order)
    return list(found.values())


def _answer_tasks(lm, benchmark: BenchmarkSpec, store_root: Path, folder: Path) -> dict:
    tasks = benchmark.tasks
    # A cache that an earlier revision of a data set filled would serve its old rows, so each revision has its own.
    lock = records.read(store_root / benchmark.locks[0], Lock)
    datasets.config.HF_DATASETS_CACHE = Path(os.environ["HF_DATASETS_CACHE"]) / lock.revision[:16]
    lm.answers_turns = tasks.chat_template
    with contextlib.chdir(store_root / "datasets"):  # where a data set's hub id is its relative path
        loaded = load_tasks(tasks)
        if hasattr(lm, "expect"):
            lm.expect({KINDS.get(one.OUTPUT_TYPE, one.OUTPUT_TYPE) for one in loaded})
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=loaded,
            num_fewshot=tasks.num_fewshot,
            limit=tasks.limit,
            bootstrap_iters=0,
            apply_chat_template=tasks.chat_template,
            fewshot_as_multiturn=tasks.fewshot_as_multiturn and tasks.chat_template,
            task_manager=task_manager(tasks.folder),
            random_seed=tasks.seeds["python"],
            numpy_random_seed=tasks.seeds["numpy"],
            torch_random_seed=tasks.seeds["torch"],
            fewshot_random_seed=tasks.seeds["fewshot"],
        )
    add_token_perplexity(lm, results)
    for task, samples in results.pop("samples").items():
        lines = (json_text(sample) for sample in samples)
        (folder / f"samples_{task}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "results.json").write_text(json_text(results, indent=1), encoding="utf-8")
    configs = json.loads(json_text(results["configs"]))
    return {
        "task_versions": {task: results["versions"][task] for task in tasks.names},
        "task_hashes": {task: task_hash(configs[task]) for task in tasks.names},
        "seeds": tasks.seeds,
        "templated": tasks.chat_template,
    }


def add_token_perplexity(lm, results: dict) -> None:
    """Add the perplexity of a token where lm-eval has that of a word and a byte, of the same log-likelihoods.

    Tokens are counted as lm-eval scores them, which counts a BOS that the tokenizer adds.
    """
    for task, samples in results["samples"].items():
        if results["configs"][task]["output_type"] != "loglikelihood_rolling":
            continue
        for sample in samples:
            sample[TOKEN_PERPLEXITY] = (sample["word_perplexity"][0], len(lm.tok_encode(sample["arguments"][0][0])))
        loglikelihoods, counts = zip(*(sample[TOKEN_PERPLEXITY] for sample in samples), strict=True)
        results["results"][task][f"{TOKEN_PERPLEXITY},none"] = math.exp(-sum(loglikelihoods) / sum(counts))


def task_hash(config: dict) -> str:
    """Digest of a task's settings; lm-eval writes some functions with their place in memory, which is another in each process."""
    return records.digest(json.loads(MEMORY.sub("at 0x", json.dumps(config))))[:16]


def json_text(value, **how) -> str:
    """JSON as lm-eval itself writes it."""
    return json.dumps(value, default=handle_non_serializable, ensure_ascii=False, **how)
