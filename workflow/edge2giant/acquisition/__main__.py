"""Say what a study will fetch, before anything is fetched, and stop if some of it cannot be had."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, grid, records
from edge2giant.acquisition import plan
from edge2giant.store import sources


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.acquisition", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan", help="repositories, access, bytes and disk")
    planning.add_argument("--study", required=True)
    planning.add_argument("--store", required=True, type=Path, help="results/store/<source>")
    planning.add_argument("--pins", type=Path, help="folder of the committed locks")
    planning.add_argument("--out", type=Path, help="JSON to write")
    sources.add_arguments(planning)
    return top


def main(arguments: list[str] | None = None) -> None:
    """Print the plan; write it, or stop naming all that cannot be had."""
    args = parser().parse_args(arguments)
    house = grid.load()
    wanted = plan.pending(house, house.study(args.study), args.store)
    source_of = sources.choose(args.mirror, args.token_file) if wanted else None
    items, refused = plan.survey(wanted, lambda need: source_of(need.repo_type), args.pins)
    print(plan.text(args.study, items, args.store))
    plan.refuse(args.study, refused, items, args.store)
    if args.out:
        records.write_json(args.out, plan.record(args.study, items))


if __name__ == "__main__":
    sys.exit(errors.run(main))
