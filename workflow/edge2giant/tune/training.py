"""Noise, distillation and measurement on a model in float32."""

import math
import sys
from collections.abc import Iterator

from edge2giant.errors import UserError
from edge2giant.specs.tune import DistillationSpec, NoiseSpec
from edge2giant.tune import grids

CLIP = 1.0
"""Largest norm of the gradient."""
REPORT_EVERY = 20


def add_noise(model, layers: list[str], spec: NoiseSpec, seed: int) -> None:
    """Add uniform noise to the linear layers, of at most a share of the grid's step in each group.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place, on the CPU, so that the noise is the same wherever the model is tuned.
    layers : list of str
        Names without `.weight`.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name in layers:
        weight = model.get_parameter(f"{name}.weight").data
        _, step = grids.rounded(weight, spec.bits, spec.group_size)
        noise = (torch.rand(weight.shape, generator=generator) * 2 - 1) * spec.share
        weight += (noise.reshape(len(weight), -1, spec.group_size) * step).reshape(weight.shape)


def distil(student, teacher, windows: list[list[int]], spec: DistillationSpec) -> list[float]:
    """Tune `student` towards the next-token distributions of `teacher`, and return the loss of each step in nats a token.

    Raises
    ------
    UserError
        If a loss is not finite.
    """
    import torch

    optimizer = torch.optim.AdamW(student.parameters(), lr=spec.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, spec))
    order, losses = _order(len(windows), spec.seed), []
    student.train()
    for step in range(spec.steps):
        optimizer.zero_grad()
        found = 0.0
        for _ in range(spec.windows):
            tokens = _tokens(windows[next(order)], student)
            loss = divergence(_log_probabilities(student, tokens), _reference(teacher, tokens)) / spec.windows
            loss.backward()
            found += float(loss.detach())
        if not math.isfinite(found):
            raise UserError(
                f"the loss of step {step + 1} is {found}", "distillation", "lower `learning_rate` in config/models.yaml"
            )
        torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        losses.append(found)
        if (step + 1) % REPORT_EVERY == 0:
            mean = sum(losses[-REPORT_EVERY:]) / REPORT_EVERY
            print(f"step {step + 1} of {spec.steps}: {mean:.4f} nats a token", file=sys.stderr, flush=True)
    student.eval()
    return losses


def rate(step: int, spec: DistillationSpec) -> float:
    """Share of the learning rate at a step: it rises over the warmup and then falls to 0 along a cosine."""
    if step < spec.warmup:
        return (step + 1) / spec.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - spec.warmup) / max(spec.steps - spec.warmup, 1)))


def divergence(found, reference):
    """Mean Kullback-Leibler divergence in nats of log-probabilities (tokens, vocabulary) from those of the reference."""
    import torch

    return torch.nn.functional.kl_div(found, reference, reduction="batchmean", log_target=True)


def measure(model, teacher, windows: list[list[int]]) -> dict[str, float]:
    """Perplexity of windows, and the divergence from the teacher in nats a token."""
    import torch

    nats, apart, count = 0.0, 0.0, 0
    with torch.no_grad():
        for window in windows:
            tokens = _tokens(window, model)
            found, reference = _log_probabilities(model, tokens), _reference(teacher, tokens)
            following = tokens[0, 1:]
            nats -= float(found[:-1].gather(1, following[:, None]).sum(dtype=torch.float64))
            apart += float(divergence(found, reference)) * len(found)
            count += len(following)
    return {"perplexity": math.exp(nats / count), "divergence": apart / sum(map(len, windows))}


def _order(count: int, seed: int) -> Iterator[int]:
    """Numbers of windows, each once in an order that is drawn anew for each pass over them."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=generator).tolist()


def _tokens(window: list[int], model):
    import torch

    return torch.tensor([window], device=next(model.parameters()).device)


def _log_probabilities(model, tokens):
    return model(input_ids=tokens, use_cache=False).logits[0].float().log_softmax(-1)


def _reference(teacher, tokens):
    import torch

    with torch.no_grad():
        return _log_probabilities(teacher, tokens)
