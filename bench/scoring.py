"""Time the engines on the same requests and the same checkpoint, and compare their results.

Reads a model directory and a file of requests; writes one JSON file; needs the engines' environment.

For every benchmark, in one process with one vLLM engine:

stock     lm-eval's vLLM back end
fast      this project's engine, self-check off
prefill   the prompts with every distinct token once, sorted, prefix cache on, no result: the lower bound
noise     stock again on a part of the documents, one at a time: what another batch does to the answers
hf        lm-eval's transformers back end, on fewer requests (--hf-share)

Times are of scoring: requests in, log-likelihoods out, tokenization and sorting included. The prefix cache is
emptied before each measurement.

    python bench/scoring.py --model DIR --requests requests.json.gz --out bench.json
"""

import argparse
import gzip
import json
import os
import random
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow"))


class Busy:
    """Mean share of time in which a kernel ran on the busiest GPU, while the context is open; None without one."""

    def __enter__(self):
        self.seen, self._stop = [], threading.Event()
        try:
            import pynvml

            pynvml.nvmlInit()
            self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self._rates = pynvml.nvmlDeviceGetUtilizationRates
        except Exception:
            self._gpus = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self):
        while self._gpus and not self._stop.wait(0.1):
            self.seen.append(max(self._rates(gpu).gpu for gpu in self._gpus))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.share = sum(self.seen) / len(self.seen) / 100 if self.seen else None


def host_seconds():
    """CPU seconds of this process and of the engine's processes."""
    import psutil

    total = 0.0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            used = process.cpu_times()
            total += used.user + used.system
        except psutil.NoSuchProcess:
            continue
    return total


def instances(documents):
    """Turn documents of the request file into lm-eval requests."""
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type=kind, doc={}, arguments=tuple(arguments), idx=index, metadata=("bench", at, 1))
        for at, document in enumerate(documents)
        for index, (kind, arguments) in enumerate(document)
    ]


def timed(work, lm):
    """Run `work` and return (its result, what it took)."""
    from edge2giant.engine import usage

    usage(lm)
    cpu, began = host_seconds(), time.perf_counter()
    with Busy() as busy:
        result = work()
    seconds = time.perf_counter() - began
    used = usage(lm)
    took = {
        "seconds": seconds,
        "host_cpu_seconds": host_seconds() - cpu,
        "gpu_busy": busy.share,
        **{key: used[key] for key in ("requests", "prompts", "tokens_in", "tokens_cached", "tokens_out", "too_long")},
    }
    return result, took


@contextmanager
def parts_of(lm):
    """Time what this process does in a call of the fast engine, while the context is open."""
    spent = {"encode": 0.0, "send": 0.0, "wait": 0.0}

    def clocked(name, work):
        def run(*arguments, **named):
            began = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                spent[name] += time.perf_counter() - began

        return run

    places = [(lm, "_encode_all", "encode"), (lm, "_send", "send"), (lm, "_receive", "wait")]
    for owner, attribute, name in places:
        setattr(owner, attribute, clocked(name, getattr(owner, attribute)))
    try:
        yield spent
    finally:
        for owner, attribute, _ in places:
            delattr(owner, attribute)


def prefill(lm, requests):
    """Compute every distinct token of the requests once, without a result."""
    from vllm import SamplingParams, TokensPrompt

    pairs = lm._encode_all([request.args for request in requests])
    wholes = sorted({tuple(one) + tuple(tail[:-1]) for one, tail in pairs})
    # a prompt that begins the next one adds nothing
    prompts = [one for one, after in zip(wholes, [*wholes[1:], ()], strict=True) if after[: len(one)] != one]
    prompts = [prompt[-(lm.max_length - 1) :] for prompt in prompts]
    params = SamplingParams(temperature=0.0, max_tokens=1, detokenize=False)
    sent = [TokensPrompt(prompt_token_ids=list(prompt)) for prompt in prompts]

    def work():
        with lm.meter.call(len(requests)):
            lm._count(lm.model.generate(sent, params, use_tqdm=False))

    lm.model.reset_prefix_cache()
    return timed(work, lm)[1]


def best(scores, sizes):
    """Index of the most likely continuation of each document, and its margin over the next one."""
    chosen, at = [], 0
    for size in sizes:
        values = [score[0] for score in scores[at : at + size]]
        order = sorted(range(size), key=lambda index: -values[index])
        chosen.append((order[0], values[order[0]] - values[order[1]] if size > 1 else float("inf")))
        at += size
    return chosen


def quantiles(values):
    """0, 50, 90, 99 and 100 per cent points."""
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0, 0.5, 0.9, 0.99, 1)]


def difference(ours, theirs, sizes):
    """Compare two lists of scores: log-likelihoods, flips of the best answer and their margins."""
    one, other = best(ours, sizes), best(theirs, sizes)
    flips = [mine[1] for mine, its in zip(other, one, strict=True) if mine[0] != its[0]]
    apart = [abs(mine[0] - its[0]) for mine, its in zip(ours, theirs, strict=True)]
    return {
        "documents": len(sizes),
        "flips": len(flips),
        "margins_of_flips": sorted(flips),
        "abs_difference_quantiles": quantiles(apart),
        "greedy_changed": sum(mine[1] != its[1] for mine, its in zip(ours, theirs, strict=True)),
    }


def stock_of(lm):
    """Give lm-eval's own back end on the engine that `lm` has loaded."""
    from edge2giant.engine.vllm import StockVLLM

    stock = object.__new__(StockVLLM)
    stock.__dict__ = lm.__dict__
    return stock


def compare(lm, documents, noise_share):
    """Measure one log-likelihood benchmark."""
    stock, requests = stock_of(lm), instances(documents)
    sizes = [len(document) for document in documents]
    lm.model.reset_prefix_cache()
    slow, stock_took = timed(lambda: stock.loglikelihood(requests, disable_tqdm=True), lm)
    lm.model.reset_prefix_cache()
    with parts_of(lm) as spent:
        fast, fast_took = timed(lambda: lm.loglikelihood(requests), lm)
    result = {
        "stock": stock_took,
        "fast": {**fast_took, "host_seconds": spent},
        "prefill": prefill(lm, requests),
        "fast_against_stock": difference(fast, slow, sizes),
    }
    result["speedup"] = stock_took["seconds"] / fast_took["seconds"]
    result["over_prefill"] = fast_took["seconds"] / result["prefill"]["seconds"]
    if noise_share:
        result["stock_against_stock"] = noise(stock, documents, slow, sizes, noise_share)
    return result


def noise(stock, documents, slow, sizes, share):
    """Score a part of the documents again by the stock back end, each in a batch of its own."""
    chosen = sorted(random.Random(0).sample(range(len(documents)), max(1, round(share * len(documents)))))
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    before = [slow[starts[at] + index] for at in chosen for index in range(sizes[at])]
    again = []
    for at in chosen:
        again += stock.loglikelihood(instances([documents[at]]), disable_tqdm=True)
    return difference(again, before, [sizes[at] for at in chosen])


def generate(lm, documents):
    """Measure one benchmark of written answers: the fast engine writes them as lm-eval's back end does."""
    stock, requests = stock_of(lm), instances(documents)
    lm.model.reset_prefix_cache()
    slow, stock_took = timed(lambda: stock.generate_until(requests, disable_tqdm=True), lm)
    lm.model.reset_prefix_cache()
    fast, fast_took = timed(lambda: lm.generate_until(requests, disable_tqdm=True), lm)
    same = sum(one == other for one, other in zip(slow, fast, strict=True))
    speedup = stock_took["seconds"] / fast_took["seconds"]
    return {"stock": stock_took, "fast": fast_took, "speedup": speedup, "same_answers": same}


def warm(lm, built):
    """Run every path once, so that what is compiled on first use is not measured."""
    documents = [one["documents"][0] for one in built.values() if one["documents"][0][0][0] == "loglikelihood"]
    requests = instances(documents * 2)
    stock_of(lm).loglikelihood(requests, disable_tqdm=True)
    lm.loglikelihood(requests)
    prefill(lm, requests)


def measure_hf(model, built, share, dtype, batch_size):
    """Measure lm-eval's transformers back end on a share of the documents, written answers on two batches of them."""
    from edge2giant.engine import open_engine

    found = {}
    with open_engine("hf", model, {"dtype": dtype, "batch_size": batch_size}) as lm:
        for name, one in built.items():
            requests = instances(one["documents"][:: max(1, round(1 / share))])
            kind = requests[0].request_type
            if kind == "generate_until":
                requests = requests[: 2 * batch_size]
            ask = getattr(lm, kind)
            ask(requests[:8] if kind == "loglikelihood" else requests[:1], disable_tqdm=True)
            found[name] = timed(lambda ask=ask, wanted=requests: ask(wanted, disable_tqdm=True), lm)[1]
            print("hf", name, round(found[name]["seconds"], 2), flush=True)
    return found


def limits_of(words):
    """Read ``300 mmlu=1500``: documents of each benchmark, and exceptions.

    >>> limits_of(["300", "mmlu=1500"])
    {'': 300, 'mmlu': 1500}
    """
    pairs = (word.rpartition("=") for word in words or [])
    return {name: int(number) for name, _, number in pairs}


def select(built, only, limits):
    """Take an even part of each benchmark's documents."""
    for name in only or list(built):
        documents = built[name]["documents"]
        limit = limits.get(name, limits.get("", len(documents)))
        step = max(1, len(documents) // limit)
        yield name, {**built[name], "documents": documents[::step][:limit]}


def parser_of(description):
    """A parser with the options of a bench that loads an engine and asks it a file's requests."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--benchmarks", nargs="*")
    parser.add_argument("--limit", nargs="*", help="documents of each benchmark: 300 mmlu=1500")
    parser.add_argument("--settings", type=json.loads, default={}, help="engine settings, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def requests_of(arguments):
    """The asked part of each benchmark of the file."""
    with gzip.open(arguments.requests, "rt", encoding="utf-8") as file:
        return dict(select(json.load(file), arguments.benchmarks, limits_of(arguments.limit)))


def main():
    parser = parser_of(__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0, help="skip what is left after so long")
    parser.add_argument("--noise", type=float, default=0.25, help="share of documents asked the stock way twice")
    parser.add_argument("--hf-share", type=float, default=0.0, help="share of documents for transformers; 0: none")
    parser.add_argument("--hf-batch", type=int, default=16)
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    built = requests_of(arguments)
    began = time.perf_counter()
    from edge2giant.engine import describe, open_engine

    record = {"architecture": Path(arguments.model).name, "benchmarks": {}}
    settings = {"dtype": "auto", "self_check": 0.0, **arguments.settings}
    with open_engine("vllm", arguments.model, settings) as lm:
        record["start_seconds"] = time.perf_counter() - began
        record["engine"], record["memory"] = describe(lm), lm.memory()
        warm(lm, built)
        record["ready_seconds"] = time.perf_counter() - began
        for name, one in built.items():
            if arguments.seconds and time.perf_counter() - began > arguments.seconds:
                record["benchmarks"][name] = {"skipped": "no time left"}
                continue
            loglikelihood = one["documents"][0][0][0] == "loglikelihood"
            found = compare(lm, one["documents"], arguments.noise) if loglikelihood else generate(lm, one["documents"])
            record["benchmarks"][name] = {
                "documents": len(one["documents"]), "in_the_data": one["in_the_data"], "real": one["real"], **found,
            }  # fmt: skip
            arguments.out.write_text(json.dumps(record, indent=1))
            print(line(name, found), flush=True)
    if arguments.hf_share:
        hf = measure_hf(arguments.model, built, arguments.hf_share, settings["dtype"], arguments.hf_batch)
        for name, took in hf.items():
            record["benchmarks"][name]["hf"] = took
    arguments.out.write_text(json.dumps(record, indent=1))


def line(name, found):
    """One line for a reader who waits."""
    fast = found["fast"]
    if "fast_against_stock" not in found:
        return (
            f"{name:14} stock {found['stock']['seconds']:7.2f} s, fast {fast['seconds']:6.2f} s, "
            f"{fast['tokens_out']} tokens written, {found['same_answers']} answers equal"
        )
    against = found["fast_against_stock"]
    return (
        f"{name:14} stock {found['stock']['seconds']:7.2f} s, fast {fast['seconds']:6.2f} s ({found['speedup']:5.1f}x), "
        f"{found['over_prefill']:4.2f} of prefill, cached {fast['tokens_cached'] / fast['tokens_in']:.0%}, "
        f"encode {fast['host_seconds']['encode']:.2f}, send {fast['host_seconds']['send']:.2f}, "
        f"flips {against['flips']} of {against['documents']}, "
        f"max difference {against['abs_difference_quantiles'][-1]:.2g}"
    )


if __name__ == "__main__":
    main()
