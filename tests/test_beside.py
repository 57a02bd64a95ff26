"""Benchmarks that are prepared and scored beside the engine: the same answers, and no fault of one process reaches another."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import yaml
from edge2giant import engine
from edge2giant.errors import UserError
from edge2giant.specs.evaluate import BenchmarkSpec, EngineSpec, EvaluateSpec, TasksSpec
from edge2giant.specs.variant import Variant
from shared import ROOT, shared
from stock_agreement import make_store

pytestmark = pytest.mark.toolkit("main")
MODEL = ROOT / "workflow/demo/models/tiny-0.4m"
ENTRIES = yaml.safe_load((ROOT / "config/benchmarks.yaml").read_text(encoding="utf-8"))["benchmarks"]
NAMES = ("arc_challenge", "gsm8k", "gpqa", "truthfulqa")
VARIANT = Variant("tiny-0.4m", "fp16", "w16a16")
SETTINGS = {"dtype": "float32", "batch_size": 4, "max_model_len": 4096}
SEEDS = {"python": 0, "numpy": 1234, "torch": 1234, "fewshot": 1234}
CHAT = "{% for message in messages %}<{{ message.role }}>{{ message.content }}</{{ message.role }}>{% endfor %}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "store", shared("datasets"), NAMES)


@pytest.fixture(scope="module")
def lm():
    with engine.open_engine("hf", MODEL, SETTINGS | {"chat_template": CHAT}) as lm:
        yield lm


def benchmark(name, chats=False, **changes):
    entry = ENTRIES[name] | changes
    order = "stable" if entry.get("shuffled") else "lm-eval"
    wanted = TasksSpec(tuple(sorted(entry["tasks"])), entry["folder"], entry["num_fewshot"], chats, chats, 3, SEEDS, order)
    return BenchmarkSpec(name, (f"datasets/{name}.lock.json",), wanted)


def started(store, folder, *benchmarks):
    from edge2giant.evaluate import beside

    spec = EvaluateSpec("smoke", VARIANT, "all", benchmarks, EngineSpec("hf", SETTINGS | {"chat_template": CHAT}), "cpu/main", 1)
    return beside.started(spec, benchmarks, MODEL, store, {one.name: folder / f"{one.name}.scoring" for one in benchmarks})


def content(folder):
    """What is kept of a benchmark, without the line about the machine and the time in lm-eval's results."""
    files = {path.name: path.read_text() for path in folder.iterdir()}
    results = json.loads(re.sub("at 0x[0-9a-f]+", "", files.pop("results.json")))  # functions, by their place in memory
    return files, {key: results[key] for key in ("results", "configs", "versions", "n-shot", "n-samples", "higher_is_better")}


@pytest.mark.parametrize("chats", [False, True])
def test_answers_and_scores_are_those_of_one_process(store, lm, tmp_path, chats):
    from edge2giant.evaluate import tasks

    wanted = [benchmark(name, chats) for name in NAMES]
    with started(store, tmp_path, *wanted) as helpers:
        for one in wanted:
            helpers[one.name].serve(lm)
        beside = {}
        for one in wanted:
            (tmp_path / one.name).mkdir()
            beside[one.name] = helpers[one.name].take(tmp_path / one.name)
    for one in wanted:
        (tmp_path / "alone" / one.name).mkdir(parents=True)
        made = tasks.answer(lm, VARIANT, one, store, tmp_path / "alone" / one.name)
        assert beside[one.name].made == made
        assert content(tmp_path / one.name) == content(tmp_path / "alone" / one.name)
    assert not list(tmp_path.glob("*.scoring"))


def test_a_process_that_is_killed_fails_its_benchmark_alone(store, lm, tmp_path):
    wanted = [benchmark(name) for name in NAMES[:3]]
    with started(store, tmp_path, *wanted) as helpers:
        os.kill(helpers["arc_challenge"]._process.pid, signal.SIGKILL)
        with pytest.raises(UserError, match=r"arc_challenge: the process .* ended \(exit code -9\)"):
            helpers["arc_challenge"].serve(lm)
        for name in NAMES[1:3]:
            helpers[name].serve(lm)
            (tmp_path / name).mkdir()
            assert helpers[name].take(tmp_path / name).made["task_versions"]


def test_what_is_wrong_with_a_benchmark_is_said_to_the_engines_process(store, lm, tmp_path):
    broken = benchmark("gsm8k", tasks={"gsm8k_of_mine": None})
    with started(store, tmp_path, broken) as helpers, pytest.raises(RuntimeError, match="gsm8k_of_mine"):
        helpers["gsm8k"].serve(lm)


def test_processes_end_with_the_engines(store, tmp_path):
    """A job that is killed leaves none behind: each waits at a pipe that ends with it."""
    child = os.fork()
    if child == 0:
        context = started(store, tmp_path, benchmark("arc_challenge"))
        helpers = context.__enter__()
        (tmp_path / "pid").write_text(str(helpers["arc_challenge"]._process.pid))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(300):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the process is still there after 30 s")
