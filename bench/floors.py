r"""Measure what rounding does to log-likelihoods of a checkpoint on this machine, and where the scoring engine stands.

Reads a checkpoint and a file of requests (bench/requests_of_tasks.py); adds one entry to a JSON file; needs the engine's
environment. The same requests are scored in several ways on one loaded engine, the prefix cache emptied before each:

stock          lm-eval's vLLM back end, all at once; it sorts them by length
other batches  the same in eight calls, each with a random eighth of the questions
again          as stock, once more
singly         the same, one question at a time (the first --singly questions)
own            vLLM's own prompt log-probabilities without a prefix cache, by the prompts of the self-check
cached         the same with a prefix cache: continuations of a question find its context
engine         this project's engine, all at once; and `engine singly`, one question at a time

An entry has, for each pair of ways, the signed mean of the difference with its error over questions, quantiles of its size
(`records.cell.Differences`), and how many questions have another best answer; and the engine's own self-check of all requests.
The entry is written after each way. VALUES.json.gz keeps the scores of all entries, by question.

    workflow/in-env current/vllm python bench/floors.py --requests requests.json.gz --checkpoint DIR \
        --out floors.json --values VALUES.json.gz
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "bench")]

PAIRS = [
    ("other batches", "stock"),
    ("again", "stock"),
    ("singly", "stock"),
    ("own", "stock"),
    ("cached", "own"),
    ("engine", "own"),
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


def other_batches(documents: list, score, calls: int = 8) -> list[list[tuple[float, bool]]]:
    """The same in several calls, each with a random share of the documents; the back end sorts what it gets in one call."""
    order = random.Random(1).sample(range(len(documents)), len(documents))
    found = {}
    for first in range(calls):
        part = order[first::calls]
        found |= zip(part, by_document([documents[at] for at in part], score), strict=True)
    return [found[at] for at in range(len(documents))]


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
        answers = lm.ask_own(prompts, salt)
    scores = []
    for (context, _), answer, other in zip(pairs, answers, whole or answers, strict=True):
        values = self_check._known(answer, other, len(context))
        scores.append(total(values, other.tops))
    found = iter(scores)
    return [[next(found) for _ in document] for document in documents], answers


def ways(lm, documents: list, singly: int) -> Iterator[tuple[str, list]]:
    """Scores in every way, those that say most first."""
    import scoring

    stock, some = scoring.stock_of(lm), documents[:singly]

    def ask(requests):
        return stock.loglikelihood(requests, disable_tqdm=True)

    by_document(some[:8], ask)  # the first call compiles
    by_document(some[:8], lm.loglikelihood)
    own = []  # and its answers
    work = {
        "stock": lambda: by_document(documents, ask),
        "other batches": lambda: other_batches(documents, ask),
        "engine": lambda: by_document(documents, lm.loglikelihood),
        "own": lambda: own.extend(vllms_own(lm, documents, None)) or own[0],
        "cached": lambda: vllms_own(lm, documents, "cached", own[1])[0],
        "singly": lambda: [by_document([one], ask)[0] for one in some],
        "engine singly": lambda: [by_document([one], lm.loglikelihood)[0] for one in some],
        "again": lambda: by_document(documents, ask),
    }
    for name, score in work.items():
        lm.model.reset_prefix_cache()
        began = time.perf_counter()
        yield name, score()
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)


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


def measure(checkpoint: Path, documents: list, settings: dict, singly: int) -> Iterator[tuple[dict, dict]]:
    """What is known after each way: a part of the entry, and all scores by question, in nats to a thousandth."""
    from edge2giant import typed
    from edge2giant.engine import describe, open_engine, usage

    began = time.perf_counter()
    with open_engine("vllm", checkpoint, settings) as lm:
        entry, found, values = {"load_seconds": round(time.perf_counter() - began, 1)}, {}, {}
        engine = describe(lm)
        entry["engine"] = {key: engine[key] for key in ("version", "dtype", "kernel", "settings")}
        for name, scores in ways(lm, documents, singly):
            found[name] = scores
            values[name] = [[round(score[0], 3) for score in document] for document in scores]
            entry["mean_log_likelihood"] = {way: mean(scores) for way, scores in found.items() if "singly" not in way}
            entry["pairs"] = {f"{a} - {b}": compared(found[a], found[b]) for a, b in PAIRS if {a, b} <= set(found)}
            yield entry, values
        usage(lm)
        lm.model.reset_prefix_cache()
        lm._share, lm._limit = 1.0, sum(map(len, documents))
        by_document(documents, lm.loglikelihood)
        yield entry | {"self_check": typed.as_json(describe(lm)["self_check"])}, values


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
    options.add_argument("--values", type=Path, required=True, help="gzipped JSON, added to likewise")
    asked = options.parse_args()
    documents = json.loads(gzip.decompress(asked.requests.read_bytes()))[asked.benchmark]["documents"]
    made = json.loads((asked.checkpoint / "checkpoint.json").read_text(encoding="utf-8"))
    entry = {"variant": "/".join(made["variant"][key] for key in ("model", "method", "bits")), "label": asked.label}
    entry |= {"questions": len(documents), "requests": sum(map(len, documents))}
    done = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else []
    others = json.loads(gzip.decompress(asked.values.read_bytes())) if asked.values.exists() else []
    for found, values in measure(asked.checkpoint, documents, SETTINGS | asked.settings, asked.singly):
        asked.out.write_text(json.dumps([*done, entry | found], indent=1) + "\n", encoding="utf-8")
        kept = [*others, {"variant": entry["variant"], "label": asked.label, "ways": values}]
        asked.values.write_bytes(gzip.compress(json.dumps(kept, separators=(",", ":")).encode(), mtime=0))
    entry |= found
    for name, pair in entry["pairs"].items():
        error = pair["error"] or 0.0
        print(
            f"{entry['variant']:44s} {name:24s} {pair['mean']:+.4f} ({error:.4f})  abs {pair['mean_abs']:.4f}"
            f"  99% {pair['ninety_nine_hundredths']:.3f}  largest {pair['largest']:.3f}  changed {pair['best_changed']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
