"""A model's facts from a folder that holds its small files, and from its weights' headers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edge2giant.errors import UserError
from edge2giant.models import families, headers
from edge2giant.models.facts import ModelFacts

CONFIG = "config.json"
TEMPLATES = ("tokenizer_config.json", "chat_template.jinja", "chat_template.json")
CARD = "README.md"
UNUSABLE = "name a model that transformers loads"
OF_TRANSFORMERS = frozenset(Path(__file__).with_name("transformers_types.txt").read_text(encoding="utf-8").split())
"""Types of decoder models that transformers 5.17 has a class for."""
INDEX = "model.safetensors.index.json"
OTHER_NAMES = {
    "hidden_size": ("n_embd", "d_model"),
    "intermediate_size": ("ffn_hidden_size", "n_inner", "ffn_dim"),
    "num_hidden_layers": ("n_layer", "num_layers", "n_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads",),
    "max_position_embeddings": ("n_positions", "n_ctx", "max_seq_len"),
    "num_experts": ("num_local_experts", "n_routed_experts"),
    "rope_scaling": ("rope_parameters",),
    "dtype": ("torch_dtype",),
}
"""What some models call a key of Llama's config.json."""


def read(folder: Path, repo: str, tensors: Sequence[headers.Header] = ()) -> ModelFacts:
    """Read a model's facts.

    Parameters
    ----------
    folder : path
        Holds config.json.
    repo : str
        Named in errors.
    tensors : sequence of Header
        Headers of all its weights. Without them shapes and counts follow from config.json, for model types that are known.

    Raises
    ------
    UserError
        If config.json is missing or says too little, or the model type is not known and there are no headers.
    """
    found = numbers(folder, repo)
    family = families.FAMILIES.get(found["model_type"])
    if tensors:
        found.setdefault("tie_word_embeddings", headers.tied(tensors))
        found["dtype"] = found["dtype"] or headers.dtype(tensors)
        linear = headers.linear_layers(tensors)
        parameters = headers.parameters(tensors, found["tie_word_embeddings"])
    elif family is None or found["other_parts"]:
        what = f"model type {found['model_type']!r} is not known here" if family is None else "has parts beside its decoder"
        raise UserError(f"{what}, so that its weights' headers are needed", f"{repo}/{CONFIG}", "add its safetensors files")
    else:
        linear = families.linear_layers(family, found)
        parameters = families.parameters(family, found, linear)
    known = {one.name: found[one.name] for one in fields(ModelFacts) if one.name in found}
    return ModelFacts(**known, parameters=parameters, linear_layers=linear, chat_template=has_template(folder, repo))


def read_json(path: Path, repo: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"has no {path.name}", repo, "check the id and the revision") from None
    except (OSError, ValueError) as error:
        raise UserError(f"is not valid JSON ({error})", f"{repo}/{path.name}", "name another revision") from None
    if not isinstance(found, dict):
        raise UserError("is not a JSON object", f"{repo}/{path.name}", "name another revision")
    return found


def has_template(folder: Path, repo: str) -> bool:
    """Whether the model has a chat template, in a file of its own or in tokenizer_config.json."""
    if any((folder / f"chat_template.{kind}").exists() for kind in ("jinja", "json")):
        return True
    settings = folder / "tokenizer_config.json"
    return settings.exists() and bool(read_json(settings, repo).get("chat_template"))


def attention(folder: Path) -> dict[str, str]:
    """The keyword argument of `from_pretrained` for a model whose attention caps its logits (Gemma-2).

    transformers drops the cap without a word under its default kernels and computes it under `eager` alone.
    """
    config = read_json(folder / CONFIG, str(folder))
    config = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    return {"attn_implementation": "eager"} if config.get("attn_logit_softcapping") else {}


def licence(model_dir: Path) -> str | None:
    """Licence of a model by the front matter of its README.md; None where there is none."""
    readme = model_dir / CARD
    lines = readme.read_text(encoding="utf-8", errors="replace").splitlines() if readme.is_file() else []
    if not lines or lines[0].strip() != "---":
        return None
    front = {}
    for line in lines[1:]:
        if line.strip() == "---":
            break
        key, _, value = line.partition(":")
        front[key] = value.strip().strip("'\"")
    named = front.get("license_name") if front.get("license") == "other" else None
    return named or front.get("license") or None


def tensors_of(folder: Path, repo: str) -> list[headers.Header]:
    """Headers of the weights in a folder; empty where it holds none."""
    names = shards(folder, repo) or sorted(path.name for path in folder.glob("*.safetensors"))
    return [one for name in names if (folder / name).exists() for one in headers.read(folder / name)]


def shards(folder: Path, repo: str) -> list[str]:
    """Files that the index of weights names; empty without an index."""
    if not (folder / INDEX).exists():
        return []
    files = read_json(folder / INDEX, repo).get("weight_map")
    if not isinstance(files, dict):
        raise UserError("is not a valid index of weights", f"{repo}/{INDEX}", "name another revision")
    return sorted(set(map(str, files.values())))


def numbers(folder: Path, repo: str) -> dict[str, Any]:
    """What config.json alone says: keys of `ModelFacts`, and those that shapes and counts follow from beside them.

    Raises
    ------
    UserError
        If it is missing or lacks one of them.
    """
    whole, where = read_json(folder / CONFIG, repo), f"{repo}/{CONFIG}"
    if "quantization_config" in whole:
        raise UserError("is that of a quantized checkpoint", where, "name the unquantized model")
    config = whole["text_config"] if isinstance(whole.get("text_config"), dict) else whole
    model_type = config.get("model_type") or whole.get("model_type")
    if not isinstance(model_type, str):
        raise UserError("says no model_type", where, UNUSABLE)
    if whole.get("auto_map") and not OF_TRANSFORMERS & {model_type, whole.get("model_type")}:
        raise UserError(
            f"is of type {model_type!r}, which needs code of its repository (auto_map); that is not run", where, UNUSABLE
        )
    family = families.FAMILIES.get(model_type, families.Family())
    keys = ConfigKeys(config, family.defaults, where)
    try:
        found = {"model_type": model_type, "dtype": keys.value("dtype") or whole.get("dtype") or whole.get("torch_dtype")}
        found |= sizes(keys, family)
        found |= windows(keys, family, found["num_hidden_layers"])
        found |= rope(keys, model_type)
        found |= falcon(config, found["num_attention_heads"]) if model_type == "falcon" else {}
    except (TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"has a value of the wrong type ({error})", where, UNUSABLE) from None
    tied = whole.get("tie_word_embeddings", keys.value("tie_word_embeddings"))
    if tied is not None or model_type in families.FAMILIES:
        found["tie_word_embeddings"] = bool(tied)
    return found | {"other_parts": any(key.endswith("_config") and key != "text_config" for key in whole)}


@dataclass(frozen=True)
class ConfigKeys:
    """Keys of a decoder's config, under any of their names."""

    config: Mapping[str, Any]
    defaults: Mapping[str, Any]
    where: str

    def value(self, key: str, default: Any = None) -> Any:
        """A null stands for what the class makes of it, not for the class's default."""
        names = (key, *OTHER_NAMES.get(key, ()))
        known = next((one for one in (self.config, self.defaults) if set(names) & one.keys()), {})
        found = next((known[name] for name in names if known.get(name) is not None), None)
        return default if found is None else found

    def count(self, key: str, default: int | None = None) -> int:
        found = self.value(key, default)
        if type(found) is not int or found < 1:
            raise UserError(f"{key} is {found!r}, not a positive number", self.where, UNUSABLE)
        return found


def sizes(keys: ConfigKeys, family: families.Family) -> dict[str, Any]:
    """Numbers of a decoder."""
    plain = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings")
    found = {key: keys.count(key) for key in plain}
    heads, hidden = found["num_attention_heads"], found["hidden_size"]
    found["num_key_value_heads"] = keys.count("num_key_value_heads", heads)
    found["head_dim"] = keys.count("head_dim", hidden // heads)
    found |= {"norms": family.norms, "biased": biased(keys.value)}
    return found | experts(keys.value, keys.count, found["num_hidden_layers"], None if family.gated else 4 * hidden)


def biased(value) -> tuple[str, ...]:
    """Roles of linear layers that the config gives a bias."""
    keys = {"attention_bias": ("q", "k", "v", "qkv", "out"), "mlp_bias": ("gate", "up", "gate_up", "down")}
    return tuple(role for key, roles in keys.items() if value(key) or value("bias") for role in roles)


def experts(value, count, layers: int, size: int | None) -> dict[str, int]:
    """Widths of MLPs and experts, and the number of layers that have experts."""
    if not value("num_experts"):
        size = count("intermediate_size", size)
        return {"num_experts": 0, "intermediate_size": size, "dense_size": size, "sparse_layers": 0}
    only_dense, step = value("mlp_only_layers", ()), value("decoder_sparse_step", 1)
    size = count("moe_intermediate_size", value("intermediate_size"))
    shared = value("shared_expert_intermediate_size") or value("n_shared_experts", 0) * size
    return {
        "num_experts": count("num_experts"),
        "num_experts_per_tok": count("num_experts_per_tok"),
        "intermediate_size": size,
        "dense_size": value("intermediate_size", size),
        "shared_expert_size": shared,
        "sparse_layers": sum(layer not in only_dense and (layer + 1) % step == 0 for layer in range(layers)),
    }


def windows(keys: ConfigKeys, family: families.Family, layers: int) -> dict[str, int]:
    """The sliding window and the number of layers that have it."""
    kinds, window = keys.config.get("layer_types") or [], keys.value("sliding_window")
    if not window:
        return {}
    sliding = [kind == "sliding_attention" for kind in kinds] or [family.sliding(keys.config, layer) for layer in range(layers)]
    return {"sliding_window": keys.count("sliding_window"), "sliding_layers": sum(sliding)} if any(sliding) else {}


def rope(keys: ConfigKeys, model_type: str) -> dict[str, Any]:
    """The kind of rope scaling, and the positions that it gives, as vLLM derives them (`_get_and_verify_max_len`)."""
    given = keys.value("rope_scaling") or {}
    given = given.get("full_attention", given)  # one for each kind of attention
    kind = given.get("rope_type", given.get("type", "default"))
    if kind == "default":
        return {}
    if kind in ("llama3", "longrope", "su") or model_type.startswith("gemma3"):  # these declare scaled positions
        return {"rope_type": kind}
    positions = keys.count("max_position_embeddings")
    if kind == "yarn":
        positions = given.get("original_max_position_embeddings") or positions
    scaled = int(positions * given.get("factor", 1))
    return {"rope_type": kind} | ({"scaled_positions": scaled} if scaled != keys.count("max_position_embeddings") else {})


def falcon(config: Mapping, heads: int) -> dict[str, int]:
    """Keys and values of Falcon's three ways to share them, and its norms."""
    new, parallel = config.get("new_decoder_architecture", False), config.get("parallel_attn", True)
    shared = config.get("num_kv_heads") or heads if new else 1 if config.get("multi_query", True) else heads
    two = not parallel or (new and (config.get("num_ln_in_parallel_attn") or 2) == 2)
    return {"num_key_value_heads": shared, "norms": 2 if two else 1}
