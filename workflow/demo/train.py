"""Train the miniature's models from scratch: deterministic, on the CPU, on generated text alone."""

from __future__ import annotations

import hashlib
import json
import platform
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from . import apart, corpus, tokenizer

SHAPES: dict[str, dict[str, int]] = {
    "tiny-0.4m": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    },
    "tiny-2m": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
"""Architecture of each model; widths are multiples of 128 so that group-128 schemes fit."""

STEPS = {"tiny-0.4m": 1500, "tiny-2m": 1500}
RATES = {"tiny-0.4m": 0.02, "tiny-2m": 0.02}
LENGTH, ROWS = 256, 8
LONG_LENGTH, LONG_ROWS, LONG_EVERY = 1024, 2, 5
WARM_UP = 50
CONTEXT_WEIGHT = 0.05  # of a token that no one asks the model for, against 1 of an answer's

Batch = tuple[torch.Tensor, torch.Tensor]
"""Token ids and loss weights, both (rows, length)."""


def configuration(model: str) -> dict[str, Any]:
    """Return ``config.json`` of a model, in keys that transformers 4 and 5 both read."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **SHAPES[model],
        "head_dim": 64,
        "vocab_size": tokenizer.VOCABULARY,
        "max_position_embeddings": tokenizer.MAX_LENGTH,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "torch_dtype": "float16",
        "use_cache": True,
    }


def _tokens(made: Tokenizer, rng: random.Random, length: int, fixed: bool) -> tuple[list[int], list[float]]:
    """Return one row of token ids and weights; each piece is encoded as lm-eval would cut it."""
    ids: list[int] = []
    weights: list[float] = []
    for piece, asked in corpus.row(rng, fixed):
        part = made.encode(piece, add_special_tokens=False).ids
        ids += part
        weights += [1.0 if asked else CONTEXT_WEIGHT] * len(part)
        if len(ids) > length:
            return ids[:length], weights[:length]
    raise AssertionError("a row has no end")


def batches(made: Tokenizer, rng: random.Random, steps: int) -> Iterator[Batch]:
    """Yield the batches of a run: short rows, and in every fifth step long ones with fixed beginnings."""
    for step in range(steps):
        long = step % LONG_EVERY == LONG_EVERY - 1
        rows, length = (LONG_ROWS, LONG_LENGTH) if long else (ROWS, LENGTH)
        drawn = [_tokens(made, rng, length, fixed=long) for _ in range(rows)]
        yield torch.tensor([i for i, _ in drawn]), torch.tensor([w for _, w in drawn])


def _loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    ids, weights = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    flat = weights[:, 1:].flatten()
    return (losses * flat).sum() / flat.sum()


def _optimizers(model: LlamaForCausalLM, peak: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the layers' matrices (it needs fewer tokens) and AdamW for embedding and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=peak, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW(rest, lr=peak / 4, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def _share(step: int, steps: int) -> float:
    """Return the share of the peak rate at a step: warm-up, plateau, linear fall over the last half."""
    return min(1.0, (step + 1) / WARM_UP, max(0.01, 2 * (steps - step) / steps))


def fit(model: LlamaForCausalLM, made: Tokenizer, seed: int, steps: int, peak: float) -> float:
    """Train in place; return the mean loss of the last hundred steps (weighted, natural logarithm)."""
    optimizers = _optimizers(model, peak)
    losses: list[float] = []
    started = time.monotonic()
    for step, batch in enumerate(batches(made, random.Random(f"{seed}/training"), steps)):
        loss = _loss(model, batch)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * _share(step, steps)
            optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            recent = sum(losses[-50:]) / 50
            print(f"step {step + 1}/{steps} loss {recent:.3f} {time.monotonic() - started:.0f} s", flush=True)
    return float(np.mean(losses[-100:]))


def _save(model: LlamaForCausalLM, name: str, made: Tokenizer, folder: Path) -> None:
    tokenizer.save(made, folder)
    tensors = {k: v.detach().to(torch.float16).contiguous() for k, v in model.state_dict().items()}
    tensors.pop("lm_head.weight", None)  # tied to the embedding
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    generation = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    for file, content in (("config", configuration(name)), ("generation_config", generation)):
        (folder / f"{file}.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def run(name: str, out: Path, store: Path | None, seed: int = 0, steps: int | None = None) -> None:
    """Train model ``name`` and write it with ``trained.json`` into ``out``.

    Parameters
    ----------
    store
        When given, a sample of the training text is compared with the questions of its data sets.
    steps
        Optimizer steps; None takes those of the shipped weights.
    """
    steps = steps or STEPS[name]
    if store is not None:
        apart.check(store, seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    made = tokenizer.train(corpus.sample(random.Random(f"{seed}/tokenizer"), 2000))
    model = LlamaForCausalLM(LlamaConfig(**configuration(name) | {"torch_dtype": "float32"}))
    started = time.monotonic()
    loss = fit(model.train(), made, seed, steps, RATES[name])
    _save(model, name, made, out)
    record = {
        "command": f"python -m demo train --model {name} --seed {seed} --steps {steps}",
        "model": name,
        "seed": seed,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "loss": round(loss, 4),
        "seconds": round(time.monotonic() - started),
        "parameters": sum(p.numel() for p in model.parameters()),
        "versions": _versions(),
        "sha256": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.iterdir()) if _model_file(p)},
    }
    (out / "trained.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _model_file(path: Path) -> bool:
    return path.is_file() and path.name != "trained.json"


def _versions() -> dict[str, str]:
    import lm_eval
    import tokenizers
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "lm_eval": getattr(lm_eval, "__version__", "unknown"),
    }
