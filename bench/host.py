"""What the host does for each prompt: CPU time of the front end and of the engine's processes, two ways in one run.

Needs the engines' environment, a model directory and a file of requests, as bench/scoring.py does; writes one JSON file and
prints a table. A model that costs nearly nothing shows the host best (`random_model.py --architecture least`).

single    each prompt is a request that vLLM's own front end sends and follows
packs     many prompts in a message, past that front end (`engine/packs.py`)

Encoding texts is the same in both and counted by itself. The prefix cache is emptied before each measurement. Rounds
alternate; the least of each way counts, since other work on the machine only adds.

    python bench/host.py --model DIR --requests requests.json.gz --out host.json
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow"))

from scoring import instances, parser_of, requests_of

COLUMNS = "benchmark", "requests / prompts", "process", "single: us a prompt", "packs: us a prompt", "less"


def cpu_seconds():
    """CPU seconds so far of this process (`front end`) and of the engine's, by their names."""
    import psutil

    me = psutil.Process()
    found = {"front end": time.process_time()}
    for process in me.children(recursive=True):
        name = next((word for word in process.cmdline() if word.startswith("VLLM::")), None)
        if name:
            used = process.cpu_times()
            found[name.removeprefix("VLLM::")] = found.get(name.removeprefix("VLLM::"), 0.0) + used.user + used.system
    return found


def measured(lm, requests):
    """Score requests; gives CPU seconds by process, encoding by itself, with the wall time and counts, and the scores."""
    from edge2giant.engine import usage

    encoding, places = 0.0, ((lm, "_encode_all"), (lm._encoder, "begin"))

    def timed(work):
        def run(texts):
            nonlocal encoding
            began = time.thread_time()
            found = work(texts)
            encoding += time.thread_time() - began
            return found

        return run

    lm.model.reset_prefix_cache()
    usage(lm)
    for owner, name in places:
        setattr(owner, name, timed(getattr(owner, name)))
    before, began = cpu_seconds(), time.perf_counter()
    scores = lm.loglikelihood(requests)
    wall, after, used = time.perf_counter() - began, cpu_seconds(), usage(lm)
    for owner, name in places:
        delattr(owner, name)
    took = {name: seconds - before[name] for name, seconds in after.items()}
    took = {**took, "front end": took["front end"] - encoding, "encoding": encoding}
    return {
        "cpu": took,
        "seconds": wall,
        **{key: used[key] for key in ("requests", "prompts", "tokens_in", "tokens_cached")},
    }, scores


def compare(lm, documents, rounds):
    """Measure one benchmark in both ways."""
    requests, fast = instances(documents), lm._fast
    found = {"single": [], "packs": []}
    scores = {}
    for _ in range(rounds):
        for name, way in (("single", lm._own), ("packs", fast)):
            lm._fast = way
            took, scores[name] = measured(lm, requests)
            found[name].append(took)
    apart = max(abs(one[0] - other[0]) for one, other in zip(scores["single"], scores["packs"], strict=True))
    return {"rounds": found, "largest_difference": apart}


def lines(name, one):
    """Lines of the table for a benchmark: one for each process."""
    first = one["rounds"]["packs"][0]
    for process in first["cpu"]:
        single, packs = (
            min(took["cpu"][process] / took["prompts"] for took in one["rounds"][way]) * 1e6 for way in ("single", "packs")
        )
        less = f"{single / packs:.1f}x" if packs else ""
        yield f"| {name} | {first['requests']} / {first['prompts']} | {process} | {single:.0f} | {packs:.0f} | {less} |"
        name = ""


def main():
    parser = parser_of(__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads of their own would count as the front end's
    built = requests_of(arguments)
    from edge2giant.engine import describe, open_engine

    with open_engine("vllm", arguments.model, {"dtype": "auto", "self_check": 0.0, **arguments.settings}) as lm:
        if lm._fast is lm._own:
            raise SystemExit("error: this vLLM takes no packs; there is nothing to compare")
        compare(lm, next(iter(built.values()))["documents"][:4], 1)  # what is compiled on first use
        record = {"engine": describe(lm), "benchmarks": {}}
        print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
        for name, one in built.items():
            record["benchmarks"][name] = found = compare(lm, one["documents"], arguments.rounds)
            print(*lines(name, found), sep="\n", flush=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
