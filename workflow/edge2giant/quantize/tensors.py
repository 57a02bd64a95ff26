"""Tensors of checkpoint folders, read one at a time and written by the library safetensors."""

import math
from functools import cached_property
from pathlib import Path

from edge2giant.errors import UserError

EIGHT_BITS = ("I8", "F8_E4M3")


class Tensors:
    """The tensors of a checkpoint folder.

    Parameters
    ----------
    folder : path
        Folder with one or more `*.safetensors`.

    Raises
    ------
    UserError
        If there is none, or one is not complete.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.paths = sorted(self.folder.glob("*.safetensors"))
        if not self.paths:
            raise UserError("has no safetensors file", self.folder, "convert or fetch the model in this format")

    @cached_property
    def entries(self) -> dict[str, tuple[Path, str, tuple[int, ...]]]:
        """Name -> (file, dtype as safetensors writes it, shape)."""
        found = {}
        for path, file in self._files.items():
            for name in file.keys():  # noqa: SIM118 (no mapping)
                stored = file.get_slice(name)
                found[name] = (path, stored.get_dtype(), tuple(stored.get_shape()))
        return found

    @cached_property
    def _files(self) -> dict:
        from safetensors import SafetensorError, safe_open

        files = {}
        for path in self.paths:
            try:
                files[path] = safe_open(path, framework="pt")
            except SafetensorError as error:
                raise UserError(f"is not a complete safetensors file ({error})", path, "fetch or make it again") from None
        return files

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    @property
    def names(self) -> list[str]:
        return sorted(self.entries)

    @property
    def quantized_layers(self) -> list[str]:
        """Names of the layers that are stored quantized, whatever the format."""
        small = (".weight_packed", ".qweight")
        held = (one for one in self.names if one.endswith(small) or (one.endswith(".weight") and self.dtype(one) in EIGHT_BITS))
        return sorted({one.rpartition(".")[0] for one in held})

    def names_in(self, path: Path) -> list[str]:
        """Names of the tensors of one file."""
        return [name for name in self.names if self.entries[name][0] == path]

    def dtype(self, name: str) -> str:
        """Type as safetensors writes it, such as `BF16` or `F8_E4M3`."""
        return self.entries[name][1]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.entries[name][2]

    def size(self, name: str) -> int:
        """Number of elements."""
        return math.prod(self.shape(name))

    def read(self, name: str):
        """Return a tensor (torch) of its stored type."""
        return self._files[self.entries[name][0]].get_tensor(name)

    def array(self, name: str):
        """Return a tensor of integers as a numpy array."""
        return self.read(name).numpy()

    def float32(self, name: str):
        """Return a floating-point tensor as a numpy array of float32."""
        return self.read(name).float().numpy()


def write(path: Path, stored: dict) -> None:
    """Write tensors (torch) by name to a file that transformers loads."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in stored.items()}, path, metadata={"format": "pt"})
