"""Integers of 2, 4 or 8 bits in groups or channels, activations left alone (GPTQ, AWQ, AutoRound, round to nearest).

Formats:

- compressed-tensors *pack-quantized*: `weight_packed` int32, codes + 2^(bits-1) packed along the input, lowest bits first;
  `weight_scale` (out, groups); `weight_zero_point` packed along the output; `weight_g_idx` where columns were reordered;
- compressed-tensors *int-quantized*: int8 `weight`, a scale for each output channel or the whole tensor;
- GPTQ: `qweight` int32 (in * bits / 32, out) packed along the input, `qzeros` (groups, out * bits / 32) with zero - 1 in
  version 1 of the format and zero in version 2, `scales` (groups, out), `g_idx` (in);
- AWQ GEMM: `qweight` int32 (in, out / 8) packed along the output in the order 0 2 4 6 1 3 5 7, `qzeros` likewise, `scales`.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from edge2giant.errors import UserError
from edge2giant.schemes.limits import HF, NEEDS, REFUSED, VLLM, Limit
from edge2giant.schemes.scheme import BY_CHANNEL, BY_TENSOR, COMPRESSED, TOO_OLD, Layer, Scheme, by_neighbours, number_of_scales

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
SIZES = {"channel": BY_CHANNEL, "tensor": BY_TENSOR}
ELSEWHERE = "evaluate with the Hugging Face engine"
PACKAGES = ("gptqmodel", "optimum")
BY_PACKAGES = "transformers loads this format with the packages gptqmodel and optimum alone"

LIMITS = (
    Limit(
        "gptq-desc-act-group", VLLM, "0.33", lambda s, d: s.format == "gptq" and s.desc_act and s.group_size != BY_CHANNEL,
        REFUSED, "GPTQ with desc_act and a group size is not loaded",
        f"{ELSEWHERE}, or requantize with desc_act false", "source",
    ),
    Limit(
        "gptq-asymmetric", VLLM, "0.33", lambda s, d: s.format == "gptq" and not s.symmetric,
        REFUSED, "asymmetric GPTQ is not loaded", f"requantize with sym true, or {ELSEWHERE}", "source",
    ),
    Limit(
        "gptq-odd-bits", VLLM, "0.33", lambda s, d: s.format == "gptq" and s.bits not in (4, 8),
        REFUSED, "GPTQ is loaded at 4 and 8 bits alone", "choose 4 or 8 bits", "source",
    ),
    Limit(
        "actorder-group", VLLM, "0.33", lambda s, d: s.format == COMPRESSED and s.desc_act,
        REFUSED, "compressed-tensors with actorder group is not loaded", "use actorder static, or none", "source",
    ),
    Limit(
        "awq-bits", VLLM, "0.6", lambda s, d: s.format == "awq" and s.bits != 4,
        REFUSED, "AWQ is loaded at 4 bits alone", "choose 4 bits", "source",
    ),
    Limit(
        "auto-round-old", VLLM, "0.32", lambda s, d: s.format == "auto-round-old",
        REFUSED, "the native format of auto-round 0.4 (quant method intel/auto-round) is unknown",
        "export to auto_gptq, or use auto-round 0.15", "run",
    ),
    TOO_OLD,
    Limit(
        "cpu-w8a16", VLLM, "0.32", lambda s, d: d.kind == "cpu" and s.format == COMPRESSED and s.bits == 8,
        REFUSED, "the CPU build has 4-bit weight-only kernels alone (W8A16)", ELSEWHERE, "run",
    ),
    Limit(
        "cpu-gptq-8", VLLM, "0.32", lambda s, d: d.kind == "cpu" and s.format == "gptq" and s.bits == 8,
        REFUSED, "the CPU build loads GPTQ at 4 bits alone", ELSEWHERE, "run",
    ),
    Limit(
        "hf-gptq", HF, "5", lambda s, d: d.kind != "cpu" and s.format in ("gptq", "auto-round"),
        NEEDS, BY_PACKAGES, "evaluate in an environment that has them, or take the method's -llmcompressor variant", "run",
        PACKAGES,
    ),
    Limit(
        "hf-gptq-cpu", HF, "5", lambda s, d: d.kind == "cpu" and s.format in ("gptq", "auto-round"),
        NEEDS, "transformers loads this format with the package auto-round, in float16",
        "evaluate in an environment that has it", "run", ("auto-round",),
    ),
    Limit(
        "hf-awq", HF, "5", lambda s, d: s.format == "awq",
        NEEDS, BY_PACKAGES, "evaluate in an environment that has them, or with vLLM (stack cpu-vllm has its CPU build)", "run",
        PACKAGES,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Integers(Scheme):
    """Integer weights.

    Parameters
    ----------
    zero_offset : int
        What the format subtracted from the zero points: 1 in version 1 of GPTQ's, 0 in version 2.
    signed_scales : bool
        AutoRound gives a symmetric group a negative scale where its largest weight is negative.
    """

    zero_offset: int = field(default=1, compare=False)
    signed_scales: bool = field(default=False, compare=False)

    limits: ClassVar = LIMITS

    @property
    def label(self) -> str:
        spread = {BY_CHANNEL: "by output channel", BY_TENSOR: "by tensor"}.get(self.group_size, f"in groups of {self.group_size}")
        order = ", in the order of activations" if self.desc_act else ""
        return f"int{self.bits} {spread}{'' if self.symmetric else ', asymmetric'}{order}"

    @property
    def block(self) -> tuple[int, int]:
        """Codes are packed into words of 32 bits, along the inputs or along the outputs."""
        packed = 32 // self.bits
        return packed, max(self.group_size, packed)

    @property
    def least_levels(self) -> int:
        return min(2 ** (self.bits - 2), 8)

    def bytes(self, rows: int, columns: int) -> int:
        """Codes, a 16-bit scale for each group, and where the format stores them a zero point and each input's group."""
        zero = 0 if self.symmetric and self.format == COMPRESSED else self.bits
        index = 4 * columns if self.format == "gptq" or (self.format == COMPRESSED and self.desc_act) else 0
        scales = number_of_scales(self.group_size, rows, columns)
        return (rows * columns * self.bits + scales * (16 + zero)) // 8 + index

    @classmethod
    def of_config(cls, config: dict) -> Self | None:
        method, inner = config.get("quant_method"), config.get("packing_format", "")
        if method == "awq":
            size = config.get("group_size", config.get("q_group_size"))
            return cls("awq", config.get("bits", config.get("w_bit")), size, symmetric=not config.get("zero_point", True))
        formats = {"gptq": "gptq", "auto-round": "awq" if "awq" in inner else "auto-round", "intel/auto-round": "auto-round-old"}
        if method not in formats:
            return super().of_config(config)
        given = {"symmetric": config.get("sym", True), "desc_act": config.get("desc_act", False)}
        offset = 0 if config.get("checkpoint_format") == "gptq_v2" else 1
        return cls(formats[method], config["bits"], config["group_size"], **given, zero_offset=offset)

    @classmethod
    def of_group(cls, weights: dict, input_activations: dict | None = None, **rest) -> Self | None:
        return None if weights["type"] != "int" or input_activations else cls(**cls.weights_of(weights))

    @staticmethod
    def weights_of(weights: dict) -> dict:
        return {
            "format": COMPRESSED,
            "bits": weights["num_bits"],
            "group_size": SIZES.get(weights["strategy"], weights.get("group_size")),
            "symmetric": weights["symmetric"],
            "desc_act": weights.get("actorder") in ("group", "dynamic"),
        }

    def nearest(self, weight):
        import torch

        rows, columns = weight.shape
        shape = (
            (1, 1, -1) if self.group_size == BY_TENSOR else (rows, 1 if self.group_size < 0 else columns // self.group_size, -1)
        )
        grouped = weight.float().reshape(shape)
        if self.symmetric:
            codes, scale = self.symmetric_codes(grouped, torch.float32)
            return (codes * scale).reshape(rows, columns)
        low, high = grouped.amin(2, keepdim=True).clamp_max(0), grouped.amax(2, keepdim=True).clamp_min(0)
        scale = ((high - low) / (2**self.bits - 1)).clamp_min(1e-30)
        zero = (-low / scale).round()
        codes = ((grouped / scale).round() + zero).clamp(0, 2**self.bits - 1)
        return ((codes - zero) * scale).reshape(rows, columns)

    def symmetric_codes(self, grouped, dtype):
        """Signed codes and scales (of a type) of weights (rows, groups, channels); the grid reaches the largest of both signs."""
        import torch

        limit = 2 ** (self.bits - 1)
        scale = grouped.abs().amax(2, keepdim=True) / (limit - 0.5)
        scale = scale.clamp_min(torch.finfo(torch.float16).tiny).to(dtype)
        return (grouped / scale.float()).round().clamp(-limit, limit - 1), scale

    def read(self, tensors, name: str) -> Layer:
        if f"{name}.weight_packed" in tensors:
            return self._packed(tensors, name)
        if f"{name}.qweight" in tensors:
            return self._awq(tensors, name) if self.format == "awq" else self._gptq(tensors, name)
        return self._plain(tensors, name)

    def _packed(self, tensors, name: str) -> Layer:
        import numpy as np

        rows, columns = (int(extent) for extent in tensors.array(f"{name}.weight_shape"))
        words = np.ascontiguousarray(tensors.array(f"{name}.weight_packed"))
        bits = 32 * words.shape[1] // columns
        half = 2 ** (bits - 1)
        scale = tensors.float32(f"{name}.weight_scale").reshape(rows, -1)
        zero = np.zeros(scale.shape, np.int16)
        if f"{name}.weight_zero_point" in tensors:
            stored = np.ascontiguousarray(tensors.array(f"{name}.weight_zero_point").T)
            zero = unpack(stored, bits, rows).T - half
        group = _columns_to_groups(tensors, f"{name}.weight_g_idx", columns, scale.shape[1])
        return Layer(name, bits, unpack(words, bits, columns) - half, scale, zero, group)

    def _plain(self, tensors, name: str) -> Layer:
        import numpy as np

        codes = tensors.array(f"{name}.weight").astype(np.int16)
        scale = tensors.float32(f"{name}.weight_scale").reshape(-1)
        scale = (
            np.broadcast_to(scale[:, None], (len(codes), 1)) if scale.size in (1, len(codes)) else scale.reshape(len(codes), -1)
        )
        group = _columns_to_groups(tensors, f"{name}.weight_g_idx", codes.shape[1], scale.shape[1])
        return Layer(name, 8, codes, scale, np.zeros(scale.shape, np.int16), group)

    def _gptq(self, tensors, name: str) -> Layer:
        import numpy as np

        words = np.ascontiguousarray(tensors.array(f"{name}.qweight").T)
        scale = tensors.float32(f"{name}.scales").T
        zeros = np.ascontiguousarray(tensors.array(f"{name}.qzeros"))
        rows, groups = scale.shape
        bits = 32 * zeros.shape[1] // rows
        columns = words.shape[1] * 32 // bits
        zero = unpack(zeros, bits, rows).T + self.zero_offset
        group = _columns_to_groups(tensors, f"{name}.g_idx", columns, groups)
        return Layer(name, bits, unpack(words, bits, columns), scale, zero, group)

    def _awq(self, tensors, name: str) -> Layer:
        import numpy as np

        scale = tensors.float32(f"{name}.scales").T
        words, zeros = (np.ascontiguousarray(tensors.array(f"{name}.{last}")) for last in ("qweight", "qzeros"))
        codes, zero = _interleaved(words, scale.shape[0]).T, _interleaved(zeros, scale.shape[0]).T
        return Layer(name, 4, codes, scale, zero, by_neighbours(*codes.shape[1:], scale.shape[1]))

    def wrong_numbers(self, layer: Layer) -> str | None:
        import numpy as np

        scale = np.abs(layer.scale) if self.signed_scales else layer.scale
        if not np.isfinite(scale).all() or (scale <= 0).any():
            return "a scale is not finite and positive"
        low = -(2 ** (self.bits - 1)) if self.format == COMPRESSED else 0
        if self.symmetric and low == 0 and (layer.zero != 2 ** (self.bits - 1)).any():
            return "a symmetric recipe with zero points off the middle"
        inside = (layer.zero >= low) & (layer.zero <= low + 2**self.bits)
        return None if inside.all() else "a zero point lies outside the grid"


def unpack(words, bits: int, count: int):
    """Unpack unsigned codes from 32-bit words (numpy) along the last axis, lowest bits first.

    Parameters
    ----------
    words : numpy.ndarray (..., w)
    bits : int
        A divisor of 32.
    count : int
        How many codes the last axis holds.
    """
    import numpy as np

    if bits not in (2, 4, 8):
        raise UserError(f"{bits}-bit codes have no reader", hint="use 2, 4 or 8 bits")
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    values = (words.view(np.uint32)[..., None] >> shifts) & np.uint32(2**bits - 1)
    return values.reshape(*words.shape[:-1], -1)[..., :count].astype(np.int16)


def _interleaved(words, count: int):
    """Unpack AWQ words: the i-th nibble of a word belongs to output channel AWQ_ORDER[i] of its eight."""
    import numpy as np

    stored = unpack(words, 4, count).reshape(words.shape[0], -1, 8)
    values = np.empty_like(stored)
    values[:, :, list(AWQ_ORDER)] = stored
    return values.reshape(words.shape[0], -1)


def _columns_to_groups(tensors, index: str, columns: int, groups: int):
    """Group of every input channel: the stored index where there is one, else neighbours."""
    return tensors.array(index).astype("int64") if index in tensors else by_neighbours(columns, groups)


KINDS = (Integers,)
