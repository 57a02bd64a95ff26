"""AutoRound: rounding found by sign gradient descent, exported in the format of GPTQ, of AWQ, or its own.

W. Cheng et al., Optimize weight rounding via signed gradient descent for the quantization of LLMs, arXiv 2309.05516. The paper's
`GPTQ***`. Written for auto-round 0.15. Reads a model folder and token ids; the samples must have one length, which is its
`seqlen`.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge2giant.errors import UserError
from edge2giant.quantize import compat, toolkits
from edge2giant.quantize.calibration import model_tokenizer
from edge2giant.quantize.toolkits import GroupSize, Layers
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes import mixed
from edge2giant.schemes.integers import Integers
from edge2giant.typed import Natural, Positive

PACKAGES = ("auto-round", "transformers", "torch")
CITATION = "W. Cheng et al., arXiv 2309.05516"
FORMS = {"auto_gptq": "gptq", "auto_awq": "awq", "auto_round": "auto-round"}


@dataclass(frozen=True)
class AutoRoundRecipe:
    """Settings of AutoRound. `iters`: steps a decoder layer; 0 rounds to nearest. `ignore`: layers that stay in 16 bits."""

    bits: Literal[2, 4, 8]
    group_size: GroupSize
    sym: bool
    iters: Natural
    batch_size: Positive
    seed: Natural
    export: Literal["auto_gptq", "auto_awq", "auto_round"]
    ignore: tuple[Layers, ...] = ()


RECIPE = AutoRoundRecipe


def takes(recipe: dict) -> dict:
    return toolkits.renamed(recipe, group_size="group_size") | {"ignore": toolkits.extended(recipe, "ignore")}


def left_out(recipe: dict) -> tuple[str, ...]:
    return ("lm_head", *recipe.get("ignore", ()))


def scheme(recipe: dict) -> Integers:
    return Integers(FORMS[recipe["export"]], recipe["bits"], recipe["group_size"], recipe["sym"], signed_scales=True)


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Tune the rounding of every linear layer but the head, and export."""
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM

    length = equal_length(calibration)
    on_cpu = not torch.accelerator.is_available()
    wanted = "float32" if on_cpu else "auto"
    model = AutoModelForCausalLM.from_pretrained(str(model_dir), trust_remote_code=False, **compat.dtype_argument(wanted))
    calibrated_in = str(model.dtype).removeprefix("torch.")
    tuner = AutoRound(
        model,
        model_tokenizer(model_dir),
        bits=recipe["bits"],
        group_size=recipe["group_size"],
        sym=recipe["sym"],
        iters=recipe["iters"],
        batch_size=recipe["batch_size"],
        seed=recipe["seed"],
        nsamples=len(calibration.token_ids),
        seqlen=length,
        dataset=[torch.tensor([row]) for row in calibration.token_ids],
        ignore_layers=",".join(name for name, _ in model.named_modules() if mixed.means(recipe.get("ignore", ()), name)),
        device_map="cpu" if on_cpu else "auto",
        enable_torch_compile=False,
    )
    written = out_dir / "export"
    tuner.quantize_and_save(str(written), format=recipe["export"])
    lift(written, out_dir)
    done = recipe | {"nsamples": len(calibration.token_ids), "seqlen": length, "calibrated_in": calibrated_in}
    return ExecutedRecipe(done, ignore=left_out(recipe))


def equal_length(calibration) -> int:
    """Length of the samples.

    Raises
    ------
    UserError
        If they differ: AutoRound drops the shorter ones without a word.
    """
    lengths = {len(row) for row in calibration.token_ids}
    if len(lengths) > 1:
        raise UserError(
            f"AutoRound takes samples of one length, these have {min(lengths)} to {max(lengths)} tokens",
            f"calibration set {calibration.spec.name}",
            "use packing `full`, `blocks` or `windows`",
        )
    return lengths.pop()


def lift(written: Path, out_dir: Path) -> None:
    """Move the exported files, which AutoRound puts into a folder named after model and bits, up to the checkpoint."""
    weights = next(written.rglob("*.safetensors")).parent
    for path in weights.iterdir():
        path.rename(out_dir / path.name)
    shutil.rmtree(written)


def validation_engine(recipe: dict) -> str:
    """AutoRound's own layers; on a CPU it has none in plain torch for the format of AWQ, which is left to the serving engine."""
    return "none" if recipe["export"] == "auto_awq" else "toolkit"


def load(checkpoint_dir: Path):
    """Load a checkpoint with AutoRound's own layers in torch (half precision on a CPU as well)."""
    import auto_round  # noqa: F401 (registers its loader with transformers)
    from transformers import AutoModelForCausalLM, AutoRoundConfig

    config = AutoRoundConfig(backend="torch")
    return AutoModelForCausalLM.from_pretrained(
        str(checkpoint_dir),
        device_map="cpu",
        trust_remote_code=False,
        quantization_config=config,
        **compat.dtype_argument("float16"),
    ).eval()
