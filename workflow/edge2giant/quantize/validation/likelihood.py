"""Models in float32 built from tensors, and log-probabilities of held-out text.

The reference of a checkpoint is the plain Hugging Face architecture whose weights are those that its scheme reads, without any
toolkit. For schemes that round activations as well, `rounding` adds what an engine gives that does so.

A model too large for this machine is compared on its first decoder blocks (`depth`): all sides run the same truncated model.
"""

from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.quantize import calibration, compat
from edge2giant.quantize.tensors import Tensors
from edge2giant.quantize.validation import layers
from edge2giant.quantize.validation.stored import Weights
from edge2giant.specs.quantize import HeldoutSpec

MOST_TOKENS = 4096


def heldout_tokens(folder: Path, model_dir: Path, spec: HeldoutSpec) -> list[list[int]]:
    """Token ids of the first held-out documents, each cut to the spec's length and at least two tokens long, 4096 in all."""
    tokenizer = calibration.model_tokenizer(model_dir)
    documents = calibration.read_documents(folder / "text.jsonl")
    samples = [calibration.tokenise(document, tokenizer)[: spec.length] for document in documents]
    samples = first([ids for ids in samples if len(ids) > 1][: spec.samples], MOST_TOKENS)
    if not samples:
        raise UserError("has no usable text", folder, "acquire the held-out set")
    return samples


def first(samples: list[list[int]], tokens: int) -> list[list[int]]:
    """The first samples, at least one, that hold no more than so many tokens together."""
    kept, count = [], 0
    for ids in samples:
        count += len(ids)
        if kept and count > tokens:
            break
        kept.append(ids[:tokens])
    return kept


def of_first(values: list[list[float]], samples: list[list[int]]) -> list[list[float]]:
    """The log-probabilities of those samples out of those of all."""
    return [row[: len(ids) - 1] for row, ids in zip(values, samples, strict=False)]


def reference(model_dir: Path, checkpoint_dir: Path, depth: int | None = None):
    """Build the model from a checkpoint's own codes, without the toolkit.

    Returns
    -------
    model : transformers.PreTrainedModel, float32
    quantized : list of str
        Names of the layers that are stored quantized.
    """
    weights = Weights(model_dir, checkpoint_dir, depth=depth)
    quantized = weights.quantized
    return build(model_dir, weights.stored, {name: weights.found(name) for name in quantized}, depth), quantized


def build(model_dir: Path, stored: Tensors, weights: dict, depth: int | None = None):
    """Build a model in float32: `weights` by layer, all else as stored.

    Raises
    ------
    UserError
        If a tensor of the model is not among them.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config, blocks = AutoConfig.from_pretrained(str(model_dir), trust_remote_code=False), layers.tree(Path(model_dir)).blocks
    if depth:
        config.get_text_config().num_hidden_layers = depth
    kind, state = AutoModelForCausalLM._model_mapping[type(config)], {f"{name}.weight": one for name, one in weights.items()}
    for name in stored.names:
        layer, _, last = name.rpartition(".")
        number = layers.block_number(name, blocks)
        if (depth is None or number is None or number < depth) and (layer not in weights or last == "bias"):
            state[name] = stored.read(name).float()
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    given = {"config": config, "state_dict": state, "output_loading_info": True} | compat.dtype_argument("float32")
    given |= read.attention(model_dir)
    model, loading = kind.from_pretrained(None, **given)
    if missing := sorted(loading["missing_keys"]):
        raise UserError(f"has no tensor {missing[0]}", stored.folder, "make it again")
    return model.eval().to(device(model))


def nearest(model, weights: Weights):
    """The source model with its quantized layers rounded to nearest, in place where each of them is a module."""
    modules = dict(model.named_modules())
    if set(weights.quantized) <= modules.keys():
        for name in weights.quantized:
            held = modules[name].weight
            held.data = weights.nearest(name).to(held)
        return model
    return build(weights.model_dir, weights.source, {name: weights.nearest(name) for name in weights.quantized}, weights.depth)


def device(model):
    """A GPU that holds the model twice, else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    free, _ = torch.cuda.mem_get_info()
    size = sum(one.numel() * one.element_size() for one in model.parameters())
    return torch.device("cuda" if 2 * size < free else "cpu")


def served(checkpoint_dir: Path, dtype: str, depth: int | None = None, place="cpu"):
    """Load a checkpoint the way the Hugging Face engine does, on a device; return it with the least precise type of weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(checkpoint_dir), trust_remote_code=False)
    if depth:
        config.get_text_config().num_hidden_layers = depth
    arguments = {"config": config} | compat.dtype_argument(dtype) | read.attention(checkpoint_dir)
    model = AutoModelForCausalLM.from_pretrained(str(checkpoint_dir), trust_remote_code=False, **arguments).eval()
    dtype = compat.widen(model, dtype)
    return model.to(place), dtype


def logits(model, ids: list[int]):
    """Logits (torch, float32) of every position of a text."""
    import torch

    tokens = torch.tensor([ids], device=next(model.parameters()).device)
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits[0].float()


def chosen(logits, ids: list[int]) -> list[float]:
    """Natural-log probability of every token but the first, given those before it."""
    import torch

    tokens = torch.tensor(ids[1:], device=logits.device)
    rest = logits[:-1]
    return (rest.gather(1, tokens[:, None])[:, 0] - torch.logsumexp(rest, -1)).cpu().tolist()


def log_probabilities(model, samples: list[list[int]]) -> list[list[float]]:
    """The same of several texts by a model."""
    return [chosen(logits(model, ids), ids) for ids in samples]
