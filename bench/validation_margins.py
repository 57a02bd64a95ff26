"""Margins of the checks of a checkpoint: the worst right checkpoint and the mildest break of each, on tiny random models.

Right ones are made by the toolkits, broken ones by tests/checkpoint_breaks.py in each decoder block at 4 and 8 bits.
Numbers are value over limit (limit over value for cosines): right below 1, a break is refused where one of its checks is above.

    make validation-margins
"""

import argparse
import copy
import json
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]
METHODS = (
    "rtn/w4a16", "rtn/w8a16", "gptq-llmcompressor/w4a16", "gptq-llmcompressor/w8a16", "awq-llmcompressor/w4a16",
    "smoothquant/w8a8", "fp8/w8a8", "fp8-dynamic/w8a8", "nvfp4-llmcompressor/w4a16", "mxfp4-llmcompressor/w4a16",
)  # fmt: skip
KINDS = {
    "gain of a weight": "gain of .* on the source's weight",
    "error of a layer's outputs": "error of the outputs of (?!.* in its block)",
    "cosine of a weight": "^cosine",
    "cosine of an output channel": "output channel",
    "cosine of a group": "cosine of a group",
    "gain in a block": "gain of the outputs",
    "error in a block": "error of the outputs .* in its block",
    "divergence of the model": "divergence",
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--models", nargs="+", help="architectures of tests/tiny_models.py; those that limits were set on if not given"
    )
    options.add_argument("--seed", type=int, default=0, help="of the models' random weights; limits were set with 0")
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        right, wrong = measured(Path(folder), given.models, given.seed)
    found = {"seed": given.seed, "right": right, "breaks": wrong}
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(right, wrong))


def ratios(checks: list[dict]) -> dict[str, float]:
    """How far each kind of check is from its limit."""
    found = {}
    for one in checks:
        kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, one["check"])), None)
        if kind and one["limit"] and "engine" not in one["check"]:
            value = 1e9 if one["value"] is None else one["value"]
            found[kind] = one["limit"] / max(value, 1e-9) if "cosine" in kind else value / one["limit"]
    return found


def measured(place: Path, models: list[str] | None, seed: int) -> tuple[dict, dict]:
    """Ratios of right checkpoints and of breaks, by name."""
    import checkpoint_breaks as breaks

    right, wrong, cache = {}, {}, place / "cache"
    for name in models or breaks.MODELS:
        model = breaks.write_model(place, name, seed)
        for method in METHODS:
            right[f"{name}/{method}"] = ratios(made(place, model, method))
        for bits in (4, 8):
            folder = place / f"{name}-{bits}"
            executed, scheme = breaks.rounded(model, folder, bits)
            for number in range(3):
                where, block = f"{name}, {bits} bits, block {number}", range(number, number + 1)
                for change in breaks.BREAKS:
                    spoilt = breaks.changed(
                        folder, place / "wrong", lambda stored, f=change, n=number: f(stored, f"model.layers.{n}.")
                    )
                    wrong[f"{change.__name__}: {where}"] = ratios(breaks.checks_of(model, spoilt, scheme, executed, cache=cache))
                gemma = name == "gemma3"
                pairs = breaks.mappings(gemma)
                cases = [(spoil.__name__, pairs, spoil, 0.25) for spoil in breaks.SPOILS]
                for what, given, spoil, spread in [*cases, ("wrong norm", breaks.wrong_norm(pairs), None, 0.5)]:
                    spoilt, done, kind = breaks.smoothed(model, place, bits, given, block, spoil, gemma, spread)
                    wrong[f"{what}: {where}"] = ratios(breaks.checks_of(model, spoilt, kind, done, cache=cache))
    return right, wrong


def made(place: Path, model: Path, method: str) -> list[dict]:
    """Checks of a checkpoint that a toolkit makes."""
    import yaml
    from edge2giant.specs.variant import Variant
    from quantize_model import calibration_set, run, spec, write_text

    if not (place / "calibration").exists():
        write_text(place / "calibration", 1)
        write_text(place / "heldout", 2, letters="0123456789,.-ABCDEF")
    name, bits = method.split("/")
    entry = yaml.safe_load((ROOT / "config/recipes.yaml").read_text(encoding="utf-8"))["methods"][name]
    width = copy.deepcopy(entry["bits"][bits])
    if name == "smoothquant" and "gemma3" in model.name:
        width["recipe"]["modifiers"][0]["SmoothQuantModifier"]["mappings"] = [
            [["re:.*q_proj", "re:.*k_proj", "re:.*v_proj"], "re:.*input_layernorm"],
            [["re:.*gate_proj", "re:.*up_proj"], "re:.*pre_feedforward_layernorm"],
        ]
    drawn = calibration_set(samples=64, length=128) if width["calibration"] else None
    given = spec(entry["toolkit"], width["recipe"], bits, drawn, variant=Variant(model.name, name, bits))
    with tempfile.TemporaryDirectory() as folder:
        return run(place, Path(folder) / "out", given, model)["validation"]["checks"]


def table(right: dict, wrong: dict) -> str:
    """Markdown: by check the worst right one and the mildest break that it alone or first refuses; what nothing refuses."""
    lines = ["| check | worst right | of | mildest break that it sees best | of |", "|---|---|---|---|---|"]
    best = {name: max(found, key=found.get) for name, found in wrong.items()}
    for kind in KINDS:
        worst = max((name for name in right if kind in right[name]), key=lambda name: right[name][kind])
        seen = [name for name, one in best.items() if one == kind]
        mild = min(seen, key=lambda name: wrong[name][kind], default=None)
        line = f"| {kind} | {right[worst][kind]:.2f} | {worst} |"
        lines.append(line + (f" {wrong[mild][kind]:.2f} | {mild} |" if mild else " | none |"))
    missed = [name for name, one in best.items() if wrong[name][one] <= 1]
    return "\n".join([*lines, "", f"{len(right)} right checkpoints, {len(wrong)} breaks, not refused: {missed or 'none'}"])


if __name__ == "__main__":
    main()
