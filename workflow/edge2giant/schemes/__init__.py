"""Schemes: what the numbers of a checkpoint are. One module for each kind of number; a new kind is a new module here.

A module lists its classes, subclasses of `scheme.Scheme`, in `KINDS`. A scheme knows how it rounds, its bytes, its layout on disk
and how to read it, which GPUs compute it, its limits in each engine and the limits of its validation. All else asks the scheme.

Standard library only at import; numpy and torch inside functions.
"""

import importlib
import json
from functools import cache
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.schemes.mixed import Mixed, SchemeOfLayers
from edge2giant.schemes.scheme import Scheme

HERE = Path(__file__).resolve().parent


@cache
def kinds() -> tuple[type[Scheme], ...]:
    """Every kind of scheme, found by the files of this package."""
    modules = (importlib.import_module(f"{__name__}.{path.stem}") for path in sorted(HERE.glob("[a-z]*.py")))
    return tuple(kind for module in modules for kind in getattr(module, "KINDS", ()))


def of_config(config: dict | None, where: object = "quantization_config") -> Scheme:
    """The scheme that a `quantization_config` of config.json describes; none is 16 bits.

    Raises
    ------
    UserError
        If no kind of scheme is like that.
    """
    groups = (config or {}).get("config_groups", {})
    if len(groups) > 1:
        single = ((group, config | {"config_groups": {"group": group}}) for group in groups.values())
        return Mixed.of_parts([SchemeOfLayers(tuple(group["targets"]), of_config(one, where)) for group, one in single])
    for kind in kinds():
        if scheme := kind.of_config(config or {}):
            return scheme
    known = ", ".join(kind.__name__ for kind in kinds())
    raise UserError(
        f"numbers of quantization method '{config.get('quant_method')}' that no scheme describes", where, f"known: {known}"
    )


def of_checkpoint(folder: str | Path) -> Scheme:
    """The scheme of a checkpoint, by its config.json.

    Raises
    ------
    UserError
        If there is none, or it describes no known scheme.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise UserError("has no config.json", folder, "name the folder of a checkpoint")
    return of_config(json.loads(path.read_text(encoding="utf-8")).get("quantization_config"), folder)
