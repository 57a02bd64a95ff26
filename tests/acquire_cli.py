"""What the tests of the acquire phase share: a small model, its hub, and the command line."""

from pathlib import Path

import pytest
from edge2giant import errors
from edge2giant.store import __main__ as cli
from edge2giant.store import retries
from hub_server import serving

WEIGHTS = bytes(range(256)) * 40
MODEL = {
    "model.safetensors": WEIGHTS,
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}" * 800,
    "README.md": b"# a model",
    ".gitattributes": b"*.safetensors filter=lfs",
    "pytorch_model.bin": b"\x80\x04pickled" * 300,
    "original/params.json": b"{}",
    "training_args.bin": b"\x80",
}
KEPT = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
TOKEN = "hf_thetestsownsecret"


def command(kind: str, repo: str, folder: Path, *more: str) -> list[str]:
    name = repo.rsplit("/", 1)[-1]
    into = folder / f"{kind}s"
    return [
        kind,
        "--repo",
        repo,
        "--into",
        str(into / name),
        "--lock",
        str(into / f"{name}.lock.json"),
        *map(str, more),
    ]


def refused(arguments: list[str]) -> str:
    """Run a command that must fail with one clear line; return the line."""
    with pytest.raises(errors.UserError) as caught:
        cli.main(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def hub_of_a_test(monkeypatch):
    """Run a hub that the command line of this test talks to, with short waits."""
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("EDGE2GIANT_RAW_URL", f"{running.url}/raw")
        monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
        running.tokens.add(TOKEN)
        yield running
