"""Turn stored codes back into weights, written from the format descriptions and sharing no code with any toolkit.

Each reader returns a `Layer`: integer codes, scales and zero points per group, and the weight `(code - zero) * scale` in float32
with shape (output channels, input channels). Formats:

- compressed-tensors *pack-quantized* (int4, int8): `weight_packed` int32, codes + 2^(bits-1) packed along the input, lowest bits
  first; `weight_scale` (out, groups); `weight_zero_point` packed along the output; `weight_g_idx` when columns were reordered;
- compressed-tensors *int-quantized* (int8 `weight`) and *float-quantized* (FP8 E4M3 `weight`), scale per tensor or channel;
- GPTQ: `qweight` int32 (in * bits / 32, out) packed along the input, `qzeros` (groups, out * bits / 32) holding zero - 1 in
  version 1 of the format and zero in version 2, `scales` (groups, out), `g_idx` (in);
- AWQ GEMM: `qweight` int32 (in, out / 8) packed along the output in the order 0 2 4 6 1 3 5 7, `qzeros` likewise, `scales`.
"""

from dataclasses import dataclass

import numpy as np

from edge2giant.errors import UserError
from edge2giant.quantize.tensors import Tensors

AWQ_ORDER = np.array([0, 2, 4, 6, 1, 3, 5, 7])


@dataclass(frozen=True)
class Layer:
    """One quantized linear layer.

    Attributes
    ----------
    name : str
        Module name, without `.weight`.
    form : str
        'pack-quantized', 'int-quantized', 'float-quantized', 'gptq' or 'awq'.
    bits : int
    codes : numpy.ndarray (out, in)
        Stored values: integers, or the numbers of FP8.
    scale, zero : numpy.ndarray (out, groups)
    group : numpy.ndarray (in,)
        Group of each input channel.
    """

    name: str
    form: str
    bits: int
    codes: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    group: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Weight in float32, shape (out, in)."""
        codes = self.codes.astype(np.float32) - self.zero.astype(np.float32)[:, self.group]
        return codes * self.scale.astype(np.float32)[:, self.group]

    @property
    def group_size(self) -> int:
        """Input channels per group; all of them for scales per channel or per tensor."""
        return len(self.group) // int(self.scale.shape[1])


def quantized_layers(tensors: Tensors) -> list[str]:
    """Names of the layers that are stored quantized."""
    names = set()
    for name in tensors.names:
        if name.endswith((".weight_packed", ".qweight")) or (
            name.endswith(".weight") and tensors.dtype(name) in ("I8", "F8_E4M3")
        ):
            names.add(name.rsplit(".", 1)[0])
    return sorted(names)


def read(tensors: Tensors, name: str, zero_offset: int = 1) -> Layer:
    """Read one quantized layer.

    Parameters
    ----------
    tensors : Tensors
    name : str
        Module name as `quantized_layers` gives it.
    zero_offset : int
        What the GPTQ format subtracted from the zero points: 1 in version 1, 0 in version 2.
    """
    if f"{name}.weight_packed" in tensors:
        return packed(tensors, name)
    if f"{name}.qweight" in tensors:
        by_input = tensors.shape(f"{name}.qweight")[1] == tensors.shape(f"{name}.scales")[1]
        return gptq(tensors, name, zero_offset) if by_input else awq(tensors, name)
    return plain(tensors, name)


def zero_offset(config: dict) -> int:
    """Offset of the zero points by a checkpoint's `quantization_config`."""
    return 0 if config.get("checkpoint_format") == "gptq_v2" else 1


def unpack(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Unpack unsigned codes from 32-bit words along the last axis, lowest bits first.

    Parameters
    ----------
    words : numpy.ndarray (..., w)
    bits : int
        A divisor of 32.
    count : int
        How many codes the last axis holds.
    """
    if bits not in (2, 4, 8):
        raise UserError(f"{bits}-bit codes have no reader", hint="use 2, 4 or 8 bits")
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    values = (words.view(np.uint32)[..., None] >> shifts) & np.uint32(2**bits - 1)
    return values.reshape(*words.shape[:-1], -1)[..., :count].astype(np.int16)


def packed(tensors: Tensors, name: str) -> Layer:
    """Read a compressed-tensors pack-quantized layer (codes made unsigned by adding 2^(bits-1))."""
    rows, columns = (int(extent) for extent in tensors.array(f"{name}.weight_shape"))
    words = np.ascontiguousarray(tensors.array(f"{name}.weight_packed"))
    bits = 32 * words.shape[1] // columns
    half = 2 ** (bits - 1)
    scale = tensors.float32(f"{name}.weight_scale").reshape(rows, -1)
    zero = np.zeros(scale.shape, np.int16)
    if f"{name}.weight_zero_point" in tensors:
        stored = np.ascontiguousarray(tensors.array(f"{name}.weight_zero_point").T)
        zero = unpack(stored, bits, rows).T - half
    group = columns_to_groups(tensors, f"{name}.weight_g_idx", columns, scale.shape[1])
    return Layer(name, "pack-quantized", bits, unpack(words, bits, columns) - half, scale, zero, group)


def plain(tensors: Tensors, name: str) -> Layer:
    """Read a compressed-tensors layer whose `weight` holds int8 or FP8 values."""
    rows, columns = tensors.shape(f"{name}.weight")
    floating = tensors.dtype(f"{name}.weight") == "F8_E4M3"
    codes = tensors.float32(f"{name}.weight") if floating else tensors.array(f"{name}.weight").astype(np.int16)
    scale = tensors.float32(f"{name}.weight_scale").reshape(-1)
    scale = np.broadcast_to(scale[:, None], (rows, 1)) if scale.size in (1, rows) else scale.reshape(rows, -1)
    zero = np.zeros(scale.shape, np.int16)
    group = columns_to_groups(tensors, f"{name}.weight_g_idx", columns, scale.shape[1])
    return Layer(name, "float-quantized" if floating else "int-quantized", 8, codes, scale, zero, group)


def gptq(tensors: Tensors, name: str, offset: int) -> Layer:
    """Read a layer in AutoGPTQ's format."""
    words = np.ascontiguousarray(tensors.array(f"{name}.qweight").T)
    scale = tensors.float32(f"{name}.scales").T
    zeros = np.ascontiguousarray(tensors.array(f"{name}.qzeros"))
    rows, groups = scale.shape
    bits = 32 * zeros.shape[1] // rows
    columns = words.shape[1] * 32 // bits
    zero = unpack(zeros, bits, rows).T + offset
    group = columns_to_groups(tensors, f"{name}.g_idx", columns, groups)
    return Layer(name, "gptq", bits, unpack(words, bits, columns), scale, zero, group)


def awq(tensors: Tensors, name: str) -> Layer:
    """Read a layer in AutoAWQ's GEMM format (4 bits)."""
    scale = tensors.float32(f"{name}.scales").T
    rows, groups = scale.shape
    words = np.ascontiguousarray(tensors.array(f"{name}.qweight"))
    zeros = np.ascontiguousarray(tensors.array(f"{name}.qzeros"))
    columns = words.shape[0]
    group = np.arange(columns) // (columns // groups)
    return Layer(name, "awq", 4, interleaved(words, rows).T, scale, interleaved(zeros, rows).T, group)


def interleaved(words: np.ndarray, count: int) -> np.ndarray:
    """Unpack AWQ words: the i-th nibble of a word belongs to output channel AWQ_ORDER[i] of its eight."""
    stored = unpack(words, 4, count).reshape(words.shape[0], -1, 8)
    values = np.empty_like(stored)
    values[:, :, AWQ_ORDER] = stored
    return values.reshape(words.shape[0], -1)


def columns_to_groups(tensors: Tensors, index: str, columns: int, groups: int) -> np.ndarray:
    """Group of every input channel: the stored index where there is one, else neighbours."""
    if index in tensors:
        return tensors.array(index).astype(np.int64)
    return np.arange(columns) * groups // columns
