"""Whether an engine on some hardware loads a checkpoint, and whether a toolkit can make it there: a table of rules.

Standard library only, for use in planning. Reads nothing but (`read_traits`) a checkpoint's config.json. A rule has the engine's
release since which it holds, and where it was learnt: 'run' was tried by this project, 'source' was read in the engine's code at
that release.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.quantize import compat

REFUSED, DEGRADED, NEEDS = "refused", "degraded", "needs"
VLLM = ("vllm", "vllm-stock")


@dataclass(frozen=True)
class Verdict:
    """What one rule says about a checkpoint.

    Attributes
    ----------
    level : {'refused', 'degraded', 'needs'}
        It will not work; it works in another way than the recipe says; it works if something is installed.
    rule : str
    reason, hint : str
    packages : tuple of str
        Distributions that make it work, for 'needs'.
    """

    level: str
    rule: str
    reason: str
    hint: str
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    """Hardware as far as the rules need it: `cpu`, or `cuda` with its compute capability."""

    kind: str
    capability: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> "Device":
        """Read 'cpu', or 'cuda:8.9'.

        Raises
        ------
        UserError
            If it is neither.
        """
        match = re.fullmatch(r"cuda:(\d+)\.(\d+)", text)
        if text != "cpu" and not match:
            raise UserError(f"unknown device '{text}'", hint="write cpu, or cuda:<compute capability> such as cuda:8.9")
        return cls("cuda", (int(match[1]), int(match[2]))) if match else cls("cpu")

    def below(self, *capability: int) -> bool:
        return self.kind == "cuda" and self.capability < capability


@dataclass(frozen=True)
class Rule:
    """One known limit of an engine."""

    name: str
    engines: tuple[str, ...]
    since: str
    applies: Callable[[dict, Device], bool]
    level: str
    reason: str
    hint: str
    learnt: str
    packages: tuple[str, ...] = ()


def floats(traits: dict) -> bool:
    """FP8 weights and activations."""
    return traits["form"] == "compressed-tensors" and traits["weight_type"] == "float"


def integers(traits: dict, form: str) -> bool:
    return traits["form"] == form and traits["weight_type"] == "int"


RULES = (
    Rule(
        "gptq-desc-act-group", VLLM, "0.33",
        lambda t, d: t["form"] == "gptq" and t["desc_act"] and t["group_size"] != -1,
        REFUSED, "GPTQ with desc_act and a group size is not loaded",
        "evaluate with the Hugging Face engine, or requantize with desc_act false", "source",
    ),
    Rule(
        "gptq-asymmetric", VLLM, "0.33", lambda t, d: t["form"] == "gptq" and not t["symmetric"],
        REFUSED, "asymmetric GPTQ is not loaded", "requantize with sym true, or evaluate with the Hugging Face engine", "source",
    ),
    Rule(
        "gptq-odd-bits", VLLM, "0.33", lambda t, d: t["form"] == "gptq" and t["weight_bits"] not in (4, 8),
        REFUSED, "GPTQ is loaded at 4 and 8 bits alone", "choose 4 or 8 bits", "source",
    ),
    Rule(
        "actorder-group", VLLM, "0.33", lambda t, d: t["form"] == "compressed-tensors" and t["desc_act"],
        REFUSED, "compressed-tensors with actorder group is not loaded", "use actorder static, or none", "source",
    ),
    Rule(
        "awq-bits", VLLM, "0.6", lambda t, d: t["form"] == "awq" and t["weight_bits"] != 4,
        REFUSED, "AWQ is loaded at 4 bits alone", "choose 4 bits", "source",
    ),
    Rule(
        "auto-round-old", VLLM, "0.32", lambda t, d: t["form"] == "auto-round-old",
        REFUSED, "the native format of auto-round 0.4 (quant method intel/auto-round) is unknown",
        "export to auto_gptq, or use auto-round 0.15", "run",
    ),
    Rule(
        "capability", VLLM, "0.6", lambda t, d: t["form"] != "none" and d.below(7, 5),
        REFUSED, "quantized kernels need compute capability 7.5", "choose another GPU", "source",
    ),
    Rule(
        "fp8-weight-only", VLLM, "0.6", lambda t, d: floats(t) and t["activations"] is not None and d.below(8, 9),
        DEGRADED, "FP8 below compute capability 8.9 runs weight-only: activations stay in 16 bits",
        "run FP8 checkpoints on capability 8.9 or above (Ada, Hopper)", "source",
    ),
    Rule(
        "cpu-w8a16", VLLM, "0.32",
        lambda t, d: d.kind == "cpu" and integers(t, "compressed-tensors") and t["weight_bits"] == 8 and not t["activations"],
        REFUSED, "the CPU build has 4-bit weight-only kernels alone (W8A16)", "evaluate with the Hugging Face engine", "run",
    ),
    Rule(
        "cpu-gptq-8", VLLM, "0.32", lambda t, d: d.kind == "cpu" and t["form"] == "gptq" and t["weight_bits"] == 8,
        REFUSED, "the CPU build loads GPTQ at 4 bits alone", "evaluate with the Hugging Face engine", "run",
    ),
    Rule(
        "cpu-fp8-static", VLLM, "0.32",
        lambda t, d: d.kind == "cpu" and floats(t) and bool(t["activations"]) and not t["activations"]["dynamic"],
        REFUSED, "the CPU build has no static FP8 quantization of activations", "evaluate with the Hugging Face engine", "run",
    ),
    Rule(
        "hf-gptq", ("hf",), "5", lambda t, d: d.kind != "cpu" and t["form"] in ("gptq", "auto-round"),
        NEEDS, "transformers loads this format with the packages gptqmodel and optimum alone",
        "evaluate in an environment that has them, or take the method's -llmcompressor variant", "run", ("gptqmodel", "optimum"),
    ),
    Rule(
        "hf-gptq-cpu", ("hf",), "5", lambda t, d: d.kind == "cpu" and t["form"] in ("gptq", "auto-round"),
        NEEDS, "transformers loads this format with the package auto-round, in float16",
        "evaluate in an environment that has it", "run", ("auto-round",),
    ),
    Rule(
        "hf-awq", ("hf",), "5", lambda t, d: t["form"] == "awq",
        NEEDS, "transformers loads this format with the packages gptqmodel and optimum alone",
        "evaluate in an environment that has them, or with vLLM (stack cpu-vllm has its CPU build)", "run",
        ("gptqmodel", "optimum"),
    ),
)  # fmt: skip


def check(traits: dict, engine: str, version: str, device: str) -> list[Verdict]:
    """List what is known against loading a checkpoint.

    Parameters
    ----------
    traits : dict
        Of a toolkit module's `traits`, or of `read_traits`.
    engine : str
        'vllm', 'vllm-stock' or 'hf'.
    version : str
        Release of the engine (of transformers for 'hf').
    device : str
        'cpu', or 'cuda:<compute capability>'.

    Returns
    -------
    list of Verdict
        Empty when nothing is known against it.
    """
    hardware, release = Device.parse(device), release_of(version)
    return [
        Verdict(rule.level, rule.name, f"{engine} {version} on {device}: {rule.reason}", rule.hint, rule.packages)
        for rule in RULES
        if engine in rule.engines and release >= release_of(rule.since) and rule.applies(traits, hardware)
    ]


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


def check_making(toolkit: str, model: str, device: str) -> list[Verdict]:
    """List what is known against making a model's checkpoint with a toolkit on a device."""
    hardware = Device.parse(device)
    if toolkit == "autogptq" and hardware.kind == "cpu":
        return [
            Verdict(
                REFUSED, "autogptq-cuda", "AutoGPTQ 0.7.1 refuses to quantize without CUDA",
                "use a GPU, or method gptq-gptqmodel",
            )
        ]  # fmt: skip
    if toolkit == "autogptq" and model.startswith(("llama-3.1", "llama-3.2", "llama-3.3")):
        return [
            Verdict(
                DEGRADED, "autogptq-rotary", "AutoGPTQ 0.7.1 leaves rotary tensors of Llama 3 on another device (issue 729)",
                "the toolkit module moves them; or take the published checkpoint, or method gptq-gptqmodel",
            )
        ]  # fmt: skip
    return []


def release_of(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: '0.6.6.post1' -> (0, 6, 6)."""
    match = re.match(r"\d+(\.\d+)*", version)
    if not match:
        raise UserError(f"'{version}' is not a version", hint="write it like 0.33 or 0.6.6.post1")
    return tuple(map(int, match[0].split(".")))


def read_traits(folder: str | Path) -> dict:
    """What an engine must be able to load, by a checkpoint's config.json.

    Raises
    ------
    UserError
        If there is no config.json, or its quantization method is unknown here.
    """
    if not (Path(folder) / "config.json").is_file():
        raise UserError("has no config.json", folder, "name the folder of a checkpoint")
    config = compat.read_config(Path(folder)).get("quantization_config")
    if config is None:
        return {"form": "none", "weight_bits": 16, "weight_type": "float", "group_size": 0, "symmetric": True,
                "desc_act": False, "activations": None}  # fmt: skip
    method = config.get("quant_method")
    readers = {"compressed-tensors": _compressed, "gptq": _gptq, "awq": _awq, "auto-round": _auto_round}
    if method == "intel/auto-round":
        return _gptq(config) | {"form": "auto-round-old"}
    if method not in readers:
        raise UserError(f"quantization method '{method}' is unknown here", folder, f"known: {', '.join(readers)}")
    return readers[method](config)


def _compressed(config: dict) -> dict:
    group = next(iter(config["config_groups"].values()))
    weights, inputs = group["weights"], group.get("input_activations")
    sizes = {"channel": -1, "tensor": 0}
    return {
        "form": "compressed-tensors",
        "weight_bits": weights["num_bits"],
        "weight_type": weights["type"],
        "group_size": sizes.get(weights["strategy"], weights.get("group_size")),
        "symmetric": weights["symmetric"],
        "desc_act": weights.get("actorder") in ("group", "dynamic"),
        "activations": inputs and {"bits": inputs["num_bits"], "type": inputs["type"], "dynamic": bool(inputs["dynamic"])},
    }


def _gptq(config: dict) -> dict:
    return {
        "form": "gptq",
        "weight_bits": config["bits"],
        "weight_type": "int",
        "group_size": config["group_size"],
        "symmetric": config.get("sym", True),
        "desc_act": config.get("desc_act", False),
        "activations": None,
    }


def _awq(config: dict) -> dict:
    return {
        "form": "awq",
        "weight_bits": config.get("bits", config.get("w_bit")),
        "weight_type": "int",
        "group_size": config.get("group_size", config.get("q_group_size")),
        "symmetric": not config.get("zero_point", True),
        "desc_act": False,
        "activations": None,
    }


def _auto_round(config: dict) -> dict:
    inner = config.get("packing_format", "")
    return _gptq(config) | {"form": "awq" if "awq" in inner else "auto-round"}
