"""What every kind of scheme has in common, and how a layer looks once it is read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from edge2giant.schemes.limits import REFUSED, VLLM, Device, Limit

if TYPE_CHECKING:
    import numpy as np

COMPRESSED = "compressed-tensors"
BY_CHANNEL, BY_TENSOR = -1, 0
TOO_OLD = Limit(
    "capability", VLLM, "0.6", lambda scheme, device: device.below(*scheme.least),
    REFUSED, "its kernels need a GPU of higher compute capability", "choose another GPU", "source",
)  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One quantized linear layer, read from a checkpoint.

    Parameters
    ----------
    name : str
        Module name, without `.weight`.
    codes : numpy.ndarray (out, in)
        Stored values: integers, or the numbers of a small float.
    scale, zero : numpy.ndarray (out, groups)
    group : numpy.ndarray (in,)
        Group of each input channel.
    """

    name: str
    bits: int
    codes: "np.ndarray"
    scale: "np.ndarray"
    zero: "np.ndarray"
    group: "np.ndarray"

    @property
    def weight(self) -> "np.ndarray":
        """Weight in float32, shape (out, in)."""
        codes = self.codes.astype("float32") - self.zero.astype("float32")[:, self.group]
        return codes * self.scale.astype("float32")[:, self.group]

    @property
    def group_size(self) -> int:
        """Input channels per group; all of them for scales per channel or per tensor."""
        return len(self.group) // int(self.scale.shape[1])


@dataclass(frozen=True)
class Scheme:
    """What the numbers of a checkpoint's linear layers are. Each kind is a subclass.

    Parameters
    ----------
    format : str
        Layout on disk: 'compressed-tensors', 'gptq', 'awq', 'auto-round', 'auto-round-old', or 'none' for 16 bits.
    bits : int
        Of a weight.
    group_size : int
        Input channels that share a scale; `BY_CHANNEL` for one scale an output channel, `BY_TENSOR` for one a tensor.
    symmetric : bool
        Whether zero is the middle of the grid everywhere.
    activation_bits : int
        16 where activations are left alone.
    static_activations : bool
        Whether calibration fixes the scales of activations.
    desc_act : bool
        Whether input channels are quantized in the order of their activations, so that groups are no neighbours.
    """

    format: str
    bits: int
    group_size: int
    symmetric: bool = True
    activation_bits: int = 16
    static_activations: bool = False
    desc_act: bool = False

    native: ClassVar[tuple[int, int]] = (8, 0)
    """Compute capability from which GPUs compute as the recipe says."""
    least: ClassVar[tuple[int, int]] = (7, 5)
    """Compute capability below which vLLM does not load it."""
    falls_back: ClassVar[bool] = False
    """Whether a site without such GPUs serves it on the others that it has, by kernels that round no activations."""
    loads_in: ClassVar[str | None] = None
    """The one type in which transformers computes it, None where it is free."""
    stays_float32: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of stored tensors that are no 16-bit numbers, whatever the type of the model."""
    least_levels: ClassVar[int]
    """Mean number of distinct values in a group below which codes are wrong."""
    limits: ClassVar[tuple[Limit, ...]] = (TOO_OLD,)

    @classmethod
    def of_config(cls, config: dict) -> Self | None:
        """The scheme of a `quantization_config` that is of this kind, else None."""
        return cls.of_group(**next(iter(config["config_groups"].values()))) if config.get("quant_method") == COMPRESSED else None

    @classmethod
    def of_group(cls, weights: dict, input_activations: dict | None = None, **rest) -> Self | None:
        """The same of a group of compressed-tensors' `config_groups`."""
        return None

    @property
    def effective_bits(self) -> float:
        """Bits of a weight on average over a model's linear layers."""
        return self.bits

    def at(self, name: str) -> "Scheme":
        """The scheme of a layer of a checkpoint."""
        return self

    @property
    def rounds_activations(self) -> bool:
        return self.activation_bits < 16

    @property
    def block(self) -> tuple[int, int]:
        """Output and input channels that stay together where a layer is divided among GPUs."""
        return 1, max(self.group_size, 1)

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        raise NotImplementedError

    def speed(self, device: Device) -> int:
        """How many times its arithmetic of 16 bits a device has for this one."""
        return 1 if device.kind == "cpu" or device.below(*self.native) else 16 // self.activation_bits

    def bytes(self, rows: int, columns: int) -> int:
        """Bytes of a linear layer with its scales and zero points."""
        raise NotImplementedError

    def nearest(self, weight):
        """The weight (torch, float32) rounded to the nearest numbers of the scheme, and dequantized."""
        raise NotImplementedError

    def read(self, tensors, name: str) -> Layer:
        """Read a stored layer (`quantize.tensors`), sharing no code with any toolkit."""
        raise NotImplementedError

    def wrong_numbers(self, layer: Layer) -> str | None:
        """What is wrong with the codes, scales and zero points of a layer of right shape."""
        import numpy as np

        if not np.isfinite(layer.scale).all() or (layer.scale <= 0).any():
            return "a scale is not finite and positive"
        return None if np.isfinite(layer.codes).all() else "a code is NaN"

    def input_scale(self, tensors, name: str) -> float | None:
        """What a checkpoint stores for the scales of a layer's inputs."""
        stored = f"{name}.input_scale"
        return float(tensors.float32(stored).max()) if stored in tensors else None

    def round_inputs(self, values, stored: float | None, manner: str):
        """Inputs (torch) of a layer as an engine rounds them.

        Parameters
        ----------
        values : torch.Tensor (..., channels)
        stored : float or None
            `input_scale`; without it what these values would have calibrated it to.
        manner : {'transformers', 'vllm'}
        """
        raise NotImplementedError

    def fused(self, tensors, names: list[str]) -> dict | None:
        """Weights (torch) of layers that vLLM fuses into one, where that changes them; None where it does not."""
        return None


def number_of_scales(group_size: int, rows: int, columns: int) -> int:
    """Scales of a linear layer."""
    return {BY_CHANNEL: rows, BY_TENSOR: 1}.get(group_size) or rows * columns // group_size


def input_range(values, static: bool):
    """Largest magnitude of inputs (torch) of each token, or of all of them for a scale that calibration fixes."""
    return values.abs().max() if static else values.abs().amax(-1, keepdim=True)


def by_neighbours(columns: int, groups: int):
    """Group of every input channel where groups are neighbours."""
    import numpy as np

    return np.arange(columns) * groups // columns
