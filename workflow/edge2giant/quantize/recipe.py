"""Resolve a scheme: what `config/recipes.yaml` says for one model, method and bits. Standard library only.

A resolved scheme is one JSON object: everything that decides the weights and nothing else (no places in the paper, no
remarks), so that its digest names the checkpoint. Two studies whose rows resolve to the same scheme share one checkpoint.
"""

import copy
import hashlib
import json
import re

from edge2giant.errors import UserError

BITS = re.compile(r"w(\d+)a(\d+)")


def widths(bits: str) -> tuple[int, int]:
    """Weight and activation bits of a name such as `w4a16`."""
    match = BITS.fullmatch(bits)
    if not match:
        raise UserError(f"bits '{bits}' are not of the form w4a16")
    return int(match[1]), int(match[2])


def resolve(
    recipes: dict,
    calibration_sets: dict,
    model: str,
    method: str,
    bits: str,
    *,
    calibration: str | None = None,
    settings: dict | None = None,
    source: str = "make",
) -> dict:
    """Return the scheme of one row.

    Parameters
    ----------
    recipes : dict
        Content of `config/recipes.yaml`.
    calibration_sets : dict
        Content of `config/calibration.yaml`.
    model, method, bits : str
        The row.
    calibration : str, optional
        Calibration set that a study uses for every row in place of the recipe's own (the miniature does).
    settings : dict, optional
        Toolkit parameters that a study changes, merged over the recipe.
    source : {'make', 'published'}
        Make the checkpoint, or take the published one that the recipe names.

    Returns
    -------
    dict
        model, method, bits, toolkit, source, recipe, calibration (the whole set, or None), published (repo and revision, or
        None).

    Raises
    ------
    UserError
        If a name is unknown (with what is allowed), or `published` is asked where none is named.
    """
    entry = _entry(recipes, method, bits)
    override = _override(entry, model)
    scheme = {
        "model": model,
        "method": method,
        "bits": bits,
        "toolkit": _method(recipes, method)["toolkit"],
        "source": source,
    }
    if source == "published":
        scheme |= {
            "toolkit": "published",
            "recipe": {},
            "calibration": None,
            "published": _published(entry, model, method, bits),
        }
        return scheme
    recipe = _merged(_merged(entry["recipe"], override.get("recipe", {})), settings or {})
    wanted = override.get("calibration", entry.get("calibration"))
    if wanted is not None and calibration is not None:
        wanted = calibration
    scheme |= {"recipe": recipe, "calibration": _set(calibration_sets, wanted), "published": None}
    return scheme


def digest(scheme: dict) -> str:
    """SHA-256 of a scheme's canonical JSON, in hexadecimal."""
    text = json.dumps(scheme, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def calibration_ids(recipes: dict, model: str, method: str, bits: str) -> str | None:
    """Id of the calibration set that a row uses by its recipe."""
    entry = _entry(recipes, method, bits)
    return _override(entry, model).get("calibration", entry.get("calibration"))


def load_scheme(text: str) -> dict:
    """Read a scheme from a file's path or from its JSON text.

    Raises
    ------
    UserError
        If it is neither, or lacks a key.
    """
    from pathlib import Path

    where = "--scheme-json"
    try:
        if not text.lstrip().startswith("{"):
            where = text
            text = Path(where).read_text(encoding="utf-8")
        scheme = json.loads(text)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where) from None
    except ValueError as error:
        raise UserError(f"is not JSON ({error})", where, "pass a file or a JSON object") from None
    missing = {"model", "method", "bits", "toolkit", "recipe", "calibration"} - scheme.keys()
    if missing:
        raise UserError(f"lacks {', '.join(sorted(missing))}", where, "make it with `edge2giant.quantize resolve`")
    return {"source": "make", "published": None} | scheme


def _method(recipes: dict, method: str) -> dict:
    return _named(recipes["methods"], method, "method")


def _entry(recipes: dict, method: str, bits: str) -> dict:
    return _named(_method(recipes, method)["bits"], bits, f"methods.{method}.bits")


def _override(entry: dict, model: str) -> dict:
    merged: dict = {}
    for override in entry.get("overrides", []):
        if model in override["models"]:
            merged = _merged(merged, {key: value for key, value in override.items() if key in ("recipe", "calibration")})
    return merged


def _set(calibration_sets: dict, name: str | None) -> dict | None:
    if name is None:
        return None
    found = dict(_named(calibration_sets["sets"], name, "calibration set", "config/calibration.yaml"))
    found.pop("place", None)
    return {"id": name} | found


def _published(entry: dict, model: str, method: str, bits: str) -> dict:
    found = entry.get("published", {}).get(model)
    if not found:
        known = ", ".join(entry.get("published", {})) or "none"
        raise UserError(
            f"{method}/{bits} names no published checkpoint of {model} (it does for: {known})",
            "config/recipes.yaml",
            "make the checkpoint, or name one under `published`",
        )
    return {"repo": found["repo"], "revision": found.get("revision")}


def _named(mapping: dict, key: str, what: str, where: str = "config/recipes.yaml") -> dict:
    if key not in mapping:
        raise UserError(f"unknown {what} '{key}'", where, f"allowed: {', '.join(map(str, mapping))}")
    return mapping[key]


def _merged(base: dict, over: dict) -> dict:
    """Return `base` with `over` laid on it; mappings are merged, everything else is replaced."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result
