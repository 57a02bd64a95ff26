"""Time and peak memory of a toolkit module beside its toolkit called directly, on the same model and calibration set, in one run.

Each measurement is a process of its own, and the two sides alternate: the module through `core.quantize` (then the
source's config and unquantized tensors put back), the direct side as the toolkit's own documentation writes it.
Validation and checksums, which the direct side does not have, are left out here and stand in every
`checkpoint.json` (`seconds`). Runs in the toolkit's environment, from the root of the repository:

    workflow/in-env cpu/main python bench/toolkits.py --variants gptq-llmcompressor/w4a16 --calibration DIR --out FILE
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))
TOKENIZER = ROOT / "workflow/demo/models/tiny-2m"
SHAPE = {
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--variants", nargs="+", default=[], help="method/bits of config/recipes.yaml, of one environment")
    options.add_argument("--calibration", type=Path, help="folder with text.jsonl of the set `miniature`")
    options.add_argument("--shape", type=json.loads, default={}, help="of the random model, where it differs, as JSON")
    options.add_argument("--settings", type=json.loads, default={}, help="toolkit parameters that differ, as JSON")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--out", type=Path, help="JSON, added to if it is there")
    options.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        measure(*given.child)
        return
    with tempfile.TemporaryDirectory() as place:
        model = make_model(Path(place) / "model", SHAPE | given.shape)
        for variant in given.variants:
            line = compare(variant, model, given.calibration, given.settings, given.rounds, Path(place))
            keep(given.out, line)
            print(json.dumps(line), flush=True)


def keep(out: Path | None, line: dict) -> None:
    if out:
        done = json.loads(out.read_text()) if out.exists() else []
        out.write_text(json.dumps([*done, line], indent=1) + "\n")


def make_model(folder: Path, shape: dict) -> Path:
    """Write a Llama of random weights with the miniature's tokenizer."""
    import numpy as np
    import torch
    from edge2giant.quantize import tensors

    config = json.loads((TOKENIZER / "config.json").read_text()) | shape | {"torch_dtype": "float16", "dtype": "float16"}
    config["head_dim"] = shape["hidden_size"] // shape["num_attention_heads"]
    generator, hidden, middle = np.random.default_rng(0), shape["hidden_size"], shape["intermediate_size"]

    def matrix(rows, columns):
        return torch.from_numpy((generator.standard_normal((rows, columns)) * 0.03).astype(np.float16))

    def norm():
        return torch.ones(hidden, dtype=torch.float16)

    named = {"model.embed_tokens.weight": matrix(config["vocab_size"], hidden), "model.norm.weight": norm()}
    if not config.get("tie_word_embeddings"):
        named["lm_head.weight"] = matrix(config["vocab_size"], hidden)
    for number in range(shape["num_hidden_layers"]):
        at = f"model.layers.{number}"
        named |= {f"{at}.input_layernorm.weight": norm(), f"{at}.post_attention_layernorm.weight": norm()}
        named |= {f"{at}.self_attn.{name}_proj.weight": matrix(hidden, hidden) for name in "qkvo"}
        named |= {f"{at}.mlp.{name}_proj.weight": matrix(middle, hidden) for name in ("gate", "up")}
        named[f"{at}.mlp.down_proj.weight"] = matrix(hidden, middle)
    folder.mkdir()
    tensors.write(folder / "model.safetensors", named)
    (folder / "config.json").write_text(json.dumps(config))
    for path in TOKENIZER.glob("*token*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def compare(variant: str, model: Path, calibration: Path, settings: dict, rounds: int, place: Path) -> dict:
    """Measure both sides `rounds` times, in turn, and give the medians and their ratios."""
    found = {"module": [], "direct": []}
    for number in range(rounds):
        for side in ("module", "direct") if number % 2 else ("direct", "module"):
            job = {"variant": variant, "model": str(model), "calibration": str(calibration), "settings": settings}
            out = place / f"{variant.replace('/', '-')}-{side}-{number}"
            command = [sys.executable, __file__, "--child", side, json.dumps(job), str(out), str(place / "measured.json")]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{variant} {side}: {done.stderr[-2000:]}")
            found[side].append(json.loads((place / "measured.json").read_text()))
    medians = {side: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for side, runs in found.items()}
    ratios = {key: round(medians["module"][key] / medians["direct"][key], 3) for key in medians["direct"]}
    return {"variant": variant, "rounds": rounds, "ratio": ratios, "median": medians, "runs": found, "cores": os.cpu_count()}


def measure(side: str, job: str, out: str, into: str) -> None:
    """One measurement, in this process: seconds, seconds of CPU, the most memory held; the toolkit's import is part of it."""
    import yaml
    from edge2giant.quantize import calibration, compat, core
    from edge2giant.specs.quantize import CalibrationSpec

    job = json.loads(job)
    recipes, sets = (yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in ("recipes", "calibration"))
    method, bits = job["variant"].split("/")
    toolkit, width = recipes["methods"][method]["toolkit"], recipes["methods"][method]["bits"][bits]
    recipe = width["recipe"] | job["settings"]
    drawing = {key: sets["sets"]["miniature"][key] for key in ("packing", "samples", "length", "seed")}
    model, out = Path(job["model"]), Path(out)
    out.mkdir()
    text = Path(job["calibration"])
    with compat.readable(model) as view:
        drawn = calibration.load(CalibrationSpec(name="miniature", **drawing), text, view) if width["calibration"] else None
        began, cpu = time.perf_counter(), cpu_seconds()
        if side == "module":
            core.quantize(toolkit, recipe, model, view, drawn, out)
        else:
            DIRECT[toolkit](view, recipe, drawn, out)
        taken = {"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - cpu}
    taken["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    Path(into).write_text(json.dumps(taken))


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def llmcompressor(model_dir: Path, recipe: dict, calibration, out: Path) -> None:
    """As in llmcompressor's examples; AWQ stops on a machine without accelerator but for `unpinned`."""
    import torch
    from datasets import Dataset
    from edge2giant.quantize.toolkits.llmcompressor import unpinned
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    known = {kind.__name__: kind for kind in (GPTQModifier, QuantizationModifier, AWQModifier, SmoothQuantModifier)}
    model = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype=torch.float32)
    modifiers = [known[name](**arguments) for modifier in recipe["modifiers"] for name, arguments in modifier.items()]
    text = {}
    if calibration:
        ids = calibration.token_ids
        text = {
            "dataset": Dataset.from_dict({"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids]}),
            "max_seq_length": calibration.longest, "num_calibration_samples": len(ids), "shuffle_calibration_samples": False,
        }  # fmt: skip
    with unpinned():
        oneshot(model=model, tokenizer=AutoTokenizer.from_pretrained(str(model_dir)), recipe=modifiers, **text)
    model.save_pretrained(str(out), save_compressed=True)


def autoround(model_dir: Path, recipe: dict, calibration, out: Path) -> None:
    """As in AutoRound's README, with token ids for its data set."""
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype=torch.float32)
    tuner = AutoRound(
        model, AutoTokenizer.from_pretrained(str(model_dir)), bits=recipe["bits"], group_size=recipe["group_size"],
        sym=recipe["sym"], iters=recipe["iters"], batch_size=recipe["batch_size"], seed=recipe["seed"],
        nsamples=len(calibration.token_ids), seqlen=calibration.longest, device_map="cpu", enable_torch_compile=False,
        dataset=[torch.tensor([row]) for row in calibration.token_ids],
    )  # fmt: skip
    tuner.quantize_and_save(str(out), format=recipe["export"])


def autoawq(model_dir: Path, recipe: dict, calibration, out: Path) -> None:
    """As in AutoAWQ's examples."""
    import torch
    from awq import AutoAWQForCausalLM
    from transformers import AutoTokenizer

    model = AutoAWQForCausalLM.from_pretrained(str(model_dir), torch_dtype=torch.float32, device_map="cpu")
    model.quantize(
        AutoTokenizer.from_pretrained(str(model_dir)),
        quant_config={key: recipe[key] for key in ("w_bit", "q_group_size", "zero_point", "version")},
        calib_data=calibration.token_ids, max_calib_samples=len(calibration.token_ids), max_calib_seq_len=calibration.longest,
        apply_clip=recipe["apply_clip"], duo_scaling=recipe["duo_scaling"],
    )  # fmt: skip
    model.save_quantized(str(out))


def gptqmodel(model_dir: Path, recipe: dict, calibration, out: Path) -> None:
    """As in GPTQModel's README; on two cores its pool needs the variable that the toolkit module sets as well."""
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    from gptqmodel import GPTQModel, QuantizeConfig

    model = GPTQModel.load(str(model_dir), QuantizeConfig(**recipe, act_group_aware=False))
    model.quantize([{"input_ids": row, "attention_mask": [1] * len(row)} for row in calibration.token_ids], batch_size=1)
    model.save(str(out))


DIRECT = {"llmcompressor": llmcompressor, "autoround": autoround, "autoawq": autoawq, "gptqmodel": gptqmodel}

if __name__ == "__main__":
    main()
