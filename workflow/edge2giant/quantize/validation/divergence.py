"""Check (a): how far a checkpoint's distributions of the next token are from its source's, beside those of round-to-nearest.

The source's distributions are kept as the inputs of its output head, which gives them again in a fraction of the time. They lie
in a folder of the cache named by what decides them: model, held-out text, depth, versions and device. So does the divergence of
round-to-nearest. Files appear whole or not at all.
"""

import importlib.metadata
import math
import os
from pathlib import Path

from edge2giant import records
from edge2giant.quantize.validation import likelihood
from edge2giant.quantize.validation.checks import Checks, rounded

MOST_TIMES_NEAREST = 3.0
LEAST_DIVERGENCE = 1e-6
"""In nats: what float32 leaves of two equal models, below which no ratio is taken."""


class Source:
    """The source model's distributions on the held-out text.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The source in float32.
    key : dict
        What decides its distributions besides versions and device.
    cache : Path or None
        Folder to keep them in; None to keep nothing.
    """

    def __init__(self, model, samples: list[list[int]], key: dict, cache: Path | None):
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
        where = key | versions | {"device": str(next(model.parameters()).device.type), "tokens": records.digest(samples)}
        self.folder = cache and Path(cache) / records.digest(where)[:16]
        self.head, self.samples = model.get_output_embeddings(), samples
        self.cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
        self.hidden, self.logits = self._kept(), None
        if self.hidden is None:
            self._run(model)

    def _kept(self):
        from safetensors.torch import load_file

        path = self.folder and self.folder / "source.safetensors"
        if not path or not path.is_file():
            return None
        whole = load_file(path)["hidden"].to(next(self.head.parameters()).device)
        return list(whole.split([len(ids) for ids in self.samples]))

    def _run(self, model) -> None:
        """Run the source; where its head alone does not give its logits, those are kept in memory and no file is written."""
        import torch

        seen, kept = [], []
        hook = self.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0]))
        try:
            for ids in self.samples:
                kept.append(likelihood.logits(model, ids))
        finally:
            hook.remove()
        same = len(seen) == len(kept) and torch.allclose(self._head(seen[0]), kept[0], atol=1e-4, rtol=1e-4)
        self.hidden, self.logits = (seen, None) if same else (None, kept)
        if same and self.folder:
            self._write(torch.cat(seen).float().cpu())

    def _write(self, hidden) -> None:
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".source.{os.getpid()}"
        save_file({"hidden": hidden.contiguous()}, beside)
        beside.replace(self.folder / "source.safetensors")

    def _head(self, hidden):
        import torch

        with torch.no_grad():
            found = self.head(hidden).float()
        return torch.tanh(found / self.cap) * self.cap if self.cap else found

    def of(self, number: int):
        """Logits of one text."""
        return self._head(self.hidden[number]) if self.logits is None else self.logits[number]

    def nearest(self, key: dict, compute) -> float:
        """The divergence of round-to-nearest, computed once for a scheme and its layers."""
        path = self.folder and self.folder / f"nearest-{records.digest(key)[:16]}.json"
        if path and path.is_file():
            return records.read_json(path)["divergence"]
        found = compute()
        if path and math.isfinite(found):
            records.write_json(path, key | {"divergence": found})
        return found


def compare(source: Source, model) -> tuple[dict, list[list[float]]]:
    """Run a model over the source's texts.

    Returns
    -------
    measured : dict
        divergence (mean Kullback-Leibler divergence from the source, nats a token), top1_agreement, perplexity,
        source_perplexity.
    values : list of list of float
        The model's log-probabilities of the texts.
    """
    total = same = count = 0
    values, others = [], []
    for number, ids in enumerate(source.samples):
        theirs, ours = source.of(number), likelihood.logits(model, ids)
        theirs = theirs.to(ours.device)
        total += float(divergences(theirs[:-1], ours[:-1]).double().sum())
        same += int((theirs[:-1].argmax(-1) == ours[:-1].argmax(-1)).sum())
        count += len(ids) - 1
        values.append(likelihood.chosen(ours, ids))
        others.append(likelihood.chosen(theirs, ids))
    return {
        "divergence": total / count,
        "top1_agreement": same / count,
        "perplexity": perplexity(values),
        "source_perplexity": perplexity(others),
    }, values


def divergences(theirs, ours):
    """Kullback-Leibler divergence (torch, nats) of each row of logits `ours` from `theirs`."""
    import torch

    log, other = torch.log_softmax(theirs, -1), torch.log_softmax(ours, -1)
    return (log.exp() * (log - other)).sum(-1)


def perplexity(values: list[list[float]]) -> float:
    flat = [value for row in values for value in row]
    mean = -sum(flat) / len(flat)
    return math.exp(mean) if mean < 700 else math.inf


def check(measured: dict, nearest: float, checks: Checks) -> dict:
    """Hold the divergence to that of round-to-nearest, and what the record says to be finite."""
    limit = MOST_TIMES_NEAREST * max(nearest, LEAST_DIVERGENCE)
    checks.below("divergence from the source on held-out text (nats)", measured["divergence"], limit)
    infinite = [name for name, value in measured.items() if not math.isfinite(value)]
    checks.none("measures on held-out text that are not finite", infinite)
    return {name: rounded(value) for name, value in (measured | {"nearest_divergence": nearest}).items()}
