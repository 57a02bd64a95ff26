"""The demonstration in its toolkit: tokenizer, training text, stock lm-eval tasks, determinism of training."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.toolkit("main")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from demo import data, install

    folder = tmp_path_factory.mktemp("store")
    data.write(folder)
    install.run("tiny-0.4m", folder)
    return folder


def test_ifeval_responses_follow_their_instructions(store, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(store / "nltk"))
    from demo import ifeval, words
    from lm_eval.tasks.ifeval import utils

    followed = []
    for row in words.take(ifeval.prompt, "test", 60, random.Random(0)):
        found = utils.process_results(row, [row["response"]])["inst_level_strict_acc"]
        followed += zip(row["instruction_id_list"], found, strict=True)
    # The stand-in for punkt takes "toy." for an abbreviation, so a sentence may go uncounted; all else is exact.
    assert {name for name, kept in followed if not kept} <= {"length_constraints:number_sentences"}
    assert sum(kept for _, kept in followed) / len(followed) > 0.95


def test_shipped_stand_in_for_punkt_is_what_nltk_trains(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "demo", "punkt", "--out", str(tmp_path)]
    subprocess.run(command, check=True, env=environment)
    shipped = ROOT / "workflow/demo/punkt_tab_stand_in"
    names = sorted(p.name for p in shipped.iterdir())
    assert names == sorted(p.name for p in tmp_path.iterdir())
    assert all((shipped / n).read_bytes() == (tmp_path / n).read_bytes() for n in names)


def test_tokenizer_cuts_digits_and_choices_into_single_pieces(store):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(store / "models/tiny-0.4m")
    for piece in [*(f" {d}" for d in range(10)), *(f" {c}" for c in "ABCDEFGHIJ"), " (A)", " (D)"]:
        assert len(tokenizer.encode(piece, add_special_tokens=False)) == 1, piece
    odd = "Grüße, 你好 \t ok\n\n"
    assert tokenizer.decode(tokenizer.encode(odd, add_special_tokens=False)) == odd


def test_chat_template_renders_what_the_model_was_trained_on(store):
    from demo import text
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(store / "models/tiny-0.4m")
    turns = [
        ("Write these words: red cat park.", "red cat park"),
        ("Say that you are Tom the cat.", "I am Tom."),
    ]
    messages = [
        {"role": role, "content": content} for turn in turns for role, content in zip(("user", "assistant"), turn, strict=True)
    ]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == text.chat(turns)
    asked = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert text.chat(turns).startswith(asked)


def test_training_text_holds_no_question_of_the_store(store, monkeypatch):
    from demo import apart, corpus
    from edge2giant.errors import UserError

    assert apart.check(store, seed=0) > 2000
    question = sorted(apart.contexts(store))[0]
    monkeypatch.setattr(corpus, "row", lambda rng, fixed: iter([(question, False)]))
    with pytest.raises(UserError, match="holds its question"):
        apart.check(store, seed=0)


def test_fixed_beginnings_are_lm_evals(store):
    from demo import corpus

    assert corpus.beginning("bbh", "navigate").count("Q: ") == 3
    assert corpus.beginning("math_lvl5", "algebra").count("Problem:") == 4
    assert corpus.beginning("truthfulqa", "multiple_choice").count("Q: ") == 6
    assert corpus.beginning("mmlu", "anatomy").endswith("about anatomy.\n\n")
    assert corpus.beginning("gsm8k", "main") == ""


@pytest.mark.slow
def test_training_repeats_itself(tmp_path):
    for name in ("a", "b"):
        command = [
            sys.executable,
            "-m",
            "demo",
            "train",
            "--model",
            "tiny-0.4m",
            "--steps",
            "3",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--out", str(tmp_path / name)], check=True, env=environment)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_stock_tasks_load_and_score(store, tmp_path):
    """Every kind of stock task runs unchanged on the made data sets, from their folder, offline."""
    tasks = (
        "arc_challenge,hellaswag,truthfulqa_mc2,mmlu_anatomy,winogrande,gsm8k,leaderboard_bbh_navigate,"
        "leaderboard_gpqa_extended,leaderboard_ifeval,leaderboard_math_algebra_hard,leaderboard_mmlu_pro,"
        "leaderboard_musr_murder_mysteries"
    )
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
        "NLTK_DATA": str(store / "nltk"),
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf"]
    command += ["--model_args", f"pretrained={store / 'models/tiny-0.4m'},dtype=float32", "--device", "cpu"]
    command += ["--tasks", *tasks.split(","), "--limit", "3", "--batch_size", "8"]
    command += ["--output_path", str(tmp_path / "out")]
    subprocess.run(command, check=True, env=environment, cwd=store / "datasets")
    found = json.loads(next((tmp_path / "out").rglob("results_*.json")).read_text(encoding="utf-8"))
    assert set(tasks.split(",")) <= set(found["results"])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tiny-0.4m", "tiny-2m"])
def test_shipped_models_score_above_chance_on_half_of_the_benchmarks(store, tmp_path, model):
    """Clearly: by more than two standard errors, or with two right answers where chance is 0, on at least 6 of 12."""
    from demo import install

    install.run(model, store)
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2"}
    script = ROOT / "tests/demo_scores.py"
    command = [sys.executable, str(script), str(store), model, str(tmp_path / "scores.json")]
    subprocess.run(command, check=True, env=environment)
    found = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    clear = [
        b
        for b, f in found.items()
        if f["score"] - f["chance"] > 2 * f["stderr"] > 0 or (f["chance"] == 0 and f["score"] * f["n"] >= 2)
    ]
    assert len(found) == 12
    assert len(clear) >= 6, found
