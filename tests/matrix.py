"""Every method on a tiny random model of each architecture: what is validated, and what is refused at planning and why.

`make matrix` runs the four commands in their environments and renders docs/architectures.md. A checkpoint whose spec was run with
the package as it is now is not made again.

    workflow/in-env cpu/main python tests/tiny_models.py results/matrix/models
    workflow/in-env workflow python tests/matrix.py plan results/matrix
    workflow/in-env cpu/main python tests/matrix.py make results/matrix cpu/main
    workflow/in-env workflow python tests/matrix.py table results/matrix
"""

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import traceback
from pathlib import Path

from edge2giant import errors, records, specs
from edge2giant.errors import UserError
from edge2giant.specs.quantize import QuantizeSpec
from shared import ROOT
from tiny_models import MATRIX

STACKS = {"hf": "cpu", "vllm": "cpu-vllm"}
VARIANTS = {
    "hf": [
        "fp8/w8a8", "nvfp4-llmcompressor/w4a4", "nvfp4-llmcompressor/w4a16", "mxfp4-llmcompressor/w4a4",
        "mxfp4-llmcompressor/w4a16", "gptq-llmcompressor/w4a16", "gptq-llmcompressor/w8a16", "gptq-gptqmodel/w4a16",
        "gptq-gptqmodel/w8a16", "gptq-autogptq/w4a16", "smoothquant/w8a8", "awq-llmcompressor/w4a16", "rtn/w4a16", "rtn/w8a16",
    ],
    "vllm": ["awq/w4a16"],
}  # fmt: skip
"""By the engine whose stack loads them."""
VALIDATED, REFUSED, LATE, CRASHED = "validated", "refused by the plan", "refused by the job", "crashed"
MISSING = "not run"
PAGE, MEASURED = "architectures.md", "measurements/architectures.json"


# --- plan: workflow environment ------------------------------------------------------------------------------------------


def plan(place: Path) -> None:
    """Write the cells that a study of each stack has, as its user would plan them."""
    from edge2giant import config
    from edge2giant.plan import overview, quantize

    configure(place)
    loaded, cells = config.load(place), []
    for engine in STACKS:
        study = loaded.study(f"matrix-{engine}")
        seen = overview.Overview(loaded, study, loaded.cluster(None))
        for variant, line in zip(study.variants, seen.lines, strict=True):
            spec = quantize.checkpoint_spec(loaded, study, variant)
            refused = [one for one in line["verdict"].split("; ") if one.startswith("refused: ")]
            cells.append(
                {
                    "model": variant.model,
                    "method": variant.method_bits,
                    "environment": spec.environment,
                    "spec": specs.write(spec, place),
                    "refused": refused[0].removeprefix("refused: ") if refused else None,
                }
            )
    records.write_json(place / "cells.json", cells)
    print(f"{len(cells)} cells, {sum(one['refused'] is not None for one in cells)} refused by the plan")


def configure(place: Path) -> None:
    """Copy the configuration and give it the tiny models, and a study for each stack."""
    import yaml
    from edge2giant.config import model_file
    from edge2giant.models import read

    shutil.rmtree(place / "config", ignore_errors=True)
    shutil.copytree(ROOT / "config", place / "config")
    for name in MATRIX:
        folder = place / "models" / name
        facts = read.read(folder, name, read.tensors_of(folder, name))
        entry = {
            "name": name, "repo": f"edge2giant/{name}", "revision": None, "licence": "none", "gated": False,
            "nominal_billions": round(facts.parameters / 1e9, 6), "made_by": "miniature",
            "config_sha256": records.file_sha256(folder / "config.json"),
        }  # fmt: skip
        model_file.write(place, name, entry, facts)
    for engine, stack in STACKS.items():
        study = {
            "title": "tiny models of many architectures", "source": "miniature", "protocol": "paper", "stack": stack,
            "judge": "miniature", "calibration": "miniature", "benchmarks": ["arc_challenge"], "tables": [1],
            "figure2_models": ["tiny-llama"],
            "models": {name: {"variants": VARIANTS[engine]} for name in MATRIX},
        }  # fmt: skip
        records.write_text(place / f"config/studies/matrix-{engine}.yaml", yaml.safe_dump(study))


# --- make: each toolkit's environment ------------------------------------------------------------------------------------


def make(place: Path, environment: str, only: tuple[str, ...] = ()) -> None:
    """Make and validate the checkpoints that an environment's toolkits are planned to make; a line for each."""
    quiet()
    cells = json.loads((place / "cells.json").read_text())
    here = [one for one in cells if one["environment"] == environment and one["refused"] is None]
    wanted = [one for one in here if not only or any(word in f"{one['model']}/{one['method']}" for word in only)]
    for number, cell in enumerate(wanted, 1):
        path = outcome_path(place, cell)
        outcome = known(path)
        if outcome is None:
            outcome = run(place, cell)
            records.write_json(path, outcome)
        text = f"{outcome['outcome']}, {outcome['seconds']:.1f} s"
        print(f"{number}/{len(wanted)} {cell['model']}/{cell['method']}: {text} {outcome['message'] or ''}", flush=True)


def quiet() -> None:
    """Keep the toolkits' own output from the lines of the matrix."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    logging.disable(logging.WARNING)


def outcome_path(place: Path, cell: dict) -> Path:
    """Where the outcome of a cell lies, by what decides it: its spec and the package."""
    return place / "outcomes" / f"{cell['spec'][:16]}-{code()[:12]}.json"


def code() -> str:
    """Digest of what makes and validates checkpoints."""
    found = hashlib.sha256()
    for folder in ("quantize", "schemes", "models"):
        for path in sorted((ROOT / "workflow/edge2giant" / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def known(path: Path) -> dict | None:
    return json.loads(path.read_text()) if path.is_file() else None


def run(place: Path, cell: dict) -> dict:
    """Make one checkpoint as its job would, and say how that ended."""
    from edge2giant.quantize import core

    spec = specs.read(specs.path(place, cell["spec"]), cell["spec"], QuantizeSpec)
    texts, out = place / "store/calibration", place / "made" / cell["spec"][:16]
    folders = core.Folders(place / "models" / cell["model"], texts / "heldout", out, texts / "miniature")
    began, log = cpu_seconds(), io.StringIO()
    outcome, message, found = VALIDATED, None, None
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            found = core.run(spec, folders)["validation"]
    except UserError as error:
        outcome, message = LATE, str(error)
    except Exception as error:
        outcome, message = CRASHED, f"{type(error).__name__}: {error}".split("\n")[0][:300]
        log.write(traceback.format_exc())
    finally:
        records.write_text(place / "logs" / f"{cell['model']}-{cell['method'].replace('/', '-')}.log", log.getvalue())
        shutil.rmtree(out, ignore_errors=True)
    return {"outcome": outcome, "message": message, "seconds": cpu_seconds() - began, "validation": found}


def cpu_seconds() -> float:
    """Processor time of this process and its children, which other work on the machine hardly changes."""
    return sum(os.times()[:4])


# --- table: workflow environment -----------------------------------------------------------------------------------------


def table(place: Path, docs: Path) -> None:
    """Write the outcomes as JSON and as a page.

    Raises
    ------
    UserError
        If a cell was not run, or is neither validated nor refused by the plan.
    """
    cells = json.loads((place / "cells.json").read_text())
    outcomes = [outcome_of(place, cell) for cell in cells]
    records.write_json(docs / MEASURED, {"processors": os.cpu_count(), "package": code(), "cells": outcomes})
    records.write_text(docs / PAGE, page(outcomes))
    faults = [one for one in outcomes if one["outcome"] not in (VALIDATED, REFUSED)]
    print(f"{docs / PAGE}: {len(outcomes)} cells, {sum(one['outcome'] == VALIDATED for one in outcomes)} validated")
    if faults:
        first = "{model}/{method} {outcome}: {reason}".format_map(faults[0])
        raise UserError(f"{len(faults)} cells are neither validated nor refused by the plan, first {first}", docs / PAGE)


def outcome_of(place: Path, cell: dict) -> dict:
    """What became of a cell, by the plan or by its run."""
    named = {"model": cell["model"], "method": cell["method"]}
    if cell["refused"]:
        return named | {"outcome": REFUSED, "reason": cell["refused"], "seconds": None}
    found = known(outcome_path(place, cell)) or {"outcome": MISSING, "message": "not run with the package as it is now"}
    return named | {"outcome": found["outcome"], "reason": found["message"], "seconds": found.get("seconds")}


def page(outcomes: list[dict]) -> str:
    """The page: architectures down, methods across, seconds of what was validated, letters of reasons for what is refused."""
    methods = list(dict.fromkeys(one["method"] for one in outcomes))
    reasons = {
        reason: chr(ord("a") + number) for number, reason in enumerate(dict.fromkeys(filter(None, map(reason_of, outcomes))))
    }
    lines = [HEAD, "| | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for model in dict.fromkeys(one["model"] for one in outcomes):
        shown = {one["method"]: in_words(one, reasons) for one in outcomes if one["model"] == model}
        lines.append(f"| {model.removeprefix('tiny-')} | " + " | ".join(shown[method] for method in methods) + " |")
    lines += ["", *(f"- **{letter}** {reason}" for reason, letter in reasons.items()), ""]
    counts = [
        f"{sum(one['outcome'] == kind for one in outcomes)} {kind}" for kind in (VALIDATED, REFUSED, LATE, CRASHED, MISSING)
    ]
    seconds = sum(one["seconds"] or 0 for one in outcomes)
    shown = ", ".join(one for one in counts if not one.startswith("0 "))
    lines.append(f"{len(outcomes)} cells: {shown}; {seconds:.0f} CPU seconds in all.")
    if any(one["outcome"] == MISSING for one in outcomes):
        lines += ["", "This page is not whole: cells that are **not run** say nothing yet; `make matrix` runs them."]
    return "\n".join(lines) + "\n" + CASES


def reason_of(outcome: dict) -> str | None:
    """Why a cell is refused by the plan."""
    return outcome["reason"] if outcome["outcome"] == REFUSED else None


def in_words(outcome: dict, reasons: dict[str, str]) -> str:
    if outcome["outcome"] == VALIDATED:
        return f"{outcome['seconds']:.1f} s"
    return reasons[outcome["reason"]] if outcome["outcome"] == REFUSED else f"**{outcome['outcome']}**"


HEAD = """# Architectures

Every method that a CPU makes, on a random model of two layers and hidden size 128 of each architecture
(`tests/tiny_models.py`), through the plan and the job that a study takes. A cell has the CPU seconds in which its checkpoint was
made and validated, or the letter of the reason for which `snakemake plan` refuses it. This page and
`measurements/architectures.json` are written by

```bash
make matrix
```

which makes again only what changed, a process for each environment, and fails if a cell is anything else. The first cell of a
process includes its imports.
"""
CASES = """
## What went wrong once

Tests are files of `tests/`, without their ending.

| case | now | test |
|---|---|---|
| SmoothQuant, Gemma-2 and 3: the default mapping names a wrong norm | refused | test_quantize_smoothing |
| the same with the recipe's own mapping | validated | test_quantize_changes, test_quantize_smoothing |
| GPTQ, norms that add one | validated, the source's tensors put back to the last bit | test_quantize_smoothing |
| AWQ, Qwen2 with biases; SmoothQuant, Phi-3 with fused layers | validated | test_quantize_smoothing |
| routers of mixtures of experts | stay in 16 bits | test_quantize_layers |
| a type that needs code of its repository | refused by add-model, and by acquire before its weights | test_models |
| groups that do not divide the inputs of a layer | refused by the plan, with sizes that fit | test_quantize_preflight |
| GPUs that cannot share heads and groups evenly | not chosen | test_engine_plan |
| values that are not finite in float16 | one line with layer and remedy | test_quantize_layers |
| a bfloat16 model in float16 | the plan warns | test_quantize_preflight |
| AutoAWQ's clipping, whose weights were refused as too small | validated | test_matrix |
| NVFP4, GPT-NeoX: an engine in bfloat16 was held to the limit of float16 | validated | test_quantize_fp4 |
| mixed schemes, Mixtral, whose files have other names than transformers | the same under both | test_schemes_mixed |
| mixed schemes, experts of several | refused by the plan | test_quantize_preflight |
"""
"""What docs/architectures.md says below the matrix."""
COMMANDS = {"plan": plan, "make": make, "table": table}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    options = {name: commands.add_parser(name) for name in COMMANDS}
    for one in options.values():
        one.add_argument("place", type=Path, help="folder of models, specs and outcomes")
    options["make"].add_argument("environment", help="such as cpu/main")
    options["make"].add_argument("--only", nargs="*", default=[], help="parts of MODEL/METHOD/BITS")
    options["table"].add_argument("docs", type=Path, nargs="?", default=ROOT / "docs")
    return top


def main() -> None:
    options = vars(parser().parse_args())
    COMMANDS[options.pop("command")](**options)


if __name__ == "__main__":
    raise SystemExit(errors.run(main))
