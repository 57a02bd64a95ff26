"""The unquantized model as a checkpoint: relative links to the model's files, no copy.

Reads and writes nothing but the links, so a 16-bit baseline costs no disk and its digest is that of the model.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.unquantized import SixteenBits

PACKAGES = ()
CITATION = ""
LINKS = True
LEFT_OUT = ("README.md", "checkpoint.json", "validation.json")


@dataclass(frozen=True)
class NoRecipe:
    """Nothing to choose."""


RECIPE = NoRecipe


def scheme(recipe: dict) -> SixteenBits:
    return SixteenBits()


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Link every file of the model into the checkpoint (links stay valid when the folder is renamed beside itself)."""
    for path in sorted(Path(model_dir).iterdir()):
        if path.is_file() and path.name not in LEFT_OUT and not path.name.startswith("."):
            target = os.path.relpath(path.resolve(), out_dir.resolve())
            (out_dir / path.name).symlink_to(target)
    return ExecutedRecipe({}, ignore=())
