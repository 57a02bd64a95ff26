"""A checkpoint that someone published on a hub, taken as it is: links to its files, validated like one made here.

`config/recipes.yaml` names under `published` which ones the paper may have used; the paper names none. The files must lie in
the store already (acquire fetches them as a model). Its own config decides what is promised, since no recipe made it here.
"""

from pathlib import Path

from edge2giant.quantize import preflight
from edge2giant.quantize.toolkits import none

PACKAGES = ()
CITATION = "the card of the published checkpoint"
LINKS = True
SMOOTHED = ("awq",)


def traits(recipe: dict, bits: str) -> dict:
    """Describe the checkpoint by its own config.json, which `folder` of the recipe holds."""
    return preflight.read_traits(Path(recipe["folder"]))


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> dict:
    """Link every file of the published checkpoint."""
    folder = Path(recipe["folder"])
    none.quantize(folder, {}, None, out_dir)
    form = preflight.read_traits(folder)
    moved = form["form"] in SMOOTHED or bool(form["activations"] and form["weight_type"] == "int")
    return {"transform": "smoothing" if moved else "none", "ignore": ["lm_head"], "parameters": {}, "fallbacks": []}


def validation_engine(recipe: dict) -> str:
    """transformers or AutoRound's layers (see `load`); the format of AWQ is left to the serving engine."""
    return "none" if traits(recipe, "")["form"] == "awq" else "toolkit"


def load(checkpoint_dir: Path):
    """Load a checkpoint: compressed-tensors by transformers, GPTQ and AWQ by AutoRound's layers in torch."""
    from edge2giant.quantize.toolkits import autoround
    from edge2giant.quantize.validation import likelihood

    if preflight.read_traits(checkpoint_dir)["form"] == "compressed-tensors":
        return likelihood.served(checkpoint_dir, "float32")
    return autoround.load(checkpoint_dir)
