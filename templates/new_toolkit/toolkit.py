"""NAME: what the toolkit does, in one sentence. Its paper or documentation, and the release that this module was written for.

As it stands this template drives llmcompressor's round to nearest, so that it runs. Replace what is marked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.scheme import COMPRESSED
from edge2giant.typed import Positive, Text

# Replace: the distributions whose versions decide the weights, the toolkit's own first; and what to cite.
PACKAGES = ("llmcompressor", "compressed-tensors", "transformers", "torch")
CITATION = "the vLLM project, llm-compressor, https://github.com/vllm-project/llm-compressor"


@dataclass(frozen=True)
class ToolkitRecipe:
    """What a recipe may hold. Replace: the name, which no other class has, and the fields; one with a default may be left out."""

    bits: Literal[4, 8]
    group_size: Positive
    ignore: tuple[Text, ...]


RECIPE = ToolkitRecipe


def scheme(recipe: dict) -> Integers:
    """What the numbers of the checkpoint will be. Replace: the class of `schemes/` that describes them."""
    return Integers(COMPRESSED, recipe["bits"], recipe["group_size"])


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Write weights and config to `out_dir`. Replace the body; import the toolkit here, not above.

    Parameters
    ----------
    model_dir : Path
        The unquantized model.
    recipe : dict
        As `RECIPE` allows it.
    calibration : quantize.calibration.Calibration or None
        `calibration.token_ids` is a list of lists of token ids; None where the recipe's `calibration` is null.
    out_dir : Path
        An empty folder. The tokenizer's files are added by the caller.
    """
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM

    weights = {"num_bits": recipe["bits"], "type": "int", "strategy": "group", "group_size": recipe["group_size"]}
    group = {"targets": ["Linear"], "weights": weights | {"symmetric": True, "dynamic": False}}
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype="auto", trust_remote_code=False)
    oneshot(model=model, recipe=QuantizationModifier(ignore=recipe["ignore"], config_groups={"group_0": group}))
    model.save_pretrained(out_dir, save_compressed=True)
    # also: transform="smoothing" if scales were moved between layers; fallbacks: what was changed because the recipe failed
    return ExecutedRecipe(recipe, ignore=tuple(recipe["ignore"]))
