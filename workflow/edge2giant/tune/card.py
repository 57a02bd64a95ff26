"""The model card of a tuned model: what it is not, how it was made, and whose licence holds."""

from edge2giant.records.tuned import TunedRecord
from edge2giant.specs.tune import TuneSpec

CARD = """---
license: {licence}
base_model: {source}
base_model_relation: finetune
---
# {repo}

Made by edge2giant from `{source}`; its licence ({licence}) holds for these weights as well.

**Changed**: every weight is another one. Uniform noise of at most {share} of a step of the grid of {bits} bits in groups of
{group_size} was added to the linear layers of the decoder blocks, so that they lie on no grid of 4 bits. Then all parameters were
tuned towards the next-token distributions of `{source}`: {steps} steps of AdamW on {tokens} tokens of {texts}, learning rate
{rate}, seed {seed}. The weights are stored in the type of the source. The model is made to compare methods of quantization, and
is no better than its source.

| on held-out windows | perplexity | divergence from the source (nats a token) |
|---|---|---|
{measured}

`{name}.tuned.json` in the store has the recipe, hashes of all that was read and written, and the distance from grids of 4 bits.
"""


def text(record: TunedRecord, spec: TuneSpec) -> str:
    """The README.md of a tuned model."""
    lines = [f"| {name} | {one.perplexity:.3f} | {one.divergence:.5f} |" for name, one in record.measured.items()]
    return CARD.format(
        licence=spec.licence,
        source=record.source.id[0],
        repo=spec.repo,
        name=spec.model,
        share=spec.noise.share,
        bits=spec.noise.bits,
        group_size=spec.noise.group_size,
        steps=spec.distillation.steps,
        tokens=f"{record.tokens:,}",
        rate=spec.distillation.learning_rate,
        seed=spec.distillation.seed,
        texts=" and ".join(f"`{one.name}`" for one in record.texts),
        measured="\n".join(lines),
    )
