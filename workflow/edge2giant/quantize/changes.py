"""Plain keys by which a study changes a recipe, the same for every toolkit, whose module says which it takes and translates them.

Standard library only, for use in planning.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from edge2giant import typed
from edge2giant.errors import UserError
from edge2giant.quantize import toolkits
from edge2giant.typed import Natural, NotEmpty, Positive, Share

Names = Annotated[tuple[toolkits.Layers, ...], NotEmpty()]


@dataclass(frozen=True)
class PlainKeys:
    """What may be changed; a toolkit takes some of it.

    Parameters
    ----------
    group_size : int
        Input channels that share a scale; -1 for one scale an output channel.
    ignore : tuple of str
        Layers that stay in 16 bits beside those that the recipe names: names, or `re:` and a regular expression that matches
        from the start of a name. AutoAWQ takes parts of names.
    actorder : {'none', 'group', 'static'}
        Order in which GPTQ rounds input channels: as they come, by activations, or by activations with groups of neighbours.
    dampening : float
        Share of the mean of a Hessian's diagonal that is added to it.
    smoothing_strength : float
        How much of the range of activations SmoothQuant moves into weights.
    mappings : tuple
        Pairs of the layers that take a scale and the one that gives it, by patterns as in `ignore`.
    calibration_samples, calibration_length, calibration_seed : int
        Samples drawn from the calibration set, tokens of each, and seed of the draw.
    """

    group_size: toolkits.GroupSize | None = None
    ignore: Names | None = None
    actorder: Literal["none", "group", "static"] | None = None
    dampening: Share | None = None
    smoothing_strength: Share | None = None
    mappings: Annotated[tuple[tuple[Names, toolkits.Layers], ...], NotEmpty()] | None = None
    calibration_samples: Positive | None = None
    calibration_length: Positive | None = None
    calibration_seed: Natural | None = None


PLAIN = tuple(one.name for one in fields(PlainKeys))
CALIBRATION = {"calibration_samples": "samples", "calibration_length": "length", "calibration_seed": "seed"}
"""Keys of a calibration set by the plain keys that change them."""


def taken(toolkit: str, recipe: dict, calibrates: bool) -> dict[str, Callable | None]:
    """The plain keys that a recipe of a toolkit takes, each with the function that makes the changed recipe of a value."""
    takes = getattr(toolkits.module(toolkit), "takes", None)
    return (takes(recipe) if takes else {}) | (dict.fromkeys(CALIBRATION) if calibrates else {})


def applied(toolkit: str, recipe: dict, changes: dict, calibrates: bool, where: str) -> tuple[dict, dict]:
    """A recipe with changes, and what they change of its calibration set.

    Parameters
    ----------
    changes : dict
        Plain keys, and the toolkit's own, which are merged over the recipe.

    Raises
    ------
    UserError
        If the toolkit does not take a key in this recipe, or not with this value.
    """
    own, drawn, changed = {}, {}, recipe
    for key, value in changes.items():
        known = taken(toolkit, recipe, calibrates)
        if key not in PLAIN:
            own[key] = value
            continue
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no plain keys"
            raise UserError(f"toolkit {toolkit} cannot change '{key}' in this recipe", where, takes)
        if value is None:
            raise UserError(f"'{key}' has no value", where, "give it one, or leave it out for the recipe's own")
        typed.build(PlainKeys, {key: value}, where, "docs/quantization.md says what each key means")
        if key in CALIBRATION:
            drawn[CALIBRATION[key]] = value
        else:
            changed = taken(toolkit, changed, calibrates)[key](value)
    changed = merged(changed, own)
    if changed != recipe:
        toolkits.check(toolkit, changed, where)
    return changed, drawn


def merged(base: dict, over: dict) -> dict:
    """Return `base` with `over` laid on it; mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return result
