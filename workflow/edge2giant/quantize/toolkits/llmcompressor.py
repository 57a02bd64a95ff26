"""llmcompressor: GPTQ, SmoothQuant, FP8 and AWQ through `oneshot`. For release 0.14; `_llmcompressor03` has the paper's 0.3.1.

The recipe is llmcompressor's own: a list of modifiers with their arguments, so that what the paper's Figures 5-7 print can be
compared line by line. Reads a model folder and token ids, writes a compressed-tensors checkpoint.

Peculiarities that are handled here:

- When GPTQ in 0.14 cannot factorise a Hessian, it rounds that layer to nearest and warns. Here that is a failure that names the
  layer. The dampening fractions of `fallback_dampening` are tried only where the recipe lists them; the layers and the dampening
  that worked are recorded.
- AWQ in 0.14 pins host memory even without a device to copy to, which fails on a machine without accelerator. `unpinned` makes
  that call do nothing on such a machine. No number changes: pinning only speeds copies.
- CPUs multiply 16-bit floats some ten times slower than 32-bit ones, so without an accelerator the model is calibrated in
  float32 and stored in its own 16-bit type again. The record says which type was used (`calibrated_in`).
"""

import contextlib
import copy
from importlib import metadata
from pathlib import Path

from edge2giant import schemes
from edge2giant.errors import UserError
from edge2giant.quantize import faults
from edge2giant.quantize.toolkits import _llmcompressor03 as early
from edge2giant.quantize.toolkits._llmcompressor_recipe import ModifierRecipe
from edge2giant.schemes.scheme import COMPRESSED, Scheme

PACKAGES = ("llmcompressor", "compressed-tensors", "transformers", "torch")
CITATION = "Red Hat AI and vLLM Project, LLM Compressor, https://github.com/vllm-project/llm-compressor"
RECIPE = ModifierRecipe
LEAST_RELEASE, EARLY_RELEASE = (0, 14), (0, 3)
SMOOTHING = ("SmoothQuantModifier", "AWQModifier")


def scheme(recipe: dict) -> Scheme:
    modifier = quantizing(recipe)
    group = modifier["config_groups"]["group_0"]
    weights = group["weights"] | {"actorder": modifier.get("actorder")}
    return schemes.of_config({"quant_method": COMPRESSED, "config_groups": {"group_0": group | {"weights": weights}}}, "recipe")


def quantizing(recipe: dict) -> dict:
    """Arguments of the modifier that quantizes."""
    for modifier in recipe["modifiers"]:
        ((name, arguments),) = modifier.items()
        if name not in SMOOTHING:
            return arguments
    raise KeyError("no quantizing modifier")


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> dict:
    """Run the recipe, and again with each fallback dampening that it allows, until every layer was really quantized by GPTQ."""
    tried, is_early = [], release() == EARLY_RELEASE
    recipe = early.translated(recipe) if is_early else recipe
    for dampening in [None, *recipe.get("fallback_dampening", [])]:
        attempt = with_dampening(recipe, dampening)
        model, failed = (
            early.compress(model_dir, attempt, samples_of(calibration)) if is_early else compress(model_dir, attempt, calibration)
        )
        if not failed:
            save(model, out_dir)
            return executed(attempt, tried, str(model.dtype).removeprefix("torch."))
        tried.append(
            {
                "layers": failed,
                "dampening_frac": dampening_of(attempt),
                "cause": "Hessian not positive definite",
            }
        )
        del model
    raise faults.singular(tried, allowed=recipe.get("fallback_dampening", []))


def validation_engine(recipe: dict) -> str:
    """transformers; nobody here where the early release meets dynamic scales of activations (see `_llmcompressor03`)."""
    made = scheme(recipe)
    return "none" if release() == EARLY_RELEASE and made.rounds_activations and not made.static_activations else "hf"


def with_dampening(recipe: dict, dampening: float | None) -> dict:
    """Return the recipe with another dampening fraction of its GPTQ modifier."""
    attempt = copy.deepcopy(recipe)
    if dampening is not None:
        quantizing(attempt)["dampening_frac"] = dampening
    return attempt


def dampening_of(recipe: dict) -> float | None:
    return quantizing(recipe).get("dampening_frac")


def executed(recipe: dict, tried: list[dict], dtype: str) -> dict:
    """What `checkpoint.json` records of the run."""
    names = [name for modifier in recipe["modifiers"] for name in modifier]
    return {
        "transform": "smoothing" if set(names) & set(SMOOTHING) else "none",
        "ignore": quantizing(recipe).get("ignore", []),
        "parameters": {
            "modifiers": recipe["modifiers"],
            "batch_size": recipe.get("batch_size", 1),
            "calibrated_in": dtype,
        },
        "fallbacks": tried,
    }


def compress(model_dir: Path, recipe: dict, calibration):
    """Quantize in memory.

    Returns
    -------
    model : transformers.PreTrainedModel
    failed : list of str
        Layers whose Hessian could not be factorised.
    """
    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = "auto" if torch.accelerator.is_available() else "float32"
    model = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype=dtype)
    modifiers, watch = build(recipe["modifiers"])
    samples = samples_of(calibration)
    if samples:
        samples["batch_size"] = batch_size(recipe, calibration)
    with unpinned():
        oneshot(
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(str(model_dir)),
            recipe=modifiers,
            **samples,
        )
    return model, watch.failed


def release() -> tuple[int, int]:
    """Major and minor release of the installed llmcompressor.

    Raises
    ------
    UserError
        If its interface is not supported here.
    """
    version = metadata.version("llmcompressor")
    major, minor = map(int, version.split(".")[:2])
    if (major, minor) != EARLY_RELEASE and (major, minor) < LEAST_RELEASE:
        raise UserError(
            f"llmcompressor {version} is not supported; 0.3 and 0.14 or later are",
            "toolkit llmcompressor",
            "quantize on the stack `current` or `paper2024`, or take the published checkpoint",
        )
    return major, minor


def batch_size(recipe: dict, calibration) -> int:
    """Samples per forward pass; more than one only of equal length, since shorter ones would be padded or longer ones cut.

    Raises
    ------
    UserError
        If the recipe has batches of samples of unequal length.
    """
    size = recipe.get("batch_size", 1)
    if size > 1 and len({len(row) for row in calibration.token_ids}) > 1:
        raise UserError(
            f"batch_size {size} with samples of unequal length", f"calibration set {calibration.spec.name}",
            "use packing `full`, `blocks`, `windows` or `random_tokens`, or batch_size 1",
        )  # fmt: skip
    return size


def save(model, out_dir: Path) -> None:
    """Write the compressed checkpoint."""
    model.save_pretrained(str(out_dir), save_compressed=True)


def samples_of(calibration) -> dict:
    """Arguments of `oneshot` for the calibration text; none without one."""
    if calibration is None:
        return {}
    return {
        "dataset": dataset(calibration),
        "num_calibration_samples": len(calibration.token_ids),
        "max_seq_length": calibration.longest,
        "shuffle_calibration_samples": False,
    }


def dataset(calibration):
    """Token ids as the `datasets.Dataset` that `oneshot` takes."""
    from datasets import Dataset

    ids = calibration.token_ids
    return Dataset.from_dict({"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids]})


class SkippedLayers:
    """Collects the layers that GPTQ could not treat."""

    def __init__(self):
        self.failed: list[str] = []


def build(modifiers: list[dict]):
    """Make llmcompressor's modifier objects from the recipe's list."""
    watch = SkippedLayers()
    return [make(name, arguments, watch) for modifier in modifiers for name, arguments in modifier.items()], watch


def make(name: str, arguments: dict, watch: SkippedLayers):
    """Make one modifier."""
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    classes = {
        "QuantizationModifier": QuantizationModifier,
        "AWQModifier": AWQModifier,
        "SmoothQuantModifier": SmoothQuantModifier,
    }
    kind = watched_gptq(watch) if name == "GPTQModifier" else classes[name]
    return kind(**copy.deepcopy(arguments))


def watched_gptq(watch: SkippedLayers):
    """GPTQModifier that reports what the original only warns of (same name, since it is written into the checkpoint)."""
    from llmcompressor.modifiers.gptq import GPTQModifier as Original

    class GPTQModifier(Original):
        def compress_module_list(self, module_list):
            for module in module_list:
                if not self._hessians[module].isfinite().all():
                    raise faults.not_finite(self._module_names[module])
            super().compress_module_list(module_list)

        def on_finalize(self, state, **kwargs):
            watch.failed += self._rtn_fallback_module_names
            return super().on_finalize(state, **kwargs)

    return GPTQModifier


@contextlib.contextmanager
def unpinned():
    """Let llmcompressor's activation cache leave memory unpinned where no accelerator exists."""
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    if torch.accelerator.is_available():
        yield
        return
    original = IntermediatesCache.pin_memory
    IntermediatesCache.pin_memory = lambda self, *args, **kwargs: None
    try:
        yield
    finally:
        IntermediatesCache.pin_memory = original
