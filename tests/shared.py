"""Where tests find the small real samples and the real model that are not part of the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared(relative: str) -> Path:
    """Return the path of a shared sample, or skip the test and say which sample is missing.

    The folder is the one that ``EDGE2GIANT_SHARED`` names, else ``shared`` beside the checkout.
    """
    folder = Path(os.environ.get("EDGE2GIANT_SHARED", ROOT.parent / "shared"))
    path = folder / relative
    if not path.exists():
        pytest.skip(f"shared sample {relative} is not on this machine (set EDGE2GIANT_SHARED)")
    return path


def real_model() -> Path:
    """Return the folder of SmolLM2-135M-Instruct that `make mirror` makes, or skip the test.

    The folder is the one that ``EDGE2GIANT_REAL_MODEL`` names, else that of the default mirror.
    """
    default = ROOT / "results/mirror/edge2giant/SmolLM2-135M-Instruct-Q4_1"
    path = Path(os.environ.get("EDGE2GIANT_REAL_MODEL", default))
    if not (path / "model.safetensors").exists():
        pytest.skip("SmolLM2-135M-Instruct is not on this machine (run `make mirror`, or set EDGE2GIANT_REAL_MODEL)")
    return path
