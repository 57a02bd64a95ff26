"""Make the demonstration's data and models and serve its judge: ``data``, ``train``, ``install``, ``punkt``, ``judge``.

``data`` writes the store's data sets, calibration sets, MT-Bench files and (shipped) nltk stand-in;
``train`` reads lm-eval's fixed few-shot examples and writes a model; ``install`` copies shipped weights into
a store; ``punkt`` trains the nltk stand-in anew; ``judge`` rates answers by rule behind an OpenAI-compatible endpoint on the
loopback interface. None of them opens another network connection or touches a result.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge2giant import errors

MODELS = ("tiny-0.4m", "tiny-2m")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="write the miniature's data sets and texts into a store")
    data.add_argument("--out", type=Path, required=True, metavar="DIR", help="store, e.g. results/store/miniature")
    data.add_argument("--seed", type=int, default=0, help="which rows are drawn (default 0)")
    train = commands.add_parser("train", help="train a model from scratch on generated text (CPU)")
    train.add_argument("--model", choices=MODELS, required=True)
    train.add_argument("--store", type=Path, help="store whose test questions the text is checked against")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the model")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--steps", type=int, help="optimizer steps (default: those of the shipped weights)")
    install = commands.add_parser("install", help="copy the shipped weights into a store, checking their digests")
    install.add_argument("--model", choices=MODELS, required=True)
    install.add_argument("--out", type=Path, required=True, metavar="DIR", help="store, e.g. results/store/miniature")
    stand_in = commands.add_parser("punkt", help="train the stand-in for nltk's punkt_tab (needs nltk)")
    stand_in.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of its files")
    judge = commands.add_parser("judge", help="serve the rule judge (no language model) until it is terminated")
    judge.add_argument("--port", type=int, default=0, help="loopback port (default: any free one, which is printed)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the heavy imports happen inside it."""
    options = _parser().parse_args(arguments)
    if options.command == "data":
        from . import data

        data.write(options.out, options.seed)
    elif options.command == "train":
        from . import train

        train.run(options.model, options.out, options.store, options.seed, options.steps)
    elif options.command == "judge":
        from . import judge_server

        judge_server.serve(options.port)
    elif options.command == "punkt":
        from . import punkt

        punkt.train(options.out)
    else:
        from . import install

        install.run(options.model, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(errors.run(main))
