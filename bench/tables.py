"""Print the tables of docs/performance.md from records of bench/scoring.py.

python bench/tables.py docs/measurements/scoring-h200-llama-3.2-1b-it.json
"""

import argparse
import json
from pathlib import Path

SPEED = (
    "benchmark | documents / requests | stock s | fast s | faster | prefill s | over prefill | from cache | prompts | "
    "GPU busy | over HF"
)
SAME = (
    "benchmark | fast against stock: flips | their margins | 50 / 90 / 99 / 100 % | "
    "stock in batches of one: flips | 50 / 90 / 99 / 100 %"
)
WRITTEN = "benchmark | documents | tokens written | stock s | fast s | over HF"


def header(columns):
    """Give the two lines that begin a Markdown table."""
    return f"| {columns} |\n|{'---|' * len(columns.split(' | '))}"


def speed(name, one):
    """Give the line of a benchmark: what it took, and against what."""
    fast, prefill = one["fast"], one["prefill"]
    hf = one.get("hf")
    rate = hf["seconds"] / hf["requests"] / (fast["seconds"] / fast["requests"]) if hf else None
    cells = [
        name,
        f"{one['documents']} / {fast['requests']}",
        f"{one['stock']['seconds']:.2f}",
        f"{fast['seconds']:.2f}",
        f"**{one['speedup']:.1f}x**",
        f"{prefill['seconds']:.2f}",
        f"{one['over_prefill']:.2f}",
        f"{fast['tokens_cached'] / fast['tokens_in']:.0%}",
        f"{one['stock']['prompts']} -> {fast['prompts']}",
        "" if fast["gpu_busy"] is None else f"{fast['gpu_busy']:.0%}",
        f"{rate:.1f}x ({hf['requests']})" if rate else "",
    ]
    return f"| {' | '.join(cells)} |"


def written(name, one):
    """Give the line of a benchmark of written answers."""
    if "fast" not in one:
        return f"| {name} | not run: {one['skipped']} | | | | |"
    hf, fast = one.get("hf"), one["fast"]
    rate = f"{hf['seconds'] / hf['tokens_out'] / (fast['seconds'] / fast['tokens_out']):.0f}x ({hf['requests']})" if hf else ""
    cells = [
        name, str(one["documents"]), str(fast["tokens_out"]), f"{one['stock']['seconds']:.2f}", f"{fast['seconds']:.2f}", rate,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def points(found):
    """Give the upper quantiles of the differences, in nats."""
    return " / ".join(f"{value:.3f}" for value in found["abs_difference_quantiles"][1:])


def same(name, one):
    """Give the line of a benchmark: how far the answers are apart."""
    fast, noise = one["fast_against_stock"], one.get("stock_against_stock")
    margins = ", ".join(f"{value:.3f}" for value in fast["margins_of_flips"])
    cells = [name, f"{fast['flips']} of {fast['documents']}", margins, points(fast)]
    cells += [f"{noise['flips']} of {noise['documents']}", points(noise)] if noise else ["", ""]
    return f"| {' | '.join(cells)} |"


def whole(scored):
    """Scale the seconds to the documents of the real sets and sum them."""
    totals = {
        kind: sum(one[kind]["seconds"] * one["real"] / one["documents"] for one in scored.values())
        for kind in ("stock", "fast", "prefill")
    }
    return (
        f"At the real sets' sizes: stock {totals['stock']:.0f} s, fast {totals['fast']:.0f} s, "
        f"prefill {totals['prefill']:.0f} s: "
        f"{totals['stock'] / totals['fast']:.1f}x, {totals['fast'] / totals['prefill']:.2f} of prefill."
    )


def tables(record):
    """Give the tables of one record, as lines."""
    scored = {name: one for name, one in record["benchmarks"].items() if "prefill" in one}
    asked = {name: one for name, one in record["benchmarks"].items() if "prefill" not in one}
    yield header(SPEED)
    yield from (speed(*item) for item in scored.items())
    yield "\n" + whole(scored) + "\n"
    if asked:
        yield header(WRITTEN)
        yield from (written(*item) for item in asked.items())
        yield ""
    yield header(SAME)
    yield from (same(*item) for item in scored.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("record", type=Path)
    print("\n".join(tables(json.loads(parser.parse_args().record.read_text()))))


if __name__ == "__main__":
    main()
