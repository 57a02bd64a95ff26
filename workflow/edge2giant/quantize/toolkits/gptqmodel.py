"""GPTQModel: GPTQ by AutoGPTQ's successor, in AutoGPTQ's format.

E. Frantar et al., GPTQ, ICLR 2023, arXiv 2210.17323. Written for gptqmodel 7.6. On two cores it asks its own thread pool for more
workers than the pool has and stops, so its own variable GPTQMODEL_CPU_WORKERS is set there.
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.quantize import toolkits
from edge2giant.quantize.preflight import Verdict
from edge2giant.quantize.toolkits import GroupSize, _making
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.integers import Integers
from edge2giant.typed import Positive, Share

PACKAGES = ("gptqmodel", "transformers", "torch")
CITATION = "ModelCloud, GPTQModel, https://github.com/ModelCloud/GPTQModel"
LEAST_WORKERS = 2
UNMADE = {
    "gemma3_text": "it does not save a config with a rope for each kind of attention",
    "gpt_neox": "it looks for the output layer of gpt_neox, embed_out, under the name lm_head and does not save it",
    "mixtral": "it stores the experts of mixtral under names that its files do not have and vLLM does not look for",
    "phi3": "it stores gate_proj and up_proj, where phi3 has one layer gate_up_proj",
}
"""Model types of which it writes no checkpoint that the model's own class loads."""


@dataclass(frozen=True)
class GPTQModelRecipe:
    """Settings of QuantizeConfig. `dynamic`: its own patterns of layers; `-:` leaves a layer in 16 bits."""

    bits: Literal[4, 8]
    group_size: GroupSize
    desc_act: bool
    sym: bool
    damp_percent: Share
    true_sequential: bool = True
    batch_size: Positive = 1
    dynamic: dict[str, dict] = field(default_factory=dict)


RECIPE = GPTQModelRecipe
ORDERS = {"none": False, "group": True}


def takes(recipe: dict) -> dict:
    return toolkits.renamed(recipe, group_size="group_size", dampening="damp_percent") | {
        "actorder": lambda value: recipe | {"desc_act": ordered(value)},
        "ignore": lambda names: recipe | {"dynamic": recipe.get("dynamic", {}) | {left_alone(name): {} for name in names}},
    }


def ordered(value: str) -> bool:
    if value not in ORDERS:
        raise UserError(f"GPTQModel has no actorder '{value}'", "actorder", f"choose one of: {', '.join(ORDERS)}")
    return ORDERS[value]


def left_alone(name: str) -> str:
    """What `dynamic` calls a layer, or layers by a regular expression, that are left alone."""
    return f"-:{name[3:]}" if name.startswith("re:") else f"-:{re.escape(name)}$"


def left_out(recipe: dict) -> tuple[str, ...]:
    return ("lm_head", *(f"re:{one[2:]}" for one in recipe.get("dynamic", {}) if one.startswith("-:")))


def scheme(recipe: dict) -> Integers:
    return Integers("gptq", recipe["bits"], recipe["group_size"], recipe["sym"], desc_act=recipe["desc_act"])


def check_making(facts: ModelFacts, recipe: dict, device: str) -> list[Verdict]:
    return _making.check_unmade("GPTQModel 7.6", UNMADE, facts, "use method gptq-llmcompressor")


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Run GPTQ over every linear layer but the head."""
    enough_workers()
    from gptqmodel import GPTQModel, QuantizeConfig

    model = GPTQModel.load(str(model_dir), QuantizeConfig(**settings(recipe)), trust_remote_code=False)
    calibrated_in = str(model.model.dtype).removeprefix("torch.")
    examples = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in calibration.token_ids]
    shortest = min(map(len, calibration.token_ids))
    model.quantize(examples, batch_size=recipe.get("batch_size", 1), calibration_data_min_length=min(10, shortest))
    model.save(str(out_dir))
    drop_traces(out_dir)
    return ExecutedRecipe(recipe | {"calibrated_in": calibrated_in}, ignore=left_out(recipe))


def drop_traces(out_dir: Path) -> None:
    """Take out of the config what GPTQModel notes of its run: a folder of this machine, another one each time.

    Other readers of the format (AutoRound's layers in transformers) take a config with such notes for another version of it.
    """
    for path in (out_dir / "config.json", out_dir / "quantize_config.json"):
        if path.is_file():
            config = json.loads(path.read_text(encoding="utf-8"))
            config.get("quantization_config", config).pop("meta", None)
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def settings(recipe: dict) -> dict:
    """Arguments of QuantizeConfig; group-aware ordering is off, since AutoGPTQ has none."""
    kept = {key: value for key, value in recipe.items() if key != "batch_size"}
    return kept | {"act_group_aware": False}


def enough_workers() -> None:
    """Give GPTQModel's thread pool at least LEAST_WORKERS workers; a larger machine or the user's own setting is left alone."""
    if (os.cpu_count() or 1) < 2 * LEAST_WORKERS:
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(LEAST_WORKERS))


def load(checkpoint_dir: Path):
    """Load a checkpoint with GPTQModel's own layers."""
    enough_workers()
    import torch
    from gptqmodel import BACKEND, GPTQModel

    return GPTQModel.load(
        str(checkpoint_dir), backend=BACKEND.TORCH, device="cpu", dtype=torch.float16, trust_remote_code=False
    ).model.eval()
