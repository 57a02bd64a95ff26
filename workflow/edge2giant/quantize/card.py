"""The model card of a checkpoint: what it is, how it was made, what was checked, whose licence holds."""

import json
from collections.abc import Sequence

MEASURES = {
    "divergence": "Kullback-Leibler divergence from the unquantized model (nats a token)",
    "nearest_divergence": "that of round-to-nearest",
    "top1_agreement": "share of tokens where both find the same token likeliest",
    "perplexity": "perplexity",
    "source_perplexity": "perplexity of the unquantized model",
}


def text(record: dict, notices: Sequence[str] = ()) -> str:
    """Return the README.md of a checkpoint.

    Parameters
    ----------
    record : dict
        As `core.describe` makes it (`checkpoint.json`).
    notices : sequence of str
        Files of the base model beside the card: its licence, and its own card.
    """
    variant, model = record["variant"], record["model"]
    known = model["licence"]
    front = ["---", f"base_model: {model['id'][0]}", f"license: {known or 'unknown'}"]
    front += ["base_model_relation: quantized", "---", ""]
    body = [
        f"# {variant['model']}, {variant['method']} at {variant['bits']}",
        "",
        f"Made by edge2giant from `{model['id'][0]}` at revision `{model['revision'] or 'not recorded'}`"
        f" with toolkit `{record['toolkit']['name']}`.",
        f"The licence of the base model ({known or 'unknown'}) holds for these weights as well.",
        *([f"Of the base model lie here: {', '.join(notices)}."] if notices else []),
        "",
        "## Recipe as executed",
        "",
        *custom(record["recipe"]["planned"]),
        "```json",
        json.dumps(record["recipe"]["executed"], indent=1, sort_keys=True),
        "```",
        "",
        "## Calibration",
        "",
        calibration(record["calibration"]),
        "",
        "## Software",
        "",
        *[f"- {name} {version}" for name, version in sorted(record["toolkit"]["packages"].items())],
        f"- Python {record['environment']['python']}, {record['environment']['platform']}",
        "",
        "## Size",
        "",
        f"- weights measured: {record['size']['weights_bytes']:,} bytes",
        f"- nominal (quantized layers at their bits, the rest at 16): {record['size']['nominal_bytes']:,} bytes",
        "",
        "## Validation",
        "",
        *validation(record["validation"]),
        "",
    ]
    return "\n".join(front + body)


def custom(planned: dict) -> list[str]:
    """What the study changed of the method's recipe."""
    if not planned.get("changed"):
        return []
    return [f"A custom recipe: the study changes `{json.dumps(planned['changed'], sort_keys=True)}`.", ""]


def calibration(spec: dict | None) -> str:
    """One sentence on the calibration set."""
    if spec is None:
        return "None: this recipe reads no calibration text."
    origin = f" of `{spec['repo']}`" if spec["repo"] else ""
    return (
        f"Set `{spec['id']}`{origin}: {spec['samples']} samples, {spec['tokens']} tokens, at most {spec['length']} each,"
        f" packing `{spec['packing']}`, seed {spec['seed']}; SHA-256 of the token ids `{spec['sha256']}`."
    )


def validation(found: dict) -> list[str]:
    """The checks with value and limit."""
    lines = [f"- {check['check']}: {check['value']} (limit {check['limit']})" for check in found["checks"]]
    if measured := found["divergence"]:
        lines += [f"- on held-out text, {words}: {measured[key]}" for key, words in MEASURES.items()]
    return lines or ["The unquantized model; nothing to compare."]
