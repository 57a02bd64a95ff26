"""AutoGPTQ: GPTQ by the toolkit of the paper's `GPTQ*`, release 0.7.1, the last one.

E. Frantar et al., GPTQ, ICLR 2023, arXiv 2210.17323. It needs Python 3.11 or older and refuses to quantize without CUDA. The
tests run this module on a CPU through a patch of theirs, which is not supported and not part of this package.

Llama 3.1 and later need transformers >= 4.43, which computes the rotary embedding once for the model; 0.7.1 does not know of
it and leaves it on the host while layers run on the GPU (AutoGPTQ issue 729). `rotary_on` moves it.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.quantize import faults, toolkits
from edge2giant.quantize.preflight import Verdict
from edge2giant.quantize.toolkits import _making, gptqmodel
from edge2giant.records.checkpoint import ExecutedRecipe, Fallback
from edge2giant.schemes.limits import DEGRADED, REFUSED
from edge2giant.typed import Share

PACKAGES = ("auto-gptq", "transformers", "torch")
CITATION = "AutoGPTQ, https://github.com/AutoGPTQ/AutoGPTQ"
NEEDS_CUDA, ON_GPU = "AutoGPTQ 0.7.1 refuses to quantize without CUDA", "use a GPU, or method gptq-gptqmodel"
MODEL_TYPES = (
    "bloom", "gpt_neox", "gptj", "gpt2", "llama", "opt", "moss", "gpt_bigcode", "codegen", "RefinedWebModel", "RefinedWeb",
    "falcon", "baichuan", "internlm", "qwen", "mistral", "Yi", "xverse", "deci", "stablelm_epoch", "mixtral", "qwen2",
    "longllama", "gemma",
)  # fmt: skip
"""Of its `GPTQ_CAUSAL_LM_MODEL_MAP`."""
NOT_DEFINITE = ("not positive-definite", "not positive definite", "linalg.cholesky")


@dataclass(frozen=True)
class AutoGPTQRecipe(gptqmodel.GPTQModelRecipe):
    """Settings of BaseQuantizeConfig. `fallback_dampening`: to try, in order, after a Hessian could not be factorised."""

    static_groups: bool = False
    fallback_dampening: tuple[Share, ...] = ()


RECIPE = AutoGPTQRecipe
ORDERS = {
    "none": {"desc_act": False, "static_groups": False},
    "group": {"desc_act": True, "static_groups": False},
    "static": {"desc_act": True, "static_groups": True},
}


def takes(recipe: dict) -> dict:
    return toolkits.renamed(recipe, group_size="group_size", dampening="damp_percent") | {
        "actorder": lambda value: recipe | ORDERS[value]
    }


scheme = gptqmodel.scheme


def check_making(facts: ModelFacts, recipe: dict, device: str) -> list[Verdict]:
    if unknown := _making.check_known("AutoGPTQ 0.7.1", MODEL_TYPES, facts, "use method gptq-gptqmodel or gptq-llmcompressor"):
        return unknown
    if device == "cpu":
        return [Verdict(REFUSED, "autogptq-cuda", NEEDS_CUDA, ON_GPU)]
    if facts.rope_type == "llama3":
        reason = "AutoGPTQ 0.7.1 leaves rotary tensors of Llama 3 on another device (issue 729)"
        hint = "the toolkit module moves them; or take the published checkpoint, or method gptq-gptqmodel"
        return [Verdict(DEGRADED, "autogptq-rotary", reason, hint)]
    return []


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Run GPTQ over every linear layer but the head, again with each fallback damping that the recipe allows."""
    tried = []
    for damping in [recipe["damp_percent"], *recipe.get("fallback_dampening", [])]:
        model, layer = compress(model_dir, recipe | {"damp_percent": damping}, calibration)
        if layer is None:
            return store(model, recipe | {"damp_percent": damping}, tried, out_dir)
        tried.append(Fallback((layer,), damping, faults.NOT_DEFINITE))
    raise faults.singular(tried, allowed=recipe.get("fallback_dampening", []))


def compress(model_dir: Path, recipe: dict, calibration):
    """Quantize in memory; return the model and None, or None and the layer whose Hessian could not be factorised."""
    import torch
    from auto_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig

    settings = {key: value for key, value in recipe.items() if key not in ("fallback_dampening", "batch_size", "dynamic")}
    try:
        model = AutoGPTQForCausalLM.from_pretrained(str(model_dir), BaseQuantizeConfig(**settings), trust_remote_code=False)
    except OSError as error:
        if "CUDA" not in str(error):
            raise
        raise UserError(NEEDS_CUDA, "toolkit autogptq", ON_GPU) from error
    rotary_on(model.model, "cuda:0" if torch.cuda.is_available() else "cpu")
    examples = [{"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row))} for row in calibration.token_ids]
    progress = Progress()
    watch_hessians(progress)
    logging.getLogger("auto_gptq.modeling._base").addHandler(progress)
    try:
        model.quantize(examples, batch_size=recipe.get("batch_size", 1), cache_examples_on_gpu=False)
    except torch._C._LinAlgError as error:
        if not any(word in str(error) for word in NOT_DEFINITE):
            raise
        return None, progress.layer or "unknown layer"
    finally:
        logging.getLogger("auto_gptq.modeling._base").removeHandler(progress)
    return model, None


def watch_hessians(progress: "Progress") -> None:
    """Name the layer whose Hessian is not finite: AutoGPTQ would call it not positive definite, which no damping repairs."""
    from auto_gptq.quantization.gptq import GPTQ

    original = getattr(GPTQ.fasterquant, "original", GPTQ.fasterquant)

    def checked(self, *arguments, **options):
        if not self.H.isfinite().all():
            raise faults.not_finite(progress.layer or "unknown layer", "the Hessian", str(self.layer.weight.dtype))
        return original(self, *arguments, **options)

    checked.original = original
    GPTQ.fasterquant = checked


def store(model, recipe: dict, tried: list[Fallback], out_dir: Path) -> ExecutedRecipe:
    """Write the checkpoint under the names that loaders look for."""
    model.save_quantized(str(out_dir), use_safetensors=True)
    weights = sorted(out_dir.glob("*.safetensors"))
    if len(weights) == 1:
        weights[0].rename(out_dir / "model.safetensors")
    dtype = str(model.model.dtype).removeprefix("torch.")
    return ExecutedRecipe(recipe | {"calibrated_in": dtype}, fallbacks=tuple(tried))


class Progress(logging.Handler):
    """Remembers which layer AutoGPTQ says it is at."""

    def __init__(self):
        super().__init__()
        self.layer = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(("Start quantizing layer", "Quantizing ")):
            self.layer = text.removeprefix("Start quantizing ").removeprefix("Quantizing ")


def rotary_on(model, device: str) -> None:
    """Move the model's own rotary embedding to a device, where it has one."""
    rotary = getattr(getattr(model, "model", None), "rotary_emb", None)
    if rotary is not None:
        rotary.to(device)


def load(checkpoint_dir: Path):
    """Load a checkpoint with AutoGPTQ's own layers in torch."""
    from auto_gptq import AutoGPTQForCausalLM

    model = AutoGPTQForCausalLM.from_quantized(
        str(checkpoint_dir),
        device="cpu",
        use_safetensors=True,
        trust_remote_code=False,
        disable_exllama=True,
        disable_exllamav2=True,
        use_triton=False,
    )
    return model.model.eval()
