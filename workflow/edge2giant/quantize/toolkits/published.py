"""A checkpoint that someone published on a hub, taken as it is: links to its files, validated like one made here.

`config/recipes.yaml` names under `published` which ones the paper may have used; the paper names none. The files must lie in
the store already (acquire fetches them as a model). Its own config decides what is promised, since no recipe made it here.
"""

from dataclasses import dataclass
from pathlib import Path

from edge2giant import schemes
from edge2giant.quantize.toolkits import none
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.int8_activations import Int8Activations
from edge2giant.schemes.scheme import COMPRESSED, Scheme
from edge2giant.typed import Text

PACKAGES = ()
CITATION = "the card of the published checkpoint"
LINKS = True


@dataclass(frozen=True)
class PublishedRecipe:
    """Nothing to choose; the job fills in the folder that the checkpoint lies in."""

    folder: Text


RECIPE = PublishedRecipe


def scheme(recipe: dict) -> Scheme:
    """That of its own config.json, in the folder of the recipe."""
    return schemes.of_checkpoint(recipe["folder"])


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Link every file of the published checkpoint."""
    folder = Path(recipe["folder"])
    none.quantize(folder, {}, None, out_dir)
    made = scheme(recipe)
    moved = made.format == "awq" or isinstance(made, Int8Activations)
    return ExecutedRecipe({}, transform="smoothing" if moved else "none")


def validation_engine(recipe: dict) -> str:
    """transformers or AutoRound's layers (see `load`); the format of AWQ is left to the serving engine."""
    return "none" if scheme(recipe).format == "awq" else "toolkit"


def load(checkpoint_dir: Path):
    """Load a checkpoint: compressed-tensors by transformers, GPTQ and AWQ by AutoRound's layers in torch."""
    from edge2giant.quantize.toolkits import autoround
    from edge2giant.quantize.validation import likelihood

    if schemes.of_checkpoint(checkpoint_dir).format == COMPRESSED:
        return likelihood.served(checkpoint_dir, "float32")[0]
    return autoround.load(checkpoint_dir)
