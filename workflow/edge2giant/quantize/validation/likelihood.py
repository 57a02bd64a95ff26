"""Log-probabilities of held-out text: by independently dequantized weights, and by an engine that loads the checkpoint itself.

The reference is the plain Hugging Face architecture in float32 whose weights are those that the scheme reads. For schemes that
round activations as well, `rounding` adds what an engine gives that does so.

A model too large for this machine is compared on its first decoder layers (`depth`): both sides run the same truncated model.
"""

from pathlib import Path

from edge2giant import schemes
from edge2giant.errors import UserError
from edge2giant.quantize import calibration, compat
from edge2giant.quantize.tensors import Tensors
from edge2giant.specs.quantize import HeldoutSpec


def heldout_tokens(folder: Path, model_dir: Path, spec: HeldoutSpec) -> list[list[int]]:
    """Token ids of the first held-out documents, each cut to the spec's length and at least two tokens long."""
    tokenizer = calibration.model_tokenizer(model_dir)
    documents = calibration.read_documents(folder / "text.jsonl")
    samples = [calibration.tokenise(document, tokenizer)[: spec.length] for document in documents]
    samples = [ids for ids in samples if len(ids) > 1][: spec.samples]
    if not samples:
        raise UserError("has no usable text", folder, "acquire the held-out set")
    return samples


def reference(model_dir: Path, checkpoint_dir: Path, depth: int | None = None):
    """Build the model from a checkpoint's own codes, without the toolkit.

    Returns
    -------
    model : transformers.PreTrainedModel, float32
    quantized : list of str
        Names of the layers that are stored quantized.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(model_dir))
    if depth:
        config.num_hidden_layers = depth
    kind = AutoModelForCausalLM._model_mapping[type(config)]
    stored = Tensors(checkpoint_dir)
    quantized = [name for name in stored.quantized_layers if within(name, depth)]
    state = state_dict(stored, quantized, depth, checkpoint_dir)
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    model = kind.from_pretrained(None, config=config, state_dict=state, **compat.dtype_argument("float32"))
    return model.eval(), quantized


def state_dict(stored: Tensors, quantized: list[str], depth: int | None, checkpoint_dir: Path) -> dict:
    """All weights of a checkpoint as float32 torch tensors under the architecture's names."""
    import numpy as np
    import torch

    scheme, state = schemes.of_checkpoint(checkpoint_dir), {}
    for name in quantized:
        state[f"{name}.weight"] = torch.from_numpy(scheme.read(stored, name).weight)
    for name in stored.names:
        layer, _, last = name.rpartition(".")
        if within(name, depth) and (layer not in quantized or last == "bias"):
            state[name] = torch.from_numpy(np.array(stored.float32(name)))
    return state


def within(name: str, depth: int | None) -> bool:
    """Say whether a tensor belongs to the first `depth` decoder layers or to none."""
    parts = name.split(".")
    if depth is None or "layers" not in parts:
        return True
    return int(parts[parts.index("layers") + 1]) < depth


def served(checkpoint_dir: Path, dtype: str, depth: int | None = None):
    """Load a checkpoint the way the Hugging Face engine does."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(checkpoint_dir))
    if depth:
        config.num_hidden_layers = depth
    arguments = {"config": config} | compat.dtype_argument(dtype)
    return AutoModelForCausalLM.from_pretrained(str(checkpoint_dir), **arguments).eval()


def log_probabilities(model, samples: list[list[int]]) -> list[list[float]]:
    """Natural-log probability of every token but the first, given those before it."""
    import torch

    device = next(model.parameters()).device
    values = []
    with torch.no_grad():
        for ids in samples:
            tokens = torch.tensor([ids], device=device)
            logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
            chosen = torch.log_softmax(logits, -1).gather(1, tokens[0, 1:, None])
            values.append(chosen[:, 0].cpu().tolist())
    return values
