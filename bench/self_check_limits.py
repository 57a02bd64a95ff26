"""How often the self-check would warn, with its limits as they are: of right answers, and of answers with a fault put in.

Reads VALUES.json.gz of bench/floors.py. The differences of `engine` and of `cached` from `own` are those that the
self-check compares. Draws whole questions, at most 64 requests as an evaluation does, and judges each draw by
`edge2giant.engine.self_check.outside`. Prints a table.

    workflow/in-env workflow python bench/self_check_limits.py docs/measurements/floors.values.json.gz
"""

import argparse
import gzip
import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow")]

FAULTS = {
    "none": lambda gap, floor: gap,
    "shift of half the floor": lambda gap, floor: gap + 0.5 * floor,
    "shift of the floor": lambda gap, floor: gap + floor,
    "shift of twice the floor": lambda gap, floor: gap + 2 * floor,
    "twice as far": lambda gap, floor: 2 * gap,
    "three times as far": lambda gap, floor: 3 * gap,
    "five times as far": lambda gap, floor: 5 * gap,
}
"""What a fault makes of the engine's difference of a request; `floor` is the mean size of the floor, in nats."""


def apart(one: list, other: list) -> list[list[float]]:
    return [[x - y for x, y in zip(mine, its, strict=True)] for mine, its in zip(one, other, strict=True)]


def drawn(questions: list, requests: int, chance: random.Random) -> list:
    """Whole questions in random order, at most so many requests; at least one."""
    chosen, count = [], 0
    for one in chance.sample(questions, len(questions)):
        count += len(one[0])
        if chosen and count > requests:
            break
        chosen.append(one)
    return chosen


def judged(questions: list, requests: int, samples: int) -> dict[str, dict[str, float]]:
    """Share of samples outside in size and in mean, by fault; and quantiles of what the limits are of, without a fault."""
    from edge2giant.engine import self_check

    chance = random.Random(0)
    floor = sum(abs(value) for _, again in questions for value in again) / sum(len(again) for _, again in questions)
    found = {name: {"size": 0.0, "mean": 0.0} for name in FAULTS}
    ratios, errors = [], []
    for _ in range(samples):
        some = drawn(questions, requests, chance)
        again = self_check.differences([floors for _, floors in some])
        for name, fault in FAULTS.items():
            engine = self_check.differences([[fault(gap, floor) for gap in gaps] for gaps, _ in some])
            if name == "none":
                ratios.append(engine.mean_abs / again.mean_abs if again.mean_abs else 0.0)
                errors.append(abs(engine.mean) / engine.error if engine.error else 0.0)
            for part in self_check.outside(engine, again, len(some), sum(len(gaps) for gaps, _ in some)):
                found[name][part] += 1 / samples
    return found | {"ratio": quantiles(ratios), "errors": quantiles(errors)}


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"{share:g}": ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 0.999)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("values", type=Path)
    options.add_argument("--requests", type=int, default=64)
    options.add_argument("--samples", type=int, default=2000)
    asked = options.parse_args()
    print("| checkpoint | size over floor: half, 99%, 99.9% | mean in errors | " + " | ".join(FAULTS) + " |")
    print("|---" * (3 + len(FAULTS)) + "|")
    for entry in json.loads(gzip.decompress(asked.values.read_bytes())):
        ways = entry["ways"]
        questions = list(zip(*(apart(ways[way], ways["own"]) for way in ("engine", "cached")), strict=True))
        found = judged(questions, asked.requests, asked.samples)
        limits = [" / ".join(f"{value:.2f}" for value in found[of].values()) for of in ("ratio", "errors")]
        warned = [f"{found[name]['size']:.1%}, {found[name]['mean']:.1%}" for name in FAULTS]
        print("| " + " | ".join([entry["variant"], *limits, *warned]) + " |", flush=True)


if __name__ == "__main__":
    main()
