"""Score an installed model of the demonstration on its twelve benchmarks by stock lm-eval, beside chance.

``workflow/in-env cpu/main python tests/demo_scores.py --help``; the working directory becomes the store's ``datasets`` folder.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

SHOTS = {
    "arc_challenge": ("arc_challenge", 25),
    "hellaswag": ("hellaswag", 10),
    "truthfulqa": ("truthfulqa_mc2", 0),
    "mmlu": ("mmlu", 5),
    "winogrande": ("winogrande", 5),
    "gsm8k": ("gsm8k", 5),
    "bbh": ("leaderboard_bbh", None),
    "gpqa": ("leaderboard_gpqa_extended", None),
    "ifeval": ("leaderboard_ifeval", None),
    "math_lvl5": ("leaderboard_math_hard", None),
    "mmlu_pro": ("leaderboard_mmlu_pro", None),
    "musr": ("leaderboard_musr", None),
}
METRIC = {
    "arc_challenge": "acc_norm",
    "hellaswag": "acc_norm",
    "gsm8k": "exact_match,strict-match",
    "bbh": "acc_norm",
    "gpqa": "acc_norm",
    "ifeval": "prompt_level_strict_acc",
    "math_lvl5": "exact_match",
    "musr": "acc_norm",
}


def chance(benchmark: str, doc: dict) -> float:
    """Return the share of one question that a guess among the offered answers is worth."""
    if benchmark in ("arc_challenge", "hellaswag", "mmlu", "gpqa"):
        return 0.25
    if benchmark in ("truthfulqa", "winogrande"):
        return 0.5
    if benchmark == "mmlu_pro":
        return 1 / len(doc["options"])
    if benchmark == "musr":
        return 1 / (doc["choices"].count("', '") + 1)
    if benchmark == "bbh":
        if "(A)" in doc["input"]:
            return 1 / doc["input"].count("\n(")
        return 1 / 19 if "How many" in doc["input"] else 0.5
    return 0.0


def evaluate(store: Path, model: str, benchmarks: list[str]) -> dict[str, dict[str, float]]:
    """Return score, standard error, mean chance, number and seconds of each benchmark (0 to 1)."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = (store / "models" / model).resolve()
    engine = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=16)
    manager = TaskManager()
    found = {}
    for benchmark in benchmarks:
        task, shots = SHOTS[benchmark]
        started = time.monotonic()
        result = simple_evaluate(
            engine, tasks=[task], num_fewshot=shots, task_manager=manager, bootstrap_iters=0, log_samples=True
        )
        found[benchmark] = summary(benchmark, result["samples"]) | {"seconds": time.monotonic() - started}
        print(line(benchmark, found[benchmark]), flush=True)
    return found


def line(benchmark: str, f: dict[str, float]) -> str:
    """Return one benchmark's scores as a line of text."""
    sure = (f["score"] - f["chance"]) / max(f["stderr"], 1e-9)
    return (
        f"{benchmark:14s} score {100 * f['score']:5.1f} +- {100 * f['stderr']:4.1f}  chance "
        f"{100 * f['chance']:4.1f}  n {f['n']:3d}  {sure:6.1f} errors above  {f['seconds']:5.1f} s"
    )


def summary(benchmark: str, samples: dict[str, list[dict]]) -> dict[str, float]:
    """Return mean, its standard error, mean chance and number over all questions of a benchmark."""
    metric, _, chosen = METRIC.get(benchmark, "acc").partition(",")
    rows = [r for part in samples.values() for r in part if not chosen or r["filter"] == chosen]
    values = [float(r[metric]) for r in rows]
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
    guess = sum(chance(benchmark, r["doc"]) for r in rows) / len(rows)
    return {"score": mean, "stderr": spread, "chance": guess, "n": len(rows)}


def main() -> None:
    """Print a line a benchmark as it is done; write all as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=Path, help="results/store/miniature")
    parser.add_argument("model", help="tiny-0.4m or tiny-2m")
    parser.add_argument("out", type=Path, nargs="?", help="JSON to write")
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help="default: all twelve")
    options = parser.parse_args()
    store, out = options.store.resolve(), options.out and options.out.resolve()
    os.environ |= {"HF_HUB_OFFLINE": "1", "NLTK_DATA": str(store / "nltk"), "TOKENIZERS_PARALLELISM": "false"}
    os.chdir(store / "datasets")
    found = evaluate(store, options.model, options.benchmarks or list(SHOTS))
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
