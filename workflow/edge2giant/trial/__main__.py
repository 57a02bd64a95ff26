"""Quantize a model on this machine and measure what that costs: `make try MODEL=ORG/NAME`, or a folder of safetensors."""

import argparse
import subprocess
import sys
import time

from edge2giant import ROOT, errors
from edge2giant.config import overlay
from edge2giant.errors import UserError
from edge2giant.trial import choice, machine, steps

MAKE = "make"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="make try", description=__doc__)
    add = top.add_argument
    add("model", metavar="MODEL", help="id on the Hugging Face hub, or a folder of this machine")
    add("--benchmarks", default="quick", metavar="SETS", help="quick (the default), leaderboard, suites or benchmarks")
    add("--methods", metavar="METHODS", help="such as awq-llmcompressor/w4a16; what suits the machine where left out")
    add("--limit", type=int, metavar="N", help="questions of each task; all where left out")
    add("--mirror", metavar="FOLDER_OR_URL", help="where models and data come from in place of the hub")
    add("--token-file", metavar="FILE", help="file that holds the hub token")
    add("--plan", action="store_true", help="say what would be done and stop")
    return top


def main() -> int:
    options = parser().parse_args()
    if options.limit is not None and options.limit < 1:
        raise UserError("must be at least 1", "LIMIT", "give a number of questions, or leave it out")
    configured = overlay.read(ROOT, "config").content
    wish = steps.Wish(
        ROOT,
        options.model,
        options.benchmarks,
        options.methods,
        options.limit,
        options.mirror or configured.get("mirror"),
        options.token_file or configured.get("token_file"),
        lambda text: print(text, flush=True),
    )
    began = time.monotonic()
    trial = steps.prepare(wish)
    steps.announce(wish, trial)
    return 0 if options.plan else run(wish, trial, began)


def run(wish: steps.Wish, trial: steps.Trial, began: float) -> int:
    """Make the environments, run the study, and show its tables."""
    needed = choice.environments(trial.config, trial.stack, trial.study.variants)
    wish.say(f"needs    {', '.join(f'.venvs/{one}' for one in needed)}\n")
    if subprocess.run([MAKE, "-s", *(f".venvs/{one}/.ready" for one in needed)], cwd=ROOT).returncode:
        raise UserError("an environment could not be made", ".venvs", "see above, then run the same command again")
    settings = steps.run_settings(wish, trial.study.name)
    done = subprocess.run(command(wish, trial), cwd=ROOT).returncode
    for text in steps.shown(ROOT, trial, settings["results"]):
        wish.say(text)
    report = f"{settings['figures']}/{trial.study.name}/report/index.html"
    wish.say(f"\nafter {steps.in_words(time.monotonic() - began)}")
    if done:
        wish.say("not all of it is done: the reasons stand above; the same command goes on from here")
        return 1
    wish.say(f"report   {report}")
    return 0


def command(wish: steps.Wish, trial: steps.Trial) -> list[str]:
    """Snakemake's command."""
    given = {"study": trial.study.name, "cluster": machine.NAME, "batch": "checkpoint"}
    given |= {key: value for key, value in (("mirror", wish.mirror), ("token_file", wish.token_file)) if value}
    how = ["--cores", "all", "--keep-going", "--rerun-incomplete"]
    if trial.stack != "cpu":
        how = ["--profile", "profiles/workstation"]
    settings = [f"{key}={value}" for key, value in given.items()]
    return [sys.executable, "-m", "snakemake", "--logger", "edge2giant", *how, "all", "report_site", "--config", *settings]


if __name__ == "__main__":
    sys.exit(errors.run(main))
