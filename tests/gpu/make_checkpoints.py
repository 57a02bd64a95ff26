"""Checkpoints of tiny models and of a real one in every scheme, planned on one machine and made on another that has a GPU.

    workflow/in-env workflow python tests/gpu/make_checkpoints.py plan PLACE
    workflow/in-env current/llmcompressor python tests/gpu/make_checkpoints.py models PLACE
    workflow/in-env current/llmcompressor python tests/gpu/make_checkpoints.py make PLACE [--only PART...]

PLACE holds `store/calibration/{heldout,miniature,real}/text.jsonl` (`real`: any text, for the real model) and, for a real
model, its folder `models/smollm2-135m`. `models` writes the tiny ones, in shapes that vLLM's kernels take: multiples of 256,
heads of 64. `make` makes and validates what was planned, a line each in `PLACE/made.jsonl`; checkpoints lie in
`PLACE/made/<model>/<method>/<bits>`, for `load_checkpoints.py` and `bench/floors.py`.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]

SHAPE = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64}
EXPERTS = {"num_experts": 8, "moe_intermediate_size": 256}
TINY = {"tiny-gemma3": {}, "tiny-qwen2": {}, "tiny-qwen3-moe": EXPERTS}
EVERY = [
    "fp16/w16a16", "fp8/w8a8", "fp8-dynamic/w8a8", "nvfp4-llmcompressor/w4a4", "nvfp4-llmcompressor/w4a16",
    "mxfp4-llmcompressor/w4a4", "mxfp4-llmcompressor/w4a16", "gptq-llmcompressor/w4a16", "gptq-llmcompressor/w8a16",
    "smoothquant/w8a8", "awq-llmcompressor/w4a16", "rtn/w4a16", "rtn/w8a16",
]  # fmt: skip
REAL = {
    "smollm2-135m": [
        "fp16/w16a16", "rtn/w4a16", "fp8/w8a8", "gptq-llmcompressor/w4a16", "gptq-llmcompressor/w8a16", "smoothquant/w8a8",
        "awq-llmcompressor/w4a16",
    ],
    "smollm2-135m-float16": ["awq-llmcompressor/w4a16"],
}  # fmt: skip
GROUPS_OF_64 = ("rtn/w4a16", "gptq-llmcompressor/w4a16", "awq-llmcompressor/w4a16")
"""576 input channels of the real model are no groups of 128."""


def plan(place: Path) -> None:
    """Write the spec of every checkpoint, as a study would plan it for a GPU of compute capability 9.0."""
    import tiny_models
    from edge2giant import config, specs
    from edge2giant.plan import quantize
    from edge2giant.specs.quantize import CalibrationSpec
    from edge2giant.specs.variant import Variant

    loaded, lines = config.load(ROOT), []
    entry = loaded.models["tiny-0.4m"]
    types = {name: tiny_models.MATRIX[name][0] for name in TINY} | dict.fromkeys(REAL, "llama")
    wanted = {name: EVERY for name in TINY} | REAL
    facts = {name: dataclasses.replace(entry.facts, model_type=kind) for name, kind in types.items()}
    models = {name: entry.model_copy(update={"facts": facts[name], "repo": f"edge2giant/{name}"}) for name in wanted}
    loaded = dataclasses.replace(loaded, models=loaded.models | models)
    study = loaded.study("schemes")
    for name, variants in wanted.items():
        for method_bits in variants:
            changes = changes_of(name, method_bits)
            settings = study.model_copy(update={"recipe_settings": {method_bits: changes}, "calibration": "miniature"})
            spec = quantize.checkpoint_spec(loaded, settings, Variant(name, *method_bits.split("/")))
            if name in REAL and spec.calibration:
                spec = dataclasses.replace(spec, calibration=CalibrationSpec("real", "windows", 128, 512, 42))
            lines.append({"model": name, "method": method_bits, "spec": specs.write(spec, place)})
    (place / "planned.json").write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    print(f"{len(lines)} checkpoints planned")


def changes_of(model: str, method_bits: str) -> dict:
    """What a person would write into `recipe_settings` of a study for this model."""
    if model in REAL:
        return {"group_size": 64} if method_bits in GROUPS_OF_64 else {}
    return {"ignore": ["re:.*mlp.gate$"]} if model == "tiny-qwen3-moe" and method_bits != "fp16/w16a16" else {}


def models(place: Path) -> None:
    """Write the tiny models, and the real one in float16 where it is there."""
    import tiny_models

    for name, changes in TINY.items():
        kind, settings, dtype = tiny_models.MATRIX[name]
        shape = {key: value for key, value in SHAPE.items() if key in settings} | {"max_position_embeddings": 1024}
        tiny_models.write(place / "models" / name, kind, settings | shape | changes, dtype)
    real = place / "models/smollm2-135m"
    if real.is_dir():
        in_float16(real, place / "models/smollm2-135m-float16")


def in_float16(source: Path, target: Path) -> None:
    import shutil

    import torch
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(source, dtype=torch.float16).save_pretrained(target)
    for path in source.glob("*token*"):
        shutil.copy(path, target)


def make(place: Path, only: list[str]) -> None:
    """Make what was planned, or those whose MODEL/METHOD/BITS holds one of the given words."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    for line in json.loads((place / "planned.json").read_text(encoding="utf-8")):
        name = f"{line['model']}/{line['method']}"
        if not only or any(word in name for word in only):
            made = attempt(place, line, place / "made" / name)
            with (place / "made.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(made) + "\n")
            print(json.dumps(made), flush=True)


def attempt(place: Path, line: dict, out: Path) -> dict:
    """Make one checkpoint as its job does; how long its parts took, or why it failed."""
    from edge2giant import errors, specs
    from edge2giant.quantize import core
    from edge2giant.specs.quantize import QuantizeSpec

    spec = specs.read(specs.path(place, line["spec"]), line["spec"], QuantizeSpec)
    texts = place / "store/calibration"
    calibration = texts / spec.calibration.name if spec.calibration else None
    cache = place / "validation_cache"
    folders = core.Folders(place / "models" / line["model"], texts / spec.heldout.name, out, calibration, cache=cache)
    began, found = time.perf_counter(), {"model": line["model"], "method": line["method"]}
    try:
        found |= summary(core.run(spec, folders))
    except errors.UserError as error:
        found["refused"] = str(error)
        if " engine in " in str(error):
            found |= without_engine(spec, folders)
    except Exception as error:
        found["crashed"] = f"{type(error).__name__}: {error}"[:500]
        if "conversion of the weights" in str(error):  # transformers cannot load what it saved
            found |= without_engine(spec, folders)
    return found | {"whole_seconds": round(time.perf_counter() - began, 1)}


def summary(record: dict) -> dict:
    return {"seconds": record["seconds"], "memory": record["memory"], "validation": record["validation"]["checks"]}


def without_engine(spec, folders) -> dict:
    """Make a checkpoint whose own loader alone disagreed, so that a serving engine can be held to the independent reference."""
    from edge2giant.quantize import core

    asked, core.toolkits.validation_engine = core.toolkits.validation_engine, lambda *_: "none"
    try:
        return summary(core.run(spec, folders)) | {"engine_asked": "none"}
    finally:
        core.toolkits.validation_engine = asked


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("command", choices=["plan", "models", "make"])
    options.add_argument("place", type=Path)
    options.add_argument("--only", nargs="*", default=[])
    asked = options.parse_args()
    if asked.command == "make":
        make(asked.place, asked.only)
    else:
        {"plan": plan, "models": models}[asked.command](asked.place)


if __name__ == "__main__":
    main()
