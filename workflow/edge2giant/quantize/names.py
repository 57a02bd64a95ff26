"""Names of layers: as the model's files have them, and as today's transformers, which toolkits follow, calls them."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from edge2giant.quantize import compat
from edge2giant.records.checkpoint import ExecutedRecipe, SmoothedMapping

RENAMED = {
    "mixtral": ((".mlp.", ".block_sparse_moe."), (".gate_proj", ".w1"), (".up_proj", ".w3"), (".down_proj", ".w2")),
    "gpt_neox": (("lm_head", "embed_out"),),
}
"""By model type: (name in transformers 5, name in the files)."""


def in_files(model_type: str, name: str) -> str:
    """Name of a layer or tensor in the model's files."""
    for ours, theirs in RENAMED.get(model_type, ()):
        name = name.replace(ours, theirs)
    return name


def adopt(out_dir: Path, executed: ExecutedRecipe) -> ExecutedRecipe:
    """Give a checkpoint's tensors the names of its source's files, which every loader knows; return what was done so too."""
    from edge2giant.quantize.tensors import Tensors, write

    kind = compat.read_config(out_dir).get("model_type", "")
    if kind not in RENAMED:
        return executed
    for path in sorted(Path(out_dir).glob("*.safetensors")):
        made = Tensors(out_dir)
        stored = {in_files(kind, name): made.read(name) for name in made.names_in(path)}
        beside = path.with_suffix(".renamed")
        write(beside, stored)
        beside.replace(path)
    rename_index(out_dir, kind)
    rename_ignored(out_dir, kind)
    smoothed = tuple(
        SmoothedMapping(in_files(kind, one.smooth_layer), tuple(in_files(kind, name) for name in one.balance_layers))
        for one in executed.smoothed
    )
    return dataclasses.replace(executed, smoothed=smoothed, ignore=both(kind, executed.ignore))


def both(kind: str, names: Iterable[str]) -> tuple[str, ...]:
    """Names as they are, and those of the files beside them."""
    found = tuple(names)
    return tuple(dict.fromkeys((*found, *(in_files(kind, name) for name in found))))


def rename_ignored(out_dir: Path, kind: str) -> None:
    """Layers that stay in 16 bits under both names: an engine may ask for either."""
    config = compat.read_config(out_dir)
    described = config["quantization_config"]
    if ignored := described.get("ignore"):
        described["ignore"] = list(both(kind, ignored))
        compat.write_config(out_dir, config)


def rename_index(out_dir: Path, kind: str) -> None:
    """The same in the list of what each file holds."""
    path = Path(out_dir) / "model.safetensors.index.json"
    if path.is_file():
        index = json.loads(path.read_text(encoding="utf-8"))
        index["weight_map"] = {in_files(kind, name): file for name, file in index["weight_map"].items()}
        path.write_text(json.dumps(index, indent=2), encoding="utf-8")
