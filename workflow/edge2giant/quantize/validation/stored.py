"""The weights of a checkpoint beside those of its source, one layer at a time, as float32 torch tensors."""

from functools import cached_property, lru_cache
from pathlib import Path

from edge2giant import schemes
from edge2giant.quantize.tensors import Tensors
from edge2giant.quantize.validation import layers
from edge2giant.records.checkpoint import ExecutedRecipe, SmoothedMapping
from edge2giant.schemes.scheme import Layer, Scheme


class Weights:
    """A checkpoint, its source model, and what its toolkit moved between layers.

    Parameters
    ----------
    depth : int or None
        Decoder blocks that are looked at; None for all.
    """

    def __init__(self, model_dir: Path, checkpoint_dir: Path, executed: ExecutedRecipe | None = None, depth: int | None = None):
        self.model_dir, self.executed, self.depth = Path(model_dir), executed or ExecutedRecipe({}), depth
        self.source, self.stored = Tensors(model_dir), Tensors(checkpoint_dir)
        self.called = layers.called_quantized(self.model_dir, checkpoint_dir)
        self.whole = schemes.of_checkpoint(checkpoint_dir)
        self.blocks = layers.tree(self.model_dir).blocks
        self.layer = lru_cache(maxsize=8)(self._layer)

    @property
    def quantized(self) -> list[str]:
        """Names of the stored quantized layers of the first `depth` blocks."""
        return [name for name in self.stored.quantized_layers if self.within(name)]

    def within(self, name: str) -> bool:
        number = layers.block_number(name, self.blocks)
        return self.depth is None or number is None or number < self.depth

    def scheme(self, name: str) -> Scheme:
        return self.called.get(name, self.whole)

    def _layer(self, name: str) -> Layer:
        return self.scheme(name).read(self.stored, name)

    def found(self, name: str):
        """The weight that the stored codes mean."""
        import torch

        return torch.from_numpy(self.layer(name).weight)

    def wanted(self, name: str):
        """The source's weight."""
        return self.source.read(f"{name}.weight").float()

    def nearest(self, name: str):
        """The source's weight rounded to nearest."""
        return self.scheme(name).nearest(self.wanted(name))

    @property
    def key(self) -> dict:
        """What decides a model whose quantized layers are rounded to nearest."""
        return {"layers": {name: repr(self.scheme(name)) for name in self.quantized}}

    @cached_property
    def smoothed(self) -> tuple[SmoothedMapping, ...]:
        """The scales that were moved; where nobody recorded them, any layer may have got and given some."""
        return self.executed.smoothed if self.known else tuple(SmoothedMapping(name, (name,)) for name in self.quantized)

    @property
    def fed_by_norms(self) -> set[str]:
        """Layers whose input channels took the scales of something else than a quantized layer."""
        return {name for one in self.smoothed if one.smooth_layer not in self.quantized for name in one.balance_layers}

    @property
    def smooth_layers(self) -> set[str]:
        """Layers whose output channels were scaled."""
        return {one.smooth_layer for one in self.smoothed}

    @property
    def moved(self) -> set[str]:
        """Layers in which scales may stand: those that give and those that take them."""
        return self.smooth_layers | {name for one in self.smoothed for name in one.balance_layers}

    @property
    def known(self) -> bool:
        """Whether it is known which scales were moved, if any were."""
        return self.executed.transform == "none" or bool(self.executed.smoothed)

    def may_change(self, name: str) -> bool:
        """Say whether a tensor that is not quantized may differ from the source's: it gave or took scales."""
        module, _, last = name.rpartition(".")
        if not self.known:
            return self.source.read(name).ndim == 1
        return module in self.smooth_layers or (module in self.moved and last == "weight")
