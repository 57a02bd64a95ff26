"""Random decoder models of many architectures, small enough for a CPU: built by transformers' own classes.

    workflow/in-env cpu/main python tests/tiny_models.py results/matrix/models

writes one of each of `MATRIX`, with the tokenizer of the miniature study's models.
"""

import shutil
import sys
from pathlib import Path

from shared import ROOT

TOKENIZER = ROOT / "workflow/demo/models/tiny-0.4m"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
WINDOW = {"sliding_window": 8}


def cases(sizes: dict, ffn: int, expert: int, shared: int) -> dict[str, tuple[str, dict]]:
    """Model type and settings of each architecture by a name of its own.

    Parameters
    ----------
    sizes : dict
        Keys of a Llama's config.json.
    ffn, expert, shared : int
        Width of Falcon's MLP with grouped keys, of one expert, and of a shared one.
    """
    own_head = {key: value for key, value in sizes.items() if key != "head_dim"}
    equal_heads = {key: value for key, value in own_head.items() if key != "num_key_value_heads"}
    falcon = {key: value for key, value in equal_heads.items() if key != "intermediate_size"}
    grouped = {"new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": ffn}
    sparse = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": expert}
    return {
        "llama": ("llama", sizes),
        "llama, tied, with biases": ("llama", sizes | {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
        "mistral": ("mistral", sizes | {"sliding_window": None}),
        "mistral with a window": ("mistral", sizes | WINDOW),
        "qwen2": ("qwen2", own_head),
        "qwen2 with windows": ("qwen2", own_head | WINDOW | {"use_sliding_window": True, "max_window_layers": 1}),
        "qwen2_moe": ("qwen2_moe", own_head | sparse | {"shared_expert_intermediate_size": shared}),
        "qwen3": ("qwen3", sizes | {"tie_word_embeddings": True}),
        "qwen3_moe": ("qwen3_moe", sizes | sparse),
        "qwen3_moe, partly dense": ("qwen3_moe", sizes | sparse | {"mlp_only_layers": [1]}),
        "mixtral": ("mixtral", sizes | {"num_local_experts": 4, "num_experts_per_tok": 2}),
        "gemma": ("gemma", sizes | {"num_key_value_heads": 1}),
        "gemma2": ("gemma2", sizes | WINDOW),
        "gemma3_text": ("gemma3_text", sizes | WINDOW | {"num_hidden_layers": 7}),
        "phi3": ("phi3", own_head | {"pad_token_id": 0}),
        "phi3 with a window": ("phi3", own_head | WINDOW | {"pad_token_id": 0}),
        "olmo2": ("olmo2", own_head),
        "gpt_neox": ("gpt_neox", equal_heads),
        "falcon, one key for all heads": ("falcon", falcon),
        "falcon, a key for each head": ("falcon", falcon | {"multi_query": False, "parallel_attn": False, "bias": True}),
        "falcon, grouped keys": ("falcon", falcon | grouped),
    }


SIZES = {
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 32, "vocab_size": 768, "max_position_embeddings": 1024, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
ALL = cases(SIZES, ffn=256, expert=128, shared=128)
TWO_KINDS = {"layer_types": ["sliding_attention", "full_attention"]}
MATRIX = {
    "tiny-llama": (*ALL["llama"], "float16"),
    "tiny-mistral": (*ALL["mistral with a window"], "bfloat16"),
    "tiny-qwen2": (*ALL["qwen2"], "bfloat16"),
    "tiny-qwen3": (*ALL["qwen3"], "bfloat16"),
    "tiny-qwen3-moe": (*ALL["qwen3_moe"], "bfloat16"),
    "tiny-mixtral": (*ALL["mixtral"], "bfloat16"),
    "tiny-gemma": ("gemma", SIZES | {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64}, "bfloat16"),
    "tiny-gemma2": (*ALL["gemma2"], "bfloat16"),
    "tiny-gemma3": ("gemma3_text", SIZES | WINDOW | TWO_KINDS, "bfloat16"),
    "tiny-phi3": (*ALL["phi3"], "bfloat16"),
    "tiny-olmo2": (*ALL["olmo2"], "bfloat16"),
    "tiny-gpt-neox": (*ALL["gpt_neox"], "float16"),
    "tiny-falcon": (*ALL["falcon, grouped keys"], "bfloat16"),
}
"""Model type, settings and data type of the models of docs/architectures.md."""


def configured(model_type: str, settings: dict):
    from transformers import CONFIG_MAPPING

    return CONFIG_MAPPING[model_type](**settings)


def built(config, device: str = "meta"):
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        return AutoModelForCausalLM.from_config(config)


def randomise(model, seed: int = 0) -> None:
    """Give a model weights with which each layer matters; as built, its layers add next to nothing and its biases are 0."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, values in model.named_parameters():
        drawn = torch.randn(values.shape, generator=generator)
        if values.ndim >= 2:
            drawn *= values.shape[-1] ** -0.5
        elif name.endswith("bias"):
            drawn *= 0.1
        else:  # a norm; few of its channels are much larger than the others, as in a trained model
            drawn = values.detach().float() + 0.2 * drawn + 2 * (drawn > 2)
        values.data.copy_(drawn)


def write(folder: Path, model_type: str, settings: dict, dtype: str, seed: int = 0) -> Path:
    """Write a model with its tokenizer to a folder, where it is not there yet."""
    import torch

    if not (folder / "config.json").is_file():
        model = built(configured(model_type, settings), "cpu")
        randomise(model, seed)
        beside = folder.with_suffix(".making")
        shutil.rmtree(beside, ignore_errors=True)
        model.to(getattr(torch, dtype)).save_pretrained(beside)
        for name in TOKENIZER_FILES:
            shutil.copy(TOKENIZER / name, beside)
        beside.rename(folder)
    return folder


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in MATRIX.items():
        write(folder / name, *case)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
