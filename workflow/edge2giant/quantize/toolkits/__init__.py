"""One module for each toolkit; a new toolkit needs a module and an environment.

A toolkit module imports its packages only inside functions and offers

- `PACKAGES`: the distributions whose versions decide the weights, the toolkit's own first;
- `CITATION`: what to cite for it;
- `RECIPE`: a dataclass (see `typed`) of what a recipe may hold;
- `scheme(recipe) -> Scheme`: what the numbers of its checkpoint will be (package `schemes`); pure;
- `quantize(model_dir, recipe, calibration, out_dir) -> ExecutedRecipe`: write the checkpoint's weights and config to `out_dir`
  and return what was done. `calibration` is a `calibration.Calibration`, or None for a recipe without one;
- `takes(recipe) -> dict` (optional): the plain keys (`quantize.changes`) that may change this recipe, each with a function that
  returns the recipe changed to a value; pure;
- `left_out(recipe) -> tuple` (optional, else the output layer): layers that stay in 16 bits, as compressed-tensors names them:
  whole names, or `re:` and a regular expression; pure;
- `check_making(facts, recipe, device) -> list of Verdict` (optional): what is known against making a checkpoint on a device of a
  model with these `models.facts.ModelFacts`;
- `LINKS = True` (optional): nothing is made, the checkpoint links to files that exist;
- `load(checkpoint_dir)` (optional): the model as the toolkit's own loader runs it, where transformers alone cannot load it;
- `validation_engine(recipe)` (optional, else 'toolkit' where there is a `load`, or 'hf'): who loads the checkpoint when it is
  validated.
"""

import importlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

from edge2giant import typed
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts


class Expression:
    """Text that is, where it begins with `re:`, a regular expression."""

    def wrong(self, value: str) -> str | None:
        if value == "re:":
            return "is empty after re:"
        try:
            re.compile(value.removeprefix("re:") if value.startswith("re:") else "")
        except re.error as error:
            return f"{value!r:.80} is no regular expression ({error})"
        return None


GroupSize = typed.Positive | Literal[-1]
"""Input channels that share a scale; -1 for one scale an output channel."""
Layers = Annotated[str, typed.NotEmpty(), Expression()]
"""A whole name, or `re:` and a regular expression that matches from the start of names."""
HERE = Path(__file__).resolve().parent


@cache
def names() -> tuple[str, ...]:
    """Names of the toolkits, found by their files."""
    return tuple(sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_")))


def module(name: str) -> ModuleType:
    """Import a toolkit module (not the toolkit itself).

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in names():
        raise UserError(f"unknown toolkit '{name}'", hint=f"allowed: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")


def links(name: str) -> bool:
    """Whether a toolkit makes nothing: its checkpoint is links to files that exist."""
    return getattr(module(name), "LINKS", False)


def left_out(name: str, recipe: dict) -> tuple[str, ...]:
    """Layers that a toolkit's recipe leaves in 16 bits."""
    known = getattr(module(name), "left_out", None)
    return known(recipe) if known else ("lm_head",)


def check_making(name: str, facts: ModelFacts, recipe: dict, device: str) -> list:
    """Verdicts (`quantize.preflight`) on making a model's checkpoint with a toolkit's recipe on a device."""
    known = getattr(module(name), "check_making", None)
    return known(facts, recipe, device) if known else []


def renamed(recipe: dict, **own: str) -> dict:
    """`takes` of a flat recipe: plain keys with the recipe's own key for each."""
    return {plain: lambda value, key=key: recipe | {key: value} for plain, key in own.items()}


def extended(recipe: dict, key: str) -> Callable:
    """A function that adds items to a list of a recipe."""
    return lambda items: recipe | {key: [*recipe.get(key, ()), *(item for item in items if item not in recipe.get(key, ()))]}


def validation_engine(name: str, recipe: dict) -> str:
    """Who loads a toolkit's checkpoint to be compared with the independent weights.

    'hf', 'toolkit', or 'none' where nobody can here.
    """
    toolkit = module(name)
    if chosen := getattr(toolkit, "validation_engine", None):
        return chosen(recipe)
    return "toolkit" if hasattr(toolkit, "load") else "hf"


def check(name: str, recipe: dict, where: object = "recipe") -> None:
    """Check a recipe against its toolkit's `RECIPE`.

    Raises
    ------
    UserError
        With the place in the recipe and what is wrong there.
    """
    typed.build(module(name).RECIPE, recipe, where, f"quantize/toolkits/{name}.py says what a recipe of it may hold")
