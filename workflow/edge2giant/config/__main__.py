"""Write the JSON schemas that editors check config files with."""

import argparse
from pathlib import Path

from edge2giant import errors
from edge2giant.config import schemas


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.config", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("schemas", help="make workflow/schemas/<name>.schema.json from the models")
    command.add_argument("--out", type=Path, default=schemas.FOLDER, help="folder to write to")
    for path in schemas.write(parser.parse_args().out):
        print(path)


if __name__ == "__main__":
    raise SystemExit(errors.run(main))
