"""CPU seconds of validation beside those of making, by method, on one model in one run; the ratio is to the making of GPTQ.

    make bench-validation BENCH_VALIDATED=DIR

Without `--model` a random Llama. Groups are of 64 where a recipe has groups, since 128 does not divide every model.
"""

import argparse
import dataclasses
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]
METHODS = ("gptq-llmcompressor/w4a16", "smoothquant/w8a8", "fp8/w8a8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path, help="folder of a model; a random Llama if not given")
    options.add_argument("--texts", type=Path, required=True, help="folder with miniature/text.jsonl and heldout/text.jsonl")
    options.add_argument("--methods", nargs="+", default=METHODS, help="the first one's making is what all are compared with")
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        from toolkits import SHAPE, make_model

        place = Path(folder)
        model = given.model or make_model(place / "model", SHAPE)
        lines = [measure(place, model.resolve(), given.texts, method) for method in given.methods]
    for line in lines:
        line["ratio"] = round(line["validating"] / lines[0]["making"], 3)
    about = {"model": model.name, "processors": len(os.sched_getaffinity(0)), "threads": os.environ.get("OMP_NUM_THREADS")}
    given.out.write_text(json.dumps(about | {"methods": lines}, indent=1) + "\n", encoding="utf-8")
    print(table(lines))


def measure(place: Path, model: Path, texts: Path, method: str) -> dict:
    """Make and validate one checkpoint as its job does; CPU seconds of each, and the checks with value and limit."""
    from edge2giant.quantize import compat, core, toolkits
    from toolkits import cpu_seconds

    given, times = spec_of(model, method), []
    toolkit, out = toolkits.module(given.toolkit), place / method.replace("/", "-")
    folders = core.Folders(model, texts / "heldout", out, texts / "miniature", cache=place / "cache")
    out.mkdir()
    with compat.readable(model) as view:
        drawn = core.calibrate(given, folders, view)
        times.append(cpu_seconds())
        executed = core.quantize(given.toolkit, given.recipe, model, view, drawn, out)
        core.bring_tokenizer(model, out)
        times.append(cpu_seconds())
        digest = core.digest_of(core.checksums(model))
        found = core.validate(given, given.recipe, toolkit.scheme(given.recipe), executed, folders, view, out, digest)
        times.append(cpu_seconds())
    making, validating = (round(b - a, 1) for a, b in itertools.pairwise(times))
    return {"method": method, "making": making, "validating": validating, "checks": found["checks"]}


def spec_of(model: Path, method: str):
    """The spec of a method's recipe, calibrated as the miniature study."""
    import yaml
    from edge2giant.specs.variant import Variant
    from quantize_model import calibration_set, spec

    recipes, sets = (yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in ("recipes", "calibration"))
    name, bits = method.split("/")
    entry = recipes["methods"][name]
    recipe = json.loads(json.dumps(entry["bits"][bits]["recipe"]).replace('"group_size": 128', '"group_size": 64'))
    drawing = {key: sets["sets"]["miniature"][key] for key in ("packing", "samples", "length", "seed")}
    drawn = calibration_set(name="miniature", **drawing) if entry["bits"][bits]["calibration"] else None
    given = spec(entry["toolkit"], recipe, bits, drawn, variant=Variant(model.name, name, bits))
    return dataclasses.replace(given, heldout=dataclasses.replace(given.heldout, samples=16, length=128))


def table(lines: list[dict]) -> str:
    """Markdown: seconds and ratio by method."""
    rows = [f"| {one['method']} | {one['making']} s | {one['validating']} s | {one['ratio']} |" for one in lines]
    return "\n".join(["| method | making | validation | validation / making of the first |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    main()
