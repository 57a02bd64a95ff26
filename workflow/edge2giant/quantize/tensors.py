"""Read safetensors files without torch: headers with the standard library, values with numpy.

The layout is the public one of safetensors: eight bytes of header length (little endian), a JSON header with dtype, shape and
byte range of every tensor, then the bytes. Types that numpy does not have are returned as their bits (BF16 as uint16, F8_E4M3
as uint8) by `raw` and as numbers by `float32`.
"""

import json
import struct
from functools import cached_property
from pathlib import Path

from edge2giant.errors import UserError

WIDTH = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
STORED_AS = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4", "F16": "<f2", "BF16": "<u2",
    "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "?", "F8_E4M3": "u1", "F8_E5M2": "u1",
}  # fmt: skip


def header(path: Path) -> tuple[dict, int]:
    """Return a safetensors file's header and the offset of its first value.

    Raises
    ------
    UserError
        If the file is cut short or is no safetensors file.
    """
    hint = "fetch or make it again"
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise UserError("is no whole safetensors file", path, hint)
        try:
            entries = json.loads(stream.read(length))
        except ValueError:
            raise UserError("has a header that is no JSON", path, hint) from None
    entries.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if 8 + length + end > size:
        raise UserError(f"is cut short ({size} bytes, {8 + length + end} expected)", path, hint)
    return entries, 8 + length


class Tensors:
    """The tensors of a checkpoint folder, read one at a time.

    Parameters
    ----------
    folder : path
        Folder with one or more `*.safetensors`.

    Raises
    ------
    UserError
        If there is none, or one is cut short.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.paths = sorted(self.folder.glob("*.safetensors"))
        if not self.paths:
            raise UserError("has no safetensors file", self.folder, "convert or fetch the model in this format")

    @cached_property
    def entries(self) -> dict[str, tuple[Path, str, tuple[int, ...], int]]:
        """Name -> (file, dtype, shape, offset of its first byte in the file)."""
        found = {}
        for path in self.paths:
            entries, base = header(path)
            for name, entry in entries.items():
                place = base + entry["data_offsets"][0]
                found[name] = (path, entry["dtype"], tuple(entry["shape"]), place)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    @property
    def names(self) -> list[str]:
        return sorted(self.entries)

    def dtype(self, name: str) -> str:
        return self.entries[name][1]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.entries[name][2]

    def bytes(self, name: str) -> int:
        _, dtype, shape, _ = self.entries[name]
        return WIDTH[dtype] * count(shape)

    def raw(self, name: str):
        """Return a tensor as a read-only numpy array of its stored type."""
        import numpy as np

        path, dtype, shape, place = self.entries[name]
        if not count(shape):
            return np.empty(shape, STORED_AS[dtype])
        return np.memmap(path, STORED_AS[dtype], mode="r", offset=place, shape=shape or (1,)).reshape(shape)

    def float32(self, name: str):
        """Return a floating-point tensor as float32 numbers."""
        return widened(self.raw(name), self.dtype(name))


def widened(values, dtype: str):
    """Return stored values (see `Tensors.raw`) as float32 numbers."""
    import numpy as np

    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    if dtype == "F8_E4M3":
        return float8_e4m3()[values]
    return values.astype(np.float32)


def narrowed(values, dtype: str):
    """Round float32 numbers to F16, BF16 (to nearest, ties to even) or F32, and return what `write` stores."""
    import numpy as np

    if dtype == "BF16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return values.astype(STORED_AS[dtype])


def write(path: Path, stored: dict) -> None:
    """Write a safetensors file.

    Parameters
    ----------
    path : Path
    stored : dict
        Name -> (dtype as in `WIDTH`, numpy array of the stored type).
    """
    import numpy as np

    entries, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, values) in stored.items():
        size = WIDTH[dtype] * count(values.shape)
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)))
        stream.write(text)
        for dtype, values in stored.values():
            stream.write(np.ascontiguousarray(values, STORED_AS[dtype]).tobytes())


def float8_e4m3():
    """The 256 numbers of FP8 E4M3 (finite variant: bias 7, no infinity, 0x7F and 0xFF are NaN), by their bits.

    Source: P. Micikevicius et al., FP8 Formats for Deep Learning, arXiv 2209.05433, table 1.
    """
    import numpy as np

    bits = np.arange(256)
    sign = np.where(bits & 0x80, -1.0, 1.0)
    exponent, mantissa = (bits >> 3) & 0xF, bits & 0x7
    normal = (1 + mantissa / 8) * np.exp2(exponent - 7.0)
    values = sign * np.where(exponent == 0, mantissa / 8 * np.exp2(-6.0), normal)
    values[[0x7F, 0xFF]] = np.nan
    return values.astype(np.float32)


def count(shape: tuple[int, ...]) -> int:
    """Number of elements of a shape."""
    total = 1
    for extent in shape:
        total *= extent
    return total
