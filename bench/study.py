"""Where the time of a study went, from the records that its run left: a table, a CSV file and a figure.

Reads cells, checkpoint records and Snakemake's own record of each job; makes no cell. `--beside N` also runs N cells by lm-eval's
own command, one process a cell, as a loop in a shell would, and says what all cells would take in that way.

    python bench/study.py --study miniature --out results/bench/study-miniature
"""

import argparse
import base64
import csv
import json
import os
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from edge2giant import config as configuration  # noqa: E402
from edge2giant import records, specs  # noqa: E402
from edge2giant.errors import UserError, run  # noqa: E402
from edge2giant.records.cell import CellRecord, Manifest  # noqa: E402
from edge2giant.records.checkpoint import CheckpointRecord  # noqa: E402
from edge2giant.specs.evaluate import EvaluateSpec  # noqa: E402
from edge2giant.specs.variant import Cell  # noqa: E402

PHASES = {
    "plan": "snakemake plans all jobs of the study (`snakemake -n all`, now)",
    "fetch": "models and data come into the store",
    "make": "checkpoints are quantized",
    "validate": "checkpoints are validated",
    "other": "the rest of these jobs: imports, hashes",
    "load": "engines start",
    "wait": "engines wait for requests",
    "score": "engines answer",
    "rest": "the rest of these jobs: imports, hashes, the last scores",
    "cells": "cells are made from answers, answers are judged",
    "show": "tables, figures, statistics",
}
RULES = {
    "quantize": "make",
    "evaluate": "evaluate",
    "score_cell": "cells",
    "extract_answers": "cells",
    "record_reference": "cells",
}
RULES |= {"judge": "cells", "judge_by_served_model": "cells", "measure_judge_noise": "show", "inspect_answers": "show"}
COLOURS = (
    "#bbbbbb",
    "#66ccee",
    "#4477aa",
    "#88aadd",
    "#ccddee",
    "#ccbb44",
    "#ee6677",
    "#228833",
    "#bbddbb",
    "#aa3377",
    "#dd99cc",
)


def jobs(folder: Path, study: str) -> list[dict]:
    """Give rule, start and end of each job that Snakemake has a record of: those of the study, and those that studies share."""
    found = {}
    for path in (folder / ".snakemake/metadata").rglob("*"):
        if not path.is_file():
            continue
        job = json.loads(path.read_text())
        output = base64.b64decode("".join(path.relative_to(folder / ".snakemake/metadata").parts).replace("@", "")).decode()
        shared = "/store/" in output or "/checkpoints/" in output
        if job.get("endtime") and (shared or f"/{study}/" in output):
            found[job["rule"], *job["log"]] = {
                "rule": job["rule"],
                "start": job["starttime"],
                "end": job["endtime"],
                "output": output,
            }
    return list(found.values())


def phase(rule: str) -> str:
    """Name what a rule's jobs are for."""
    fetches = rule.startswith(("acquire", "make_miniature", "share_miniature", "train_miniature", "plan_acquisition"))
    return "fetch" if fetches else RULES.get(rule, "show")


def sheet(config, study, results: Path, done: list[dict]) -> dict[str, float]:
    """Seconds of each phase, summed over jobs; the phases of a job are those that its records name."""
    seconds = dict.fromkeys(PHASES, 0.0)
    by_phase = defaultdict(float)
    for job in done:
        by_phase[phase(job["rule"])] += job["end"] - job["start"]
    for name in ("fetch", "cells", "show"):
        seconds[name] = by_phase[name]
    cells = {cell: records.read(path, CellRecord) for cell in study.cells if (path := results / cell.path).is_file()}
    if not cells:
        raise UserError("no cell exists", f"study {study.name}", "run it first: snakemake all")
    made = {Path(job["output"]).name.split(".")[0] for job in done if job["rule"] == "quantize"}
    for path in {path for path in results.glob("checkpoints/*/*/*/*.json") if path.stem in made}:
        took = records.read(path, CheckpointRecord).seconds
        seconds["validate"] += took.validation or 0.0
        seconds["make"] += (took.calibration or 0.0) + (took.quantize or 0.0)
    seconds["other"] = by_phase["make"] - seconds["make"] - seconds["validate"]
    loads = {(cell.variant, record.cost.load_seconds) for cell, record in cells.items()}
    seconds["load"] = sum(load for _, load in loads)
    seconds["wait"] = sum(record.cost.wait_seconds or 0.0 for record in cells.values())
    seconds["score"] = sum(record.cost.seconds for record in cells.values()) - seconds["wait"]
    seconds["rest"] = by_phase["evaluate"] - seconds["load"] - seconds["wait"] - seconds["score"]
    beside = [sum(getattr(one.cost, name) or 0.0 for one in cells.values()) for name in ("prepare_seconds", "score_seconds")]
    print(
        f"study {study.name}: {len(cells)} of {len(study.cells)} cells, {len(made)} checkpoints made, {len(loads)} engine starts"
    )
    print(f"beside the engines: {beside[0]:.1f} s of preparing requests, {beside[1]:.1f} s of scoring answers")
    return seconds


def planning(study: str, folder: Path) -> float:
    """Seconds in which Snakemake plans the study."""
    began = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "-n", "all", "--quiet", "all", "--config", f"study={study}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"cannot be planned ({(done.stderr or done.stdout).strip().splitlines()[-1]})", f"study {study}")
    return time.monotonic() - began


def span(done: list[dict]) -> float:
    """Seconds in which at least one job ran."""
    total, until = 0.0, 0.0
    for job in sorted(done, key=lambda one: one["start"]):
        total += max(0.0, job["end"] - max(job["start"], until))
        until = max(until, job["end"])
    return total


def by_lm_eval(config, study, results: Path, count: int) -> tuple[list[dict], float]:
    """Run cells by lm-eval's own command and scale what they took beside ours to all of its cells.

    The cells are spread evenly over those of lm-eval's tasks, in the order of their cost.
    """
    scored = []
    for path in sorted((results / study.name / "evaluations").rglob("*.json")):
        manifest = records.read(path, Manifest)
        if not manifest.spec or ".unfinished" in path.name:
            continue
        spec = specs.read(specs.path(results, manifest.spec), manifest.spec, EvaluateSpec)
        for one in spec.benchmarks:
            cell = results / Cell(study.name, spec.variant, one.name).path
            if one.tasks and cell.is_file():
                scored.append((records.read(cell, CellRecord), spec, one))
    unique = {(spec.variant, one.name): (record, spec, one) for record, spec, one in scored}
    ordered = sorted(unique.values(), key=lambda item: item[0].cost.seconds)
    chosen = [ordered[at * (len(ordered) - 1) // max(1, count - 1)] for at in range(min(count, len(ordered)))]
    lines = []
    for record, spec, one in chosen:
        (folder,) = {path.parent for path in results.glob(f"checkpoints/{spec.variant.path}/*/checkpoint.json")} or {None}
        if folder is None:
            raise UserError("its checkpoint is gone", spec.variant.path, "run with keep_checkpoints: true")
        began = time.monotonic()
        alone(spec, one, folder, results / "store" / study.source, results / "bench/cache")
        lines.append(
            {"cell": f"{spec.variant.path}/{one.name}", "ours": record.cost.seconds, "lm-eval": time.monotonic() - began}
        )
    mean = sum(line["lm-eval"] for line in lines) / len(lines)
    return lines, mean * len(ordered)


def alone(spec: EvaluateSpec, one, checkpoint: Path, store: Path, cache: Path) -> None:
    """Run a cell by lm-eval's command, offline, on the engine of the study without what this project adds to it."""
    settings, tasks = spec.engine.settings, one.tasks
    name = "hf" if spec.engine.name == "hf" else "vllm"
    length = "max_length" if name == "hf" else "max_model_len"
    arguments = {"pretrained": checkpoint.resolve(), "dtype": settings["dtype"], length: settings["max_model_len"]}
    arguments["add_bos_token"] = settings.get("add_bos_token", False)
    command = ["workflow/in-env", spec.environment, "sh", "-c"]
    options = ["--model", name, "--model_args", ",".join(f"{key}={value}" for key, value in arguments.items())]
    options += ["--tasks", ",".join(tasks.names), "--num_fewshot", str(tasks.num_fewshot)]
    options += ["--batch_size", str(settings.get("batch_size", 8)) if name == "hf" else "auto"]
    options += ["--limit", str(tasks.limit)] if tasks.limit else []
    options += ["--apply_chat_template"] if tasks.chat_template else []
    call = f"cd {shlex.quote(str((store / 'datasets').resolve()))} && exec python -m lm_eval {shlex.join(options)}"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(cache.resolve())}
    environment |= {"NLTK_DATA": str((store / "nltk").resolve())}
    done = subprocess.run([*command, call], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise UserError(f"lm-eval failed ({' '.join(last)})", f"{spec.variant.path}/{one.name}")


def draw(seconds: dict[str, float], title: str, out: Path) -> None:
    """Draw one bar of all phases."""
    from edge2giant.paper import plotting
    from edge2giant.paper.plotting import plt

    plotting.use_style()
    figure, axes = plt.subplots(figsize=(7.2, 2.4), layout="constrained")
    left = 0.0
    for (name, value), colour in zip(seconds.items(), COLOURS, strict=True):
        axes.barh([0], [value], 0.6, [left], color=colour, label=f"{name} {value:.0f} s")
        left += value
    axes.set_yticks([])
    axes.set_xlabel("seconds, summed over jobs")
    axes.set_title(title)
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.35))
    plotting.save(figure, out, ("svg", "png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", required=True)
    parser.add_argument("--folder", type=Path, default=Path(), help="where snakemake ran")
    parser.add_argument("--results", type=Path, default=Path("results"), help="below it")
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="also run N cells by lm-eval's own command")
    parser.add_argument("--out", type=Path, required=True, help="prefix of the CSV file and the figure")
    options = parser.parse_args()
    config = configuration.load()
    study, results = config.study(options.study), options.folder / options.results
    done = jobs(options.folder, study.name)
    seconds = sheet(config, study, results, done)
    seconds["plan"] = planning(study.name, options.folder)
    total = sum(seconds.values())
    print("\n| phase | | seconds, summed over jobs | share |\n|---|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {PHASES[name]} | {value:.1f} | {value / total:.0%} |")
    engine = seconds["load"] + seconds["wait"] + seconds["score"] + seconds["rest"]
    share = seconds["score"] / engine
    print(f"\nat least one job ran for {span(done):.0f} s; engines answered in {share:.0%} of the time of evaluations")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.with_suffix(".csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("phase", "seconds"), *((name, f"{value:.3f}") for name, value in seconds.items())])
    draw(seconds, f"Study {study.name}", options.out)
    if options.beside:
        lines, scaled = by_lm_eval(config, study, results, options.beside)
        print("\n| cell | seconds of the engine here | lm-eval's own command, a process for the cell |\n|---|---|---|")
        for line in lines:
            print(f"| {line['cell']} | {line['ours']:.1f} | {line['lm-eval']:.1f} |")
        print(
            f"\nall cells of lm-eval's tasks in a loop of such commands: about {scaled:.0f} s; evaluations here: {engine:.0f} s"
        )


if __name__ == "__main__":
    sys.exit(run(main))
