"""The unquantized model as a checkpoint: relative links to the model's files, no copy.

Reads and writes nothing but the links, so a 16-bit baseline costs no disk and its digest is that of the model.
"""

import os
from pathlib import Path

PACKAGES = ()
CITATION = ""
LINKS = True
LEFT_OUT = ("README.md", "checkpoint.json", "validation.json")


def traits(recipe: dict, bits: str) -> dict:
    """Describe an unquantized model."""
    return {
        "form": "none",
        "weight_bits": 16,
        "weight_type": "float",
        "group_size": 0,
        "symmetric": True,
        "desc_act": False,
        "activations": None,
    }


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> dict:
    """Link every file of the model into the checkpoint (links stay valid when the folder is renamed beside itself)."""
    for path in sorted(Path(model_dir).iterdir()):
        if path.is_file() and path.name not in LEFT_OUT and not path.name.startswith("."):
            target = os.path.relpath(path.resolve(), out_dir.resolve())
            (out_dir / path.name).symlink_to(target)
    return {"transform": "none", "ignore": [], "parameters": {}, "fallbacks": []}
