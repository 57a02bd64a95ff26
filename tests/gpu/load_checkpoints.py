"""Load checkpoints in vLLM on a GPU, one after another, and compare their log-probabilities with those of `validation.json`.

Needs the engine's environment (vLLM, lm-eval) and a GPU; no network. From the root of the repository:

    python tests/gpu/load_checkpoints.py --out loads.json results/checkpoints/tiny-2m/*/*/*

Every argument is a folder that `python -m edge2giant.quantize run` wrote. The tokens of the held-out text are scored in three
ways of engine `vllm`: `rows` (each text one prompt, log-probabilities of its own tokens), `texts` (sums over whole texts through
lm-eval's interface) and `next` (one-token answers at every place of one text, the way of MMLU's letters). `rows` are judged as
`edge2giant.quantize.validation.agreement` says; `next` and `texts` have the same limit, from the reference nearer to `rows`.
Beside OUT.json, OUT.values.json.gz keeps every value of `rows` with its reference, so that limits can be studied afterwards. A
failed load is recorded with its reason and the next one is tried; the exit code is the number of checkpoints that did not pass.
Once kernels are compiled, several of these commands may run at the same time on one GPU.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "workflow"))

SETTINGS = {
    "dtype": "float16", "max_model_len": 512, "enforce_eager": True, "self_check": 0.0,
    # so that several of these commands can share a GPU
    "kv_cache_memory_bytes": 2**28, "gpu_memory_utilization": 0.02,
}  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("checkpoints", type=Path, nargs="+")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--settings", type=json.loads, default={}, help="settings of the engine that differ, as JSON")
    options.add_argument("--seconds", type=int, default=300, help="for one checkpoint at most; the first load compiles kernels")
    asked = options.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    record, values = {"settings": SETTINGS | asked.settings, "machine": machine(), "loads": []}, []
    for folder in asked.checkpoints:
        load = attempt(folder, record["settings"], asked.seconds)
        if "values" in load:
            values.append({key: load[key] for key in ("method", "bits", "digest")} | load.pop("values"))
            keep(asked.out.with_suffix(".values.json.gz"), values)
        record["loads"].append(load)
        asked.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(json.dumps({key: load.get(key) for key in ("method", "bits", "passed", "rows", "kernel", "error")}), flush=True)
    return sum(not load["passed"] for load in record["loads"])


def keep(path: Path, values: list[dict]) -> None:
    """Write the values of all loads so far, four decimals each."""
    text = json.dumps(values, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def shortened(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows]


def machine() -> dict:
    """GPU, driver and versions, without starting CUDA in this process."""
    from importlib.metadata import version

    packages = {name: version(name) for name in ("torch", "transformers", "lm_eval")}
    try:
        import pynvml

        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
        return {"gpu": gpu, "driver": pynvml.nvmlSystemGetDriverVersion(), "packages": packages}
    except Exception as none:
        return {"gpu": None, "why": str(none), "packages": packages}


def attempt(folder: Path, settings: dict, seconds: int) -> dict:
    """Load and score one checkpoint, whatever happens."""
    made = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    load = made["variant"] | {"toolkit": made["toolkit"]["name"], "digest": made["digest"]}
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        load |= score(folder, settings)
    except BaseException as fault:
        if isinstance(fault, KeyboardInterrupt):
            raise
        load |= {"passed": False, "error": f"{type(fault).__name__}: {fault}"[:2000], "trace": traceback.format_exc()[-2000:]}
    finally:
        signal.alarm(0)
        end_engines()
    return load


def too_long(*_) -> None:
    raise TimeoutError("checkpoint took too long")


def end_engines(seconds: float = 20) -> None:
    """Wait for the engine's processes, so that the next one finds the GPU's memory free."""
    until = time.monotonic() + seconds
    for child in multiprocessing.active_children():
        child.join(max(0.1, until - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()


def score(folder: Path, settings: dict) -> dict:
    """Open the engine and compare."""
    from edge2giant.engine import describe, open_engine, usage
    from edge2giant.quantize.validation import agreement

    reference = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    samples = reference["token_ids"]
    began = time.perf_counter()
    with open_engine("vllm", folder, settings) as lm:
        loaded = time.perf_counter() - began
        usage(lm)
        answers = {"rows": rows(lm, samples), "next": following(lm, samples[0])}
        with lm.meter.call(len(samples)):
            texts = lm._loglikelihood_tokens([(None, ids[:1], ids[1:]) for ids in samples])
        engine, memory, used = describe(lm), lm.memory(), usage(lm)
    verdict = agreement.judge(answers["rows"], reference, engine["dtype"])
    reference = expected(reference, verdict["reference"])
    judged = len(reference)  # draws are of the first texts alone
    found = {
        "rows": difference(flat(answers["rows"][:judged]), flat(reference)),
        "next": difference(answers["next"], reference[0]),
        "texts": difference(
            [total / (len(ids) - 1) for (total, _), ids in zip(texts[:judged], samples[:judged], strict=True)],
            [sum(row) / len(row) for row in reference],
        ),
    }
    found |= {
        "verdict": verdict, "tokens": len(flat(reference)), "limit": verdict["limit"],
        "mean_logprob": sum(flat(answers["rows"][:judged])) / len(flat(reference)),
        "mean_logprob_of_reference": sum(flat(reference)) / len(flat(reference)),
        "passed": verdict["passed"] and all(found[way]["mean"] <= verdict["limit"] for way in ("next", "texts")),
        "values": {"found": shortened(answers["rows"][:judged]), "reference": shortened(reference)},
    }  # fmt: skip
    return found | {
        "load_seconds": loaded, "score_seconds": used["seconds"], "kernel": engine["kernel"], "engine": engine,
        "weights_bytes": sum(one["weights"] for one in memory), "kv_cache_bytes": sum(one["kv_cache"] for one in memory),
        "peak_gpu_bytes": used["peak_gpu_bytes"],
    }  # fmt: skip


def expected(reference: dict, name: str) -> list[list[float]]:
    """The reference rows: an exact one, or the mean of the draws."""
    if name in reference["exact"]:
        return reference["exact"][name]
    return [[(x + y) / 2 for x, y in zip(*pair, strict=True)] for pair in zip(*reference["rounding"]["means"], strict=True)]


def rows(lm, samples: list[list[int]]) -> list[list[float]]:
    """Log-probability of every token but the first of each text, one prompt a text."""
    from edge2giant.engine.scoring import Prompt

    with lm.meter.call(len(samples)):
        answers = lm.ask_own([Prompt(tuple(ids), rows_from=1, fresh=True) for ids in samples])
    assert all(answer.known_from <= 1 for answer in answers)
    return [[float(value) for value in answer.values] for answer in answers]


def following(lm, ids: list[int]) -> list[float]:
    """The same of one text, each token asked as a one-token answer."""
    asked = [(None, ids[:at], ids[at : at + 1]) for at in range(1, len(ids))]
    with lm.meter.call(len(asked)):
        return [total for total, _ in lm._loglikelihood_tokens(asked)]


def flat(values: list[list[float]]) -> list[float]:
    return [value for row in values for value in row]


def difference(found: list[float], wanted: list[float]) -> dict:
    """Mean and largest absolute difference, nats."""
    gaps = [abs(one - other) for one, other in zip(found, wanted, strict=True)]
    return {"mean": sum(gaps) / len(gaps), "largest": max(gaps)}


if __name__ == "__main__":
    sys.exit(main())
