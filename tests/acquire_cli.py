"""What the tests of the acquire phase share: a small model, its hub, and the command line."""

import json
import math
from pathlib import Path

import pytest
from edge2giant import errors, specs
from edge2giant.models.facts import ModelFacts
from edge2giant.specs.acquire import FetchSpec
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


def files_of(facts: ModelFacts, **config) -> dict[str, bytes]:
    """The small files of a Llama-like model with these facts, and a file of weights that is a header alone."""
    keys = ("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "head_dim", "vocab_size", "max_position_embeddings", "tie_word_embeddings")  # fmt: skip
    tensors = {"model.embed_tokens.weight": (facts.vocab_size, facts.hidden_size), "model.norm.weight": (facts.hidden_size,)}
    for one in facts.linear_layers:
        tensors |= {f"model.layers.{number}.{one.name}.weight": (one.outputs, one.inputs) for number in range(one.count)}
    rest = facts.parameters - sum(math.prod(shape) for shape in tensors.values())
    if not facts.tie_word_embeddings:
        tensors["lm_head.weight"] = (facts.vocab_size, facts.hidden_size)
        rest -= math.prod(tensors["lm_head.weight"])
    tensors["model.layers.0.input_layernorm.weight"] = (rest,)
    rope = {"rope_scaling": {"rope_type": facts.rope_type}} if facts.rope_type else {}
    return {
        "config.json": json.dumps({key: getattr(facts, key) for key in keys} | rope | config).encode(),
        "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
        "tokenizer.json": b"{}",
        "README.md": b"---\nlicense: apache-2.0\n---\n",
        "model.safetensors": header(tensors),
    }


def header(tensors: dict[str, tuple[int, ...]], dtype: str = "BF16") -> bytes:
    """A safetensors file without its weights."""
    entries = {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
    content = json.dumps({"__metadata__": {"format": "pt"}} | entries).encode()
    return len(content).to_bytes(8, "little") + content


KEPT = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
TOKEN = "hf_thetestsownsecret"


def piece(kind: str, repo: str, **changes) -> FetchSpec:
    name = repo.rsplit("/", 1)[-1]
    folder = {"model": f"models/{name}", "dataset": f"datasets/{name}", "mt-bench": "mt_bench"}.get(kind, kind)
    given = {"name": name, "revision": None, "folder": folder, "lock": f"{folder}.lock.json"} | changes
    return FetchSpec(kind=kind, repo=repo, **given)


def fetching(spec: FetchSpec, folder: Path, *more: str, **service: Path) -> list[str]:
    """The command that fetches a piece into the store `folder`; `service` says from where."""
    told = folder / "told"
    digest = specs.write(spec, told)
    source = specs.path(told, specs.write({key: str(value) for key, value in service.items()}, told))
    return [
        *("fetch", "--spec", str(specs.path(told, digest)), "--spec-digest", digest),
        *("--store", str(folder), "--source", str(source), *map(str, more)),
    ]


def command(kind: str, repo: str, folder: Path, *more: str, revision: str | None = None, **service: Path) -> list[str]:
    return fetching(piece(kind, repo, revision=revision), folder, *more, **service)


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
