"""AutoAWQ: activation-aware weight quantization by the toolkit of the paper, release 0.2.9, the last one.

J. Lin et al., AWQ, MLSys 2024, arXiv 2306.00978. It needs transformers <= 4.56. Reads a model folder and token ids; AutoAWQ lays
the samples end to end and cuts them into blocks of the longest one's length, as it does with its own set.
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.quantize import compat, faults, toolkits
from edge2giant.quantize.calibration import model_tokenizer
from edge2giant.quantize.preflight import Verdict
from edge2giant.quantize.toolkits import _making
from edge2giant.records.checkpoint import ExecutedRecipe, SmoothedMapping
from edge2giant.schemes.integers import Integers
from edge2giant.typed import Positive, Text

PACKAGES = ("autoawq", "transformers", "torch")
CITATION = "J. Lin et al., AWQ, MLSys 2024, arXiv 2306.00978; AutoAWQ, https://github.com/casper-hansen/AutoAWQ"
MODEL_TYPES = (
    "mpt", "llama", "opt", "RefinedWeb", "RefinedWebModel", "exaone", "falcon", "bloom", "gptj", "gpt_bigcode", "mistral",
    "mixtral", "gpt_neox", "aquila", "Yi", "qwen", "baichuan", "llava", "qwen2", "qwen3", "qwen3_moe", "gemma", "gemma2",
    "stablelm", "starcoder2", "llava_next", "phi3", "phi3_v", "cohere", "deepseek_v2", "deepseek_v3", "minicpm", "internlm2",
    "minicpm3", "qwen2_vl", "qwen2_5_vl", "qwen2_5_omni",
)  # fmt: skip
"""Of its `AWQ_CAUSAL_LM_MODEL_MAP`."""
ROUTERS = "it divides the norm before the experts by its scales and leaves the router, which reads it too, as it was"
UNMADE = {
    "mixtral": ROUTERS,
    "qwen3_moe": ROUTERS,
    "gpt_neox": "it scales the activation function, and no engine here reads mlp.act.scales",
    "falcon": "its own loader leaves weights of falcon without data",
}
"""Model types whose checkpoints compute something else than the model, or are not loaded."""
OTHERS = "use method gptq-llmcompressor"
CLIPPED_ROWS = 64
"""Output channels that clipping treats together (`_compute_best_clip`)."""
FORMAT = ("w_bit", "q_group_size", "zero_point", "version", "modules_to_not_convert")


@dataclass(frozen=True)
class AutoAWQRecipe:
    """Settings of AutoAWQ's quantizer. `modules_to_not_convert`: parts of names of layers that stay in 16 bits."""

    w_bit: Literal[4]
    q_group_size: Positive
    zero_point: bool
    version: Literal["GEMM"]
    apply_clip: bool
    duo_scaling: bool
    modules_to_not_convert: tuple[Text, ...] = ()


RECIPE = AutoAWQRecipe


def takes(recipe: dict) -> dict:
    return toolkits.renamed(recipe, group_size="q_group_size") | {"ignore": lambda names: without(recipe, names)}


def without(recipe: dict, names: list[str]) -> dict:
    """The recipe with more layers left out. AutoAWQ looks for parts of a layer's name below its decoder block."""
    if wrong := [name for name in names if name.startswith("re:")]:
        raise UserError(f"AutoAWQ takes no regular expression ({wrong[0]})", "ignore", "give a part of names, such as down_proj")
    return toolkits.extended(recipe, "modules_to_not_convert")(names)


def left_out(recipe: dict) -> tuple[str, ...]:
    return ("lm_head", *(f"re:.*{re.escape(one)}" for one in recipe.get("modules_to_not_convert", ())))


def scheme(recipe: dict) -> Integers:
    return Integers("awq", recipe["w_bit"], recipe["q_group_size"], symmetric=not recipe["zero_point"])


def check_making(facts: ModelFacts, recipe: dict, device: str) -> list[Verdict]:
    known = _making.check_known("AutoAWQ 0.2.9", MODEL_TYPES, facts, OTHERS)
    known += _making.check_unmade("AutoAWQ 0.2.9", UNMADE, facts, OTHERS)
    clipped = [one for one in facts.linear_layers if not re.search(r"\b(q|k)_proj$|query|qkv", one.name)]
    uneven = [one for one in clipped if one.outputs % CLIPPED_ROWS] if recipe["apply_clip"] else []
    if uneven and not known:
        reason = f"AutoAWQ 0.2.9 clips {CLIPPED_ROWS} output channels at a time, {uneven[0].name} has {uneven[0].outputs}"
        known.append(_making.refused("clipping", reason, "set apply_clip: false"))
    return known


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Search scales and clipping, quantize every linear layer but the head, and save."""
    import torch
    from awq import AutoAWQForCausalLM

    on_cpu = not torch.cuda.is_available()
    own = compat.dtype(model_dir)
    model = AutoAWQForCausalLM.from_pretrained(
        str(model_dir),
        torch_dtype=torch.float32 if on_cpu else getattr(torch, own or "float16"),
        device_map="cpu" if on_cpu else "auto",
        trust_remote_code=False,
    )
    tokenizer = model_tokenizer(model_dir)
    with copied_weights() if on_cpu else contextlib.nullcontext(), named_faults(), all_inputs(), recorded_mappings() as smoothed:
        search(model, tokenizer, recipe, calibration)
    model.save_quantized(str(out_dir))
    done = recipe | {"calibrated_in": "float32" if on_cpu else own}
    return ExecutedRecipe(done, transform="smoothing", ignore=left_out(recipe), smoothed=tuple(smoothed))


def search(model, tokenizer, recipe: dict, calibration) -> None:
    """Find scales and clipping, and quantize in memory."""
    model.quantize(
        tokenizer,
        quant_config={key: recipe[key] for key in FORMAT if key in recipe},
        calib_data=calibration.token_ids,
        max_calib_samples=len(calibration.token_ids),
        max_calib_seq_len=calibration.longest,
        apply_clip=recipe["apply_clip"],
        duo_scaling=recipe["duo_scaling"],
    )


@contextlib.contextmanager
def recorded_mappings():
    """Give a list that is filled with what AutoAWQ smooths, by the names that it writes out in full after each decoder layer."""
    from awq.quantize import quantizer

    original, smoothed = quantizer.append_str_prefix, []

    def recording(found, prefix):
        named = original(found, prefix)
        smoothed.extend(SmoothedMapping(one[0], tuple(one[1])) for one in named if len(one) == 3)
        return named

    quantizer.append_str_prefix = recording
    try:
        yield smoothed
    finally:
        quantizer.append_str_prefix = original


@contextlib.contextmanager
def all_inputs():
    """Let AutoAWQ record the inputs of layers that stay in 16 bits too: they take scales, so its search asks for them."""
    from awq.quantize.quantizer import AwqQuantizer
    from awq.utils.module import get_named_linears

    original = AwqQuantizer._get_input_feat
    AwqQuantizer._get_input_feat = lambda self, block, named: original(self, block, get_named_linears(block))
    try:
        yield
    finally:
        AwqQuantizer._get_input_feat = original


@contextlib.contextmanager
def named_faults():
    """Say at which layer a search ends without a finite loss, which AutoAWQ raises as a plain Exception."""
    from awq.quantize.quantizer import AwqQuantizer
    from awq.utils.module import get_op_name

    original = AwqQuantizer._search_best_scale

    def naming(self, module, prev_op, layers, inp, *rest, **named):
        if not inp.isfinite().all() or not all(layer.weight.isfinite().all() for layer in layers):
            raise faults.not_finite(get_op_name(self.model, layers[0]), "the input or weight", str(inp.dtype))
        try:
            return original(self, module, prev_op, layers, inp, *rest, **named)
        except Exception as error:
            if type(error) not in (Exception, AssertionError):
                raise
            raise faults.not_finite(get_op_name(self.model, layers[0]), "AWQ's loss", str(inp.dtype)) from error

    AwqQuantizer._search_best_scale = naming
    try:
        yield
    finally:
        AwqQuantizer._search_best_scale = original


@contextlib.contextmanager
def copied_weights():
    """Give AutoAWQ's search for scales a copy of a layer's weights to come back to.

    It keeps them by `.cpu()`, a copy on a GPU and none on a CPU. There the first scales that it tries stay in the weights:
    all ones without `duo_scaling`, but with it a layer is scaled once more than the layer before it is scaled down, and the model
    computes something else (0.2.9, `AwqQuantizer._compute_best_scale`). Validation found that by the error of `down_proj`.
    """
    from awq.quantize.quantizer import AwqQuantizer

    original = AwqQuantizer._compute_best_scale

    def with_copies(self, x, w_mean, x_mean, module2inspect, *rest, **named):
        own = module2inspect.state_dict
        module2inspect.state_dict = lambda *a, **k: {name: values.clone() for name, values in own(*a, **k).items()}
        try:
            return original(self, x, w_mean, x_mean, module2inspect, *rest, **named)
        finally:
            del module2inspect.state_dict

    AwqQuantizer._compute_best_scale = with_copies
    try:
        yield
    finally:
        AwqQuantizer._compute_best_scale = original


def load(checkpoint_dir: Path):
    """Load a checkpoint with AutoAWQ's own layers; without a GPU by its plain torch path."""
    import torch
    from awq import AutoAWQForCausalLM

    on_cpu = not torch.cuda.is_available()
    with plain_torch() if on_cpu else contextlib.nullcontext():
        model = AutoAWQForCausalLM.from_quantized(
            str(checkpoint_dir),
            fuse_layers=False,
            trust_remote_code=False,
            device_map={"": "cpu"} if on_cpu else "auto",
        )
    return model.model.eval()


@contextlib.contextmanager
def plain_torch():
    """Keep AutoAWQ from the two things it prefers without a GPU and that are not there: IPEX layers, and Triton kernels."""
    from awq.models import base
    from awq.modules.linear import gemm

    original, gemm.TRITON_AVAILABLE = base.get_best_device, False
    base.get_best_device = lambda: "cpu:0"
    try:
        yield
    finally:
        base.get_best_device = original
