"""``python -m edge2giant.gate``: a verdict for each variant of a study, by a policy.

- ``judge``: from `statistics.json`, cells and the answer cache to a JSON file
- ``show``: that file as a table; ends with an error where a variant has a verdict at which the policy fails
"""

import argparse
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

from edge2giant import errors, records, specs
from edge2giant.errors import UserError
from edge2giant.gate import answers, verdicts
from edge2giant.records.cell import CellRecord
from edge2giant.specs.gate import GateSpec
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.gate", description="Verdicts by a policy.")
    commands = parser.add_subparsers(required=True)
    judge = commands.add_parser("judge", help="write the verdicts")
    specs.add_arguments(judge)
    judge.add_argument("--statistics", type=Path, required=True, help="statistics.json of the study")
    judge.add_argument("--cells", type=Path, nargs="+", required=True, help="cell records of the study")
    judge.add_argument("--answer-cache", type=Path, required=True, help="results/answer_cache")
    judge.add_argument("--out", type=Path, required=True, help="JSON file to write")
    judge.set_defaults(run=_judge)
    show = commands.add_parser("show", help="print the verdicts")
    show.add_argument("verdicts", type=Path, help="file that `judge` wrote")
    show.set_defaults(run=_show)
    return parser.parse_args(argv)


def _judge(options: argparse.Namespace) -> None:
    spec = specs.of_arguments(options, GateSpec)
    cells = {(one.cell.variant, one.cell.benchmark): one for one in (records.read(path, CellRecord) for path in options.cells)}
    rows: dict[Variant, dict] = defaultdict(dict)
    for row in records.read_json(options.statistics)["comparisons"]:
        pooled = f"{row['suite']}/{row['benchmark']}" if row["pooled"] > 1 else row["benchmark"]
        rows[Variant(row["model"], row["method_b"], row["bits_b"])][pooled] = row
    asked = {"loops", "length"} & spec.trip_wires.keys()
    variants = dict.fromkeys(variant for variant, _ in cells if (variant.method, variant.bits) != FP16)
    judged = []
    for variant in variants:
        pairs = _pairs(cells, variant, options.answer_cache) if asked else {}
        judged.append(verdicts.judge(spec, variant, rows[variant], pairs))
    found = [asdict(one) | {"verdict": one.verdict} for one in judged]
    about = {"study": spec.study, "policy": spec.policy, "title": spec.title, "fails": list(spec.fails)}
    records.write_json(options.out, about | {"variants": found})


def _pairs(cells: dict[tuple, CellRecord], variant: Variant, cache: Path) -> dict[str, tuple[dict, dict]]:
    """Written answers of the unquantized model and of a variant, by benchmark."""
    reference, found = Variant(variant.model, *FP16), {}
    for (one, benchmark), cell in cells.items():
        if one == variant and (reference, benchmark) in cells:
            sides = tuple(answers.written(side, cache) for side in (cells[reference, benchmark], cell))
            if all(sides):
                found[benchmark] = sides
    return found


def _show(options: argparse.Namespace) -> None:
    found = records.read_json(options.verdicts)
    print(table(found))
    failed = [one for one in found["variants"] if one["verdict"] in found["fails"]]
    if failed:
        names = ", ".join(Variant(**one["variant"]).path for one in failed)
        raise UserError(f"{len(failed)} of {len(found['variants'])} variants fail: {names}", f"policy {found['policy']}")


def table(found: dict) -> str:
    """Every variant with its verdict, and a line for each check that decides it."""
    lines = [("variant", "verdict", "because")]
    for one in found["variants"]:
        first, *others = _decisive(one)
        lines += [(Variant(**one["variant"]).path, one["verdict"], first), *(("", "", other) for other in others)]
    widths = [max(len(line[place]) for line in lines) for place in (0, 1)]
    counts = Counter(one["verdict"] for one in found["variants"])
    return "\n".join(
        [
            f"study {found['study']}, policy {found['policy']}: {found['title']}\n",
            *(f"{name:<{widths[0]}}  {verdict:<{widths[1]}}  {why}" for name, verdict, why in lines),
            f"\n{sum(counts.values())} variants: {', '.join(f'{counts[verdict]} {verdict}' for verdict in verdicts.ORDER)}",
        ]
    )


def _decisive(one: dict) -> list[str]:
    checks = [check for check in one["checks"] if check["verdict"] == one["verdict"]]
    if not checks:
        return ["nothing that the policy names was measured"]
    if one["verdict"] == verdicts.PASS:
        return [f"{len(checks)} checks"]
    return [f"{check['name']}: {check['why']}" for check in checks]


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    options.run(options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
