"""Measure what rounding does to log-likelihoods of a checkpoint on this machine, and where the scoring engine stands.

Reads a checkpoint and a file of requests (bench/requests_of_tasks.py); adds one entry to a JSON file; needs the engine's
environment. The same requests are scored in several ways on one loaded engine, the prefix cache emptied before each:

stock     lm-eval's vLLM back end, all at once
again     the same once more
shuffled  the same in another order
singly    the same, one question at a time (the first --singly questions)
own       vLLM's own prompt log-probabilities without a prefix cache, by the prompts of the self-check
cached    the same with a prefix cache: continuations of a question find its context
engine    this project's engine, all at once; and `engine singly`, one question at a time

An entry has, for each pair of ways, the signed mean of the difference with its error over questions, quantiles of its size
(`records.cell.Differences`), and how many questions have another best answer; and the engine's own self-check.

    workflow/in-env current/vllm python bench/floors.py --requests requests.json.gz --checkpoint DIR --out floors.json
"""

import argparse
import gzip
import json
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "bench")]

PAIRS = [
    ("again", "stock"),
    ("shuffled", "stock"),
    ("singly", "stock"),
    ("own", "stock"),
    ("cached", "own"),
    ("cached", "stock"),
    ("engine", "stock"),
    ("engine", "cached"),
    ("engine singly", "engine"),
    ("engine singly", "singly"),
]
SETTINGS = {"dtype": "auto", "max_model_len": 2048, "gpu_memory_utilization": 0.3, "self_check": 0.0}


def by_document(documents: list, score) -> list[list[tuple[float, bool]]]:
    """Scores of documents, by a function of a list of requests."""
    import scoring

    found = iter(score(scoring.instances(documents)))
    return [[next(found) for _ in document] for document in documents]


def shuffled(documents: list, score) -> list[list[tuple[float, bool]]]:
    """The same with documents, and requests of a document, in another order."""
    order = random.Random(1).sample(range(len(documents)), len(documents))
    found = by_document([documents[at][::-1] for at in order], score)
    back = dict(zip(order, found, strict=True))
    return [back[at][::-1] for at in range(len(documents))]


def vllms_own(lm, documents: list, salt: str | None, whole=None) -> tuple[list, list]:
    """Scores by vLLM's own prompt log-probabilities and the answers they were read from, with a prefix cache if it has a name.

    What that cache hides is taken from `whole`, the answers without one.
    """
    import scoring
    from edge2giant.engine import self_check
    from edge2giant.engine.scoring import Prompt, total

    pairs = lm._encode_all([request.args for request in scoring.instances(documents)])
    prompts = [Prompt([*context, *tail], (), len(context), fresh=salt is None) for context, tail in pairs]
    with lm.meter.call(len(prompts)):
        answers = lm._receive(lm._send(prompts, salt))
    scores = []
    for (context, _), answer, other in zip(pairs, answers, whole or answers, strict=True):
        values = self_check._known(answer, other, len(context))
        scores.append(total(values, other.tops))
    found = iter(scores)
    return [[next(found) for _ in document] for document in documents], answers


def ways(lm, documents: list, singly: int) -> dict[str, list]:
    """Scores in every way."""
    import scoring

    stock, some, found = scoring.stock_of(lm), documents[:singly], {}

    def ask(requests):
        return stock.loglikelihood(requests, disable_tqdm=True)

    def fresh(name, work):
        lm.model.reset_prefix_cache()
        began = time.perf_counter()
        found[name] = work()
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)

    by_document(some[:8], ask)  # the first call compiles
    by_document(some[:8], lm.loglikelihood)
    fresh("stock", lambda: by_document(documents, ask))
    fresh("again", lambda: by_document(documents, ask))
    fresh("shuffled", lambda: shuffled(documents, ask))
    fresh("singly", lambda: [by_document([one], ask)[0] for one in some])
    own = vllms_own(lm, documents, None)
    found["own"] = own[0]
    fresh("cached", lambda: vllms_own(lm, documents, "cached", own[1])[0])
    fresh("engine", lambda: by_document(documents, lm.loglikelihood))
    fresh("engine singly", lambda: [by_document([one], lm.loglikelihood)[0] for one in some])
    return found


def compared(one: list, other: list) -> dict:
    """Differences of two ways over the questions that both have, and best answers that changed."""
    from edge2giant import typed
    from edge2giant.engine import self_check

    both = list(zip(one, other, strict=False))
    gaps = [[a[0] - b[0] for a, b in zip(mine, its, strict=True)] for mine, its in both]
    changed = sum(self_check._best(mine) != self_check._best(its) for mine, its in both)
    record = typed.as_json(self_check.differences(gaps))
    return {key: value if value is None else float(f"{value:.4g}") for key, value in record.items()} | {
        "questions": len(both), "best_changed": changed,
    }  # fmt: skip


def measure(checkpoint: Path, documents: list, settings: dict, singly: int) -> dict:
    from edge2giant import typed
    from edge2giant.engine import describe, open_engine, usage

    began = time.perf_counter()
    with open_engine("vllm", checkpoint, settings) as lm:
        loaded = time.perf_counter() - began
        found = ways(lm, documents, singly)
        usage(lm)
        lm._share, lm._limit = 1.0, 64
        by_document(documents, lm.loglikelihood)
        engine = describe(lm)
    check = engine.pop("self_check")
    return {
        "load_seconds": round(loaded, 1),
        "engine": {key: engine[key] for key in ("version", "dtype", "kernel", "settings")},
        "mean_log_likelihood": {name: mean(values) for name, values in found.items() if "singly" not in name},
        "pairs": {f"{a} - {b}": compared(found[a], found[b]) for a, b in PAIRS},
        "self_check": typed.as_json(check),
    }


def mean(values: list) -> float:
    flat = [score[0] for document in values for score in document]
    return round(sum(flat) / len(flat), 5)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=Path, required=True)
    options.add_argument("--benchmark", default="truthfulqa")
    options.add_argument("--checkpoint", type=Path, required=True)
    options.add_argument("--settings", type=json.loads, default={}, help="settings of the engine that differ, as JSON")
    options.add_argument("--singly", type=int, default=60, help="questions that are also asked one at a time")
    options.add_argument("--label", default="", help="what differs from the other entries")
    options.add_argument("--out", type=Path, required=True, help="JSON, added to if it is there")
    asked = options.parse_args()
    documents = json.loads(gzip.decompress(asked.requests.read_bytes()))[asked.benchmark]["documents"]
    made = json.loads((asked.checkpoint / "checkpoint.json").read_text(encoding="utf-8"))
    entry = {"variant": "/".join(made["variant"][key] for key in ("model", "method", "bits")), "label": asked.label}
    entry |= {"questions": len(documents), "requests": sum(map(len, documents))}
    entry |= measure(asked.checkpoint, documents, SETTINGS | asked.settings, asked.singly)
    done = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else []
    asked.out.write_text(json.dumps([*done, entry], indent=1) + "\n", encoding="utf-8")
    for name, pair in entry["pairs"].items():
        error = pair["error"] or 0.0
        print(
            f"{entry['variant']:44s} {name:24s} {pair['mean']:+.4f} ({error:.4f})  abs {pair['mean_abs']:.4f}"
            f"  99% {pair['ninety_nine_hundredths']:.3f}  largest {pair['largest']:.3f}  changed {pair['best_changed']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
