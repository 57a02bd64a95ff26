"""llmcompressor 0.3, the release of Appendix D.1: where it differs from today's. `llmcompressor.py` uses it where it is found.

- `oneshot` lives in `llmcompressor.transformers`, takes one sample at a time, and reads the modifiers from YAML text.
- The order of activations is an argument of the weights, not with GPTQModifier; there is no AWQModifier.
- The observer `static_minmax` does not exist. `minmax`, then the default, takes its place: a moving average of the extremes.
- A Hessian that cannot be factorised raises an error without the layer's name, which is added here.
- compressed-tensors 0.8.1, through which transformers loads the result, gives each number of a token a scale of its own where the
  recipe says one a token. So checkpoints with dynamic activations are not loaded for validation here, only in the
  serving engine.
- transformers' Trainer, which calibrates, makes a folder `output` in the working directory, so a temporary one is used.
"""

import contextlib
import copy
import tempfile
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.quantize import faults
from edge2giant.quantize.calibration import model_tokenizer

OBSERVERS = {"static_minmax": "minmax"}
KNOWN = ("QuantizationModifier", "GPTQModifier", "SmoothQuantModifier")


def translated(recipe: dict) -> dict:
    """The recipe as 0.3 understands it.

    Raises
    ------
    UserError
        If it names a modifier that 0.3 does not have, or has a batch size above 1.
    """
    recipe = copy.deepcopy(recipe)
    if recipe.get("batch_size", 1) != 1:
        raise UserError("llmcompressor 0.3 takes one sample at a time", "recipe: batch_size", "leave it out")
    for modifier in recipe["modifiers"]:
        ((name, arguments),) = modifier.items()
        if name not in KNOWN:
            raise UserError(f"llmcompressor 0.3 has no {name}", "recipe", "quantize on the stack `current`")
        order = arguments.pop("actorder", None)
        for group in arguments.get("config_groups", {}).values():
            if order:
                group["weights"]["actorder"] = order
            for part in filter(None, (group["weights"], group.get("input_activations"))):
                if "scale_dtype" in part:
                    raise UserError("llmcompressor 0.3 has no FP4", "recipe", "quantize on the stack `current`")
                if part.get("observer") in OBSERVERS:
                    part["observer"] = OBSERVERS[part["observer"]]
    return recipe


def compress(model_dir: Path, recipe: dict, samples: dict, observed):
    """Quantize in memory and return the model; `observed` is told of the layer whose Hessian ends the run, and of smoothing."""
    import torch
    import yaml
    from llmcompressor.core import reset_session
    from llmcompressor.transformers import oneshot
    from transformers import AutoModelForCausalLM

    dtype = "auto" if torch.cuda.is_available() else "float32"
    model = AutoModelForCausalLM.from_pretrained(
        str(model_dir), torch_dtype=dtype, device_map="auto" if dtype == "auto" else None, trust_remote_code=False
    )
    stages = {name: value for modifier in recipe["modifiers"] for name, value in modifier.items()}
    tokenizer = model_tokenizer(model_dir)
    reset_session()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), watched(observed):
        try:
            text = yaml.safe_dump({"paper_stage": {"paper_modifiers": stages}}, sort_keys=False)
            oneshot(model=model, tokenizer=tokenizer, recipe=text, **samples)
        except ValueError:
            if not observed.failed:
                raise
    return model


@contextlib.contextmanager
def watched(observed):
    """Let GPTQ name the layer that it could not treat, and SmoothQuant the mappings that it resolved."""
    from llmcompressor.modifiers.quantization.gptq import base
    from llmcompressor.modifiers.smoothquant import SmoothQuantModifier

    original, resolve = base.GPTQWrapper, SmoothQuantModifier._resolve_mappings

    def resolved(self, model):
        found = resolve(self, model)
        observed.smooth(found, model)
        return found

    class Watched(original):
        def compress(self, *arguments, **options):
            if not self.H.isfinite().all():
                raise faults.not_finite(self.name, "the Hessian", str(self.layer.weight.dtype))
            try:
                super().compress(*arguments, **options)
            except ValueError as error:
                if "invert hessian" in str(error):
                    observed.failed.append(self.name)
                raise

    base.GPTQWrapper, SmoothQuantModifier._resolve_mappings = Watched, resolved
    try:
        yield
    finally:
        base.GPTQWrapper, SmoothQuantModifier._resolve_mappings = original, resolve
