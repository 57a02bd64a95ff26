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
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from edge2giant import schemes
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.quantize import faults, toolkits
from edge2giant.quantize.calibration import model_tokenizer
from edge2giant.quantize.preflight import Verdict
from edge2giant.quantize.toolkits import _llmcompressor03 as early
from edge2giant.quantize.toolkits import _making
from edge2giant.quantize.toolkits._llmcompressor_recipe import UNCOMPRESSED, UNSMOOTHED, ModifierRecipe
from edge2giant.records.checkpoint import ExecutedRecipe, Fallback, SmoothedMapping
from edge2giant.schemes.scheme import COMPRESSED, Scheme

PACKAGES = ("llmcompressor", "compressed-tensors", "transformers", "torch")
CITATION = "Red Hat AI and vLLM Project, LLM Compressor, https://github.com/vllm-project/llm-compressor"
RECIPE = ModifierRecipe
LEAST_RELEASE, EARLY_RELEASE = (0, 14), (0, 3)
SMOOTHING = ("SmoothQuantModifier", "AWQModifier")


@dataclass
class Observed:
    """What llmcompressor does not tell: layers whose Hessian had no factors, what was smoothed, and what stayed in 16 bits."""

    failed: list[str] = field(default_factory=list)
    smoothed: list[SmoothedMapping] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def smooth(self, mappings: Iterable, model) -> None:
        """Note mappings that a modifier resolved in a model, in the order in which they are applied."""
        names = {module: name for name, module in model.named_modules()}
        for one in mappings:
            self.smoothed.append(SmoothedMapping(one.smooth_name, tuple(names[layer] for layer in one.balance_layers)))


def scheme(recipe: dict) -> Scheme:
    modifier = quantizing(recipe)
    order = {"actorder": modifier.get("actorder")}
    found = {name: group | {"weights": group["weights"] | order} for name, group in modifier["config_groups"].items()}
    return schemes.of_config({"quant_method": COMPRESSED, "config_groups": found}, "recipe")


def left_out(recipe: dict) -> tuple[str, ...]:
    return tuple(quantizing(recipe)["ignore"])


def check_making(facts: ModelFacts, recipe: dict, device: str) -> list[Verdict]:
    found = _making.check_unmade("llmcompressor", UNCOMPRESSED, facts, "use method gptq-gptqmodel")
    given = [pair for one in recipe["modifiers"] for pair in one.items() if pair[0] in SMOOTHING]
    smoothing = [name for name, arguments in given if not arguments.get("mappings")]
    if smoothing and not found:
        hint = "give the recipe `mappings` for it, or choose a method that does not smooth"
        found = _making.check_unmade(f"llmcompressor's {smoothing[0]}", UNSMOOTHED, facts, hint)
    if facts.num_experts and not getattr(scheme(recipe), "symmetric", True):
        reason = "transformers cannot join the zero points of experts, so that an asymmetric checkpoint of them is not validated"
        found.append(_making.refused("experts", reason, "use method gptq-llmcompressor"))
    return found


def takes(recipe: dict) -> dict:
    """Keys of the modifiers that a recipe has; group sizes of integer weights whose activations are left alone."""

    def put(key: str, value) -> dict:
        """The recipe with an argument changed in the modifiers that have it."""
        changed = copy.deepcopy(recipe)
        for arguments in (arguments for one in changed["modifiers"] for arguments in one.values()):
            if key in arguments:
                arguments[key] = value
        return changed

    found = {"ignore": lambda names: put("ignore", toolkits.extended(quantizing(recipe), "ignore")(names)["ignore"])}
    names = [name for one in recipe["modifiers"] for name in one]
    if "GPTQModifier" in names:
        found["dampening"] = lambda value: put("dampening_frac", value)
        found["actorder"] = lambda value: put("actorder", None if value == "none" else value)
    if "SmoothQuantModifier" in names:
        found["smoothing_strength"] = lambda value: put("smoothing_strength", value)
    if set(names) & set(SMOOTHING):
        found["mappings"] = lambda value: with_mappings(recipe, value)
    if all(group["weights"]["type"] == "int" and "input_activations" not in group for group in groups(recipe)):
        found["group_size"] = lambda value: with_group_size(recipe, value)
    return found


def with_mappings(recipe: dict, mappings: list) -> dict:
    changed = copy.deepcopy(recipe)
    for modifier in changed["modifiers"]:
        for name in modifier.keys() & set(SMOOTHING):
            modifier[name]["mappings"] = mappings
    return changed


def with_group_size(recipe: dict, size: int) -> dict:
    changed = copy.deepcopy(recipe)
    grouped = [group for group in groups(changed) if group["weights"]["strategy"] == "group"]
    for group in grouped or groups(changed):
        group["weights"] |= {"strategy": "channel" if size < 0 else "group", "group_size": None if size < 0 else size}
    return changed


def groups(recipe: dict) -> list[dict]:
    """Layers with their numbers: compressed-tensors' config groups."""
    return list(quantizing(recipe)["config_groups"].values())


def quantizing(recipe: dict) -> dict:
    """Arguments of the modifier that quantizes."""
    for modifier in recipe["modifiers"]:
        ((name, arguments),) = modifier.items()
        if name not in SMOOTHING:
            return arguments
    raise KeyError("no quantizing modifier")


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Run the recipe, and again with each fallback dampening that it allows, until every layer was really quantized by GPTQ."""
    tried, is_early = [], release() == EARLY_RELEASE
    recipe = early.translated(recipe) if is_early else copy.deepcopy(recipe)
    samples = samples_of(calibration, recipe)
    for dampening in [None, *recipe.get("fallback_dampening", [])]:
        if dampening is not None:
            quantizing(recipe)["dampening_frac"] = dampening
        observed = Observed()
        model = (early.compress if is_early else compress)(model_dir, recipe, samples, observed)
        if not observed.failed:
            refuse_unsmoothed(recipe, observed, model.config.model_type)
            model.save_pretrained(str(out_dir), save_compressed=True)
            return executed(recipe, tried, observed, str(model.dtype).removeprefix("torch."))
        tried.append(Fallback(tuple(observed.failed), quantizing(recipe).get("dampening_frac"), faults.NOT_DEFINITE))
        del model
    raise faults.singular(tried, allowed=recipe.get("fallback_dampening", []))


def refuse_unsmoothed(recipe: dict, observed: Observed, model_type: str) -> None:
    """Refuse a recipe that smooths where no mapping matched: the result would be that of another method."""
    names = [name for modifier in recipe["modifiers"] for name in modifier if name in SMOOTHING]
    if names and not observed.smoothed:
        raise unmatched(names[0], model_type)


def unmatched(modifier: str, model_type: str) -> UserError:
    """A modifier whose mappings, its own or the recipe's, do not fit the model."""
    what = f"{modifier} finds no layers to smooth in a model of type {model_type}"
    return UserError(what, "toolkit llmcompressor", "give the recipe `mappings` for it, or choose a method that does not smooth")


def validation_engine(recipe: dict) -> str:
    """transformers; nobody here where the early release meets dynamic scales of activations (see `_llmcompressor03`)."""
    made = scheme(recipe)
    return "none" if release() == EARLY_RELEASE and made.rounds_activations and not made.static_activations else "hf"


def executed(recipe: dict, tried: list[Fallback], observed: Observed, dtype: str) -> ExecutedRecipe:
    """What `checkpoint.json` records of the run."""
    return ExecutedRecipe(
        {"modifiers": recipe["modifiers"], "batch_size": recipe.get("batch_size", 1), "calibrated_in": dtype},
        "smoothing" if observed.smoothed else "none",
        tuple(observed.left_out or quantizing(recipe)["ignore"]),
        tuple(tried),
        tuple(observed.smoothed),
    )


def compress(model_dir: Path, recipe: dict, samples: dict, observed: Observed):
    """Quantize in memory and return the model."""
    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM

    dtype = "auto" if torch.accelerator.is_available() else "float32"
    model = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype=dtype, trust_remote_code=False)
    recipe, classes = with_left_out(recipe, model), modifier_classes(observed)
    observed.left_out = list(quantizing(recipe)["ignore"])
    modifiers = [classes[name](**arguments(name, given)) for one in recipe["modifiers"] for name, given in one.items()]
    with unpinned():
        oneshot(model=model, tokenizer=model_tokenizer(model_dir), recipe=modifiers, **samples)
    return model


def with_left_out(recipe: dict, model) -> dict:
    """The recipe with the layers left out that no recipe may round: routers, which stand beside experts, and the output layer."""
    import torch

    names = {module: name for name, module in model.named_modules()}
    experts = {name.rpartition(".")[0] for name in names.values() if name.endswith(".experts")}
    linear = [name for module, name in names.items() if isinstance(module, torch.nn.Linear)]
    wide = [name for name in linear if name.rpartition(".")[0] in experts] + [names.get(model.get_output_embeddings())]
    return takes(recipe)["ignore"]([name for name in wide if name])


def arguments(name: str, given: dict) -> dict:
    """Arguments of a modifier as its class takes them."""
    made = copy.deepcopy(given)
    if name == "AWQModifier" and made.get("mappings"):
        from llmcompressor.modifiers.transform.awq import AWQMapping

        made["mappings"] = [AWQMapping(smooth, list(balance)) for balance, smooth in made["mappings"]]
    return made


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


def samples_of(calibration, recipe: dict) -> dict:
    """Arguments of `oneshot` for the calibration text; none without one.

    Raises
    ------
    UserError
        If the recipe has batches of samples of unequal length: shorter ones would be padded or longer ones cut.
    """
    if calibration is None:
        return {}
    from datasets import Dataset

    ids, size = calibration.token_ids, recipe.get("batch_size", 1)
    if size > 1 and len({len(row) for row in ids}) > 1:
        raise UserError(
            f"batch_size {size} with samples of unequal length", f"calibration set {calibration.spec.name}",
            "use packing `full`, `blocks`, `windows` or `random_tokens`, or batch_size 1",
        )  # fmt: skip
    found = {
        "dataset": Dataset.from_dict({"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids]}),
        "num_calibration_samples": len(ids),
        "max_seq_length": calibration.longest,
        "shuffle_calibration_samples": False,
    }
    return found if release() == EARLY_RELEASE else found | {"batch_size": size}


def modifier_classes(observed: Observed) -> dict[str, type]:
    """llmcompressor's modifiers, which tell `observed` what the originals only warn of or keep to themselves.

    They keep the originals' names, which are written into the checkpoint.
    """
    from llmcompressor.modifiers import gptq
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform import awq, smoothquant

    class GPTQModifier(gptq.GPTQModifier):
        def compress_module_list(self, module_list):
            for module in module_list:
                if not self._hessians[module].isfinite().all():
                    raise faults.not_finite(self._module_names[module], "the Hessian", str(module.weight.dtype))
            super().compress_module_list(module_list)

        def on_finalize(self, state, **kwargs):
            observed.failed.extend(self._rtn_fallback_module_names)
            return super().on_finalize(state, **kwargs)

    class AWQModifier(awq.AWQModifier):
        _searching: bool = False

        def _set_resolved_mappings(self, model):
            try:
                super()._set_resolved_mappings(model)
            except ValueError as error:
                raise unmatched("AWQModifier", model.config.model_type) from error
            observed.smooth(self._resolved_mappings, model)

        def _run_samples(self, module):
            outputs = super()._run_samples(module)
            if not self._searching and not all(batch.isfinite().all() for batch in outputs):
                layer = next(one.balance_names[0] for one in self._resolved_mappings if one.parent is module)
                raise faults.not_finite(layer, "AWQ's loss", str(outputs[0].dtype))
            return outputs

        def _compute_best_scale(self, mapping, *rest):
            self._searching = True  # scales that overflow are passed over here
            try:
                return super()._compute_best_scale(mapping, *rest)
            except Exception as error:
                if type(error) not in (Exception, AssertionError):
                    raise
                dtype = mapping.balance_layers[0].weight.dtype
                raise faults.not_finite(mapping.balance_names[0], "AWQ's loss", str(dtype)) from error
            finally:
                self._searching = False

    class SmoothQuantModifier(smoothquant.SmoothQuantModifier):
        def _resolve_mappings(self, model):
            try:
                found = super()._resolve_mappings(model)
            except RuntimeError as error:
                raise unmatched("SmoothQuantModifier", model.config.model_type) from error
            observed.smooth(found, model)
            return found

        def _apply_smoothing(self, model):
            for name, seen in self.scales_.items():
                if not (seen.max_channel_vals - seen.min_channel_vals).isfinite().all():
                    raise faults.not_finite(name, "the range of its outputs", str(seen.max_channel_vals.dtype))
            super()._apply_smoothing(model)

    return {kind.__name__: kind for kind in (GPTQModifier, QuantizationModifier, AWQModifier, SmoothQuantModifier)}


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
