"""The same questions, options, few-shot examples and order in every cell, whatever ran before, and wherever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from edge2giant import records, store
from shared import ROOT, shared

DATA = {
    "arc_challenge": "allenai/ai2_arc",
    "gsm8k": "openai/gsm8k",
    "gpqa": "Idavidrein/gpqa",
    "musr": "TAUR-Lab/MuSR",
}


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A store of the small real samples, with locks."""
    root = tmp_path_factory.mktemp("store")
    for benchmark, repo in DATA.items():
        folder = root / "datasets" / repo
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(shared(f"datasets/{repo}"))
        files = [path for path in folder.rglob("*") if path.is_file()]
        records.write(root / f"datasets/{benchmark}.lock.json", store.make_lock(root / "datasets", files, [repo], "test"))
    return root


def ask(material: Path, out: Path, benchmarks: list[str], hash_seed: int, order: str = "stable") -> Path:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "workflow"), "PYTHONHASHSEED": str(hash_seed), "GPQA_ORDER": order, "HOME": str(out / "home"),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests/ask_everything.py"), str(material), str(out / "cache"), str(out), *benchmarks],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert not run.returncode, run.stderr[-3000:]
    return out


def prompts(out: Path) -> dict[str, list]:
    """Each document's hash, prompt, options, target and few-shot examples, by task."""
    found = {}
    for path in sorted(out.glob("*/samples_*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.name] = [
            (r["doc_id"], r["doc_hash"], r["prompt_hash"], r["target_hash"], json.dumps(r["arguments"])) for r in rows
        ]
    return found


@pytest.mark.toolkit("main")
def test_two_processes_ask_the_same_prompts(material, tmp_path):
    first = ask(material, tmp_path / "a", ["arc_challenge", "gsm8k", "gpqa", "musr"], hash_seed=1)
    second = ask(material, tmp_path / "b", ["musr", "gpqa", "gsm8k", "arc_challenge"], hash_seed=77)
    a, b = prompts(first), prompts(second)
    assert set(a) == {f"samples_{t}.jsonl" for t in ("arc_challenge", "gsm8k", "leaderboard_gpqa_main",
                                                     "leaderboard_gpqa_extended",
                                                     "leaderboard_musr_object_placements")}  # fmt: skip
    assert all(len(rows) >= 18 for rows in a.values())
    assert a == b
    for name in DATA:
        assert (first / name / "hashes.txt").read_text() == (second / name / "hashes.txt").read_text()
        for path in (first / name).glob("samples_*"):
            assert path.read_bytes() == (second / name / path.name).read_bytes()


@pytest.mark.toolkit("main")
def test_questions_keep_their_order_of_options_in_every_set(material, tmp_path):
    """GPQA's main set is a part of its extended set: the same question has the same options in both."""
    out = ask(material, tmp_path, ["gpqa"], hash_seed=5)

    def options(task: str) -> dict:
        rows = (json.loads(line) for line in (out / "gpqa" / f"samples_leaderboard_gpqa_{task}.jsonl").read_text().splitlines())
        return {r["doc"]["Record ID"]: [r["doc"][f"choice{n}"] for n in (1, 2, 3, 4)] + [r["doc"]["answer"]] for r in rows}

    main, extended = options("main"), options("extended")
    assert len(main) == 18 and all(extended[key] == value for key, value in main.items())
    assert len({row[-1] for row in extended.values()}) == 4, "all four places hold the right answer somewhere"


@pytest.mark.toolkit("main")
def test_the_order_of_lm_eval_is_another_in_each_process(material, tmp_path):
    """The reason for all this: without the fix, these two runs ask different prompts."""
    a = ask(material, tmp_path / "a", ["arc_challenge", "gpqa"], 1, order="lm-eval")
    b = ask(material, tmp_path / "b", ["gpqa"], 1, order="lm-eval")
    name = "samples_leaderboard_gpqa_extended.jsonl"
    assert prompts(a)[name] != prompts(b)[name]


def test_the_seed_of_a_question_is_its_ids_own():
    from edge2giant.evaluate import option_order as gpqa

    assert gpqa.seed({"Record ID": "rec1", "Question": "a"}) == gpqa.seed({"Record ID": "rec1", "Question": "b"})
    assert gpqa.seed({"Record ID": "rec1", "Question": "a"}) != gpqa.seed({"Record ID": "rec2", "Question": "a"})
    assert gpqa.seed({"Question": "a"}) != gpqa.seed({"Question": "b"})
    assert gpqa.seed({"Record ID": "rec06pnAkLOr2t2mp"}) == 4930309537355593247  # the value that every machine must find


def test_seeding_questions_leaves_the_generator_as_it_was():
    import random

    from edge2giant.evaluate import option_order as gpqa

    class Rows(list):
        def map(self, function, **_):
            return [row | function(row) for row in self]

    def process(dataset):
        def shuffled(row):
            options = list("abcd")
            random.shuffle(options)
            return {"options": options}

        return dataset.map(shuffled)

    rows = Rows({"Record ID": str(n), "Question": "q"} for n in range(20))
    random.seed(3)
    before = random.getstate()
    first = gpqa.stable_order(process)(rows)
    assert random.getstate() == before
    random.seed(4)
    assert gpqa.stable_order(process)(Rows(reversed(rows)))[::-1] == first
    assert len({tuple(row["options"]) for row in first}) > 5
