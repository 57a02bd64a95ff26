"""Whether an engine on some hardware loads a checkpoint: the limits of its scheme that hold there.

Standard library only, for use in planning.
"""

import re
from dataclasses import dataclass, replace

from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.schemes.limits import DEGRADED, NEEDS, REFUSED, VLLM, Device
from edge2giant.schemes.nvfp4 import NVFP4
from edge2giant.schemes.scheme import COMPRESSED, Scheme

GROUP_SIZES = (32, 64, 128)
"""What kernels have."""


@dataclass(frozen=True)
class Verdict:
    """What one limit says about a checkpoint.

    Parameters
    ----------
    level : {'refused', 'degraded', 'needs'}
        See `schemes.limits.Limit`.
    name : str
        Of the limit.
    reason, hint : str
    packages : tuple of str
        Distributions that make it work, for 'needs'.
    """

    level: str
    name: str
    reason: str
    hint: str
    packages: tuple[str, ...] = ()


def check(scheme: Scheme, engine: str, version: str, device: str) -> list[Verdict]:
    """List what is known against loading a checkpoint; empty when nothing is.

    Parameters
    ----------
    engine : str
        'vllm', 'vllm-stock' or 'hf'.
    version : str
        Release of the engine (of transformers for 'hf').
    device : str
        'cpu', or 'cuda:<compute capability>'.
    """
    hardware, release = Device.parse(device), release_of(version)
    return [
        Verdict(limit.level, limit.name, f"{engine} {version} on {device}: {limit.reason}", limit.hint, limit.packages)
        for limit in scheme.limits
        if engine in limit.engines and release >= release_of(limit.since) and limit.applies(scheme, hardware)
    ]


def check_groups(scheme: Scheme, facts: ModelFacts) -> list[Verdict]:
    """Refuse groups that do not divide a linear layer's inputs, and name the sizes that do."""
    for layer, name in facts.layer_names() if scheme.group_size > 0 else ():
        size = scheme.at(name).group_size
        if size > 0 and layer.inputs % size:
            fit = ", ".join(str(one) for one in GROUP_SIZES if divides(one, facts))
            reason = f"{layer.inputs} input channels of {layer.name} do not split into groups of {size}"
            hint = f"group sizes that fit: {fit or 'none'}; or take one scale per output channel"
            return [Verdict(REFUSED, "group-size", reason, hint)]
    return []


def divides(size: int, facts: ModelFacts) -> bool:
    """Whether groups of a size split the inputs of every linear layer."""
    return not any(layer.inputs % size for layer in facts.linear_layers)


def check_layers(scheme: Scheme, facts: ModelFacts) -> list[Verdict]:
    """Refuse what transformers, by which every checkpoint is validated, overlooks or misreads without a word.

    These are inputs of experts, which it joins and reads by one scheme, experts in NVFP4, and a class of layers of its own.
    """
    reason, experts = None, {scheme.at(name) for _, name in facts.layer_names() if ".experts." in name}
    if len(experts) > 1:
        reason, hint = "transformers reads all experts of a model by one scheme", "give all experts the same scheme"
    if any(one.rounds_activations for one in experts):
        reason, hint = "transformers does not round the inputs of experts", "use a method that rounds weights alone"
    if any(isinstance(one, NVFP4) for one in experts):
        reason = "transformers reads experts in NVFP4 wrongly (tiny models are off by 0.9 nats a token)"
        hint = "use mxfp4-llmcompressor/w4a16"
    if facts.model_type == "falcon" and scheme.format == COMPRESSED:
        reason = "transformers reads no compressed layers of falcon, which are of a class of their own"
        hint = "use method gptq-gptqmodel"
    return [Verdict(REFUSED, "layers", f"{reason}, and validates every checkpoint", hint)] if reason else []


def check_joined(scheme: Scheme, facts: ModelFacts, engine: str) -> list[Verdict]:
    """Refuse different schemes for layers that vLLM joins into one: query, key and value; gate and up; all of an expert."""
    joined: dict[str, tuple[str, Scheme]] = {}
    for _, name in facts.layer_names() if engine in VLLM else ():
        layer = re.sub(r"\b[qkv]_proj$", "qkv_proj", re.sub(r"\b(gate|up)_proj$", "gate_up_proj", name.partition(".experts.")[0]))
        first, its = joined.setdefault(layer, (name, scheme.at(name)))
        if scheme.at(name) != its:
            hint = f"give {first} and {name} the same scheme, or evaluate it with engine hf"
            return [Verdict(REFUSED, "joined", f"vLLM joins layers that have different schemes here into {layer}", hint)]
    return []


def check_precision(facts: ModelFacts, dtype: str, doing: str) -> list[Verdict]:
    """Warn where a bfloat16 model is computed in float16, whose largest number is 65,504."""
    if facts.dtype != "bfloat16" or dtype != "float16":
        return []
    reason = f"{doing} in float16, the model's own type is bfloat16: activations can overflow"
    return [Verdict(DEGRADED, "float16", reason, "set dtype to bfloat16, or auto")]


def without_met_needs(verdicts: list[Verdict], environment: str, present: set[str]) -> list[Verdict]:
    """Drop each need that the environment's packages meet; a need that they do not meet becomes a refusal."""
    left = []
    for verdict in verdicts:
        if verdict.level != NEEDS:
            left.append(verdict)
        elif missing := [name for name in verdict.packages if name not in present]:
            reason = f"{verdict.reason}; {environment} lacks {' and '.join(missing)}"
            left.append(replace(verdict, level=REFUSED, reason=reason))
    return left


def release_of(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: '0.6.6.post1' -> (0, 6, 6)."""
    match = re.match(r"\d+(\.\d+)*", version)
    if not match:
        raise UserError(f"'{version}' is not a version", hint="write it like 0.33 or 0.6.6.post1")
    return tuple(map(int, match[0].split(".")))
