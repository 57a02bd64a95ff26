"""Which layers of a model a checkpoint should hold quantized, from its module tree and the checkpoint's own config.

Patterns are those of compressed-tensors: a module's whole name, `re:` and a regular expression that matches the name from its
start, or the name of a class that the module is of. Nothing here knows how a model names its layers.
"""

import itertools
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge2giant import schemes
from edge2giant.quantize import compat
from edge2giant.quantize.tensors import Tensors
from edge2giant.schemes.scheme import COMPRESSED, Scheme

WIDE_BITS = 16
LINEAR = "Linear"
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True)
class Tree:
    """The modules of a model: classes by name, and the name of the list of its decoder blocks."""

    classes: dict[str, frozenset[str]]
    blocks: str


@cache
def tree(model_dir: Path) -> Tree:
    """Build a model's module tree without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(model_dir), trust_remote_code=False)
    config.__dict__.pop("quantization_config", None)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    classes = {name: frozenset(kind.__name__ for kind in type(module).__mro__) for name, module in model.named_modules()}
    return Tree(classes, block_list(model))


def block_list(model) -> str:
    """Name of the list of decoder blocks: the first one as long as the model is deep."""
    import torch

    text = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    lists = {name: len(module) for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)}
    return next((name for name, size in lists.items() if size == text.num_hidden_layers), max(lists, key=lists.get))


def block_number(name: str, blocks: str) -> int | None:
    """Number of the decoder block that a tensor belongs to; None outside of them."""
    parts, last = name.split("."), blocks.rpartition(".")[2]
    numbers = (after for part, after in itertools.pairwise(parts) if part == last and after.isdigit())
    return next((int(number) for number in numbers), None)


def candidates(model_dir: Path) -> dict[str, frozenset[str]]:
    """Names of the stored matrices of a model with the classes of their modules.

    A mixture of experts may hold the matrices of its experts as one tensor in memory; those have no module and count as linear.
    A matrix with one output for each expert is a router, which no toolkit may round.
    """
    source, modules, config = Tensors(model_dir), tree(model_dir).classes, compat.read_config(model_dir)
    experts = {config.get(key) for key in EXPERTS} | {config.get("text_config", {}).get(key) for key in EXPERTS}
    found = {}
    for stored in source.names:
        name, _, last = stored.rpartition(".")
        if last != "weight" or len(source.shape(stored)) != 2:
            continue
        found[name] = modules.get(name, frozenset({LINEAR}))
        if source.shape(stored)[0] in experts:
            found[name] -= {LINEAR}
    return found


def matches(name: str, classes: frozenset[str], patterns) -> bool:
    """Say whether one of compressed-tensors' patterns means a module."""
    return any(
        re.match(pattern[3:], name) is not None if pattern.startswith("re:") else pattern == name or pattern in classes
        for pattern in patterns
    )


def linear(model_dir: Path, ignore: tuple[str, ...]) -> set[str]:
    """Names of the linear layers of a model but those that a recipe's patterns leave out."""
    found = candidates(model_dir).items()
    return {name for name, classes in found if LINEAR in classes and not matches(name, classes, ignore)}


def called_quantized(model_dir: Path, checkpoint_dir: Path) -> dict[str, Scheme]:
    """The layers that a checkpoint's config calls quantized, each with its scheme."""
    given, found = compat.read_config(checkpoint_dir).get("quantization_config"), {}
    named = candidates(model_dir)
    if not given:
        return {}
    if given.get("quant_method") != COMPRESSED:
        scheme, blocks = schemes.of_config(given, checkpoint_dir), tree(model_dir).blocks
        left_out = given.get("modules_to_not_convert") or ()
        wanted = (name for name, classes in named.items() if LINEAR in classes and block_number(name, blocks) is not None)
        alone = [f"re:{one[2:]}" for one in given.get("dynamic") or () if one.startswith("-:")]
        alone += [name for name, own in (given.get("extra_config") or {}).items() if own.get("bits", 0) >= WIDE_BITS]
        return {name: scheme for name in wanted if not any(word in name for word in left_out) and not matches(name, set(), alone)}
    scheme = schemes.of_config(given, checkpoint_dir)
    targets = [target for group in given["config_groups"].values() for target in group["targets"]]
    for name, classes in named.items():
        if matches(name, classes, targets) and not matches(name, classes, given.get("ignore") or ()):
            found[name] = scheme.at(name)
    return found
