"""Validation of a checkpoint: are these the model's weights, quantized as the recipe says, and does an engine read them so?

`checkpoint.validate` runs everything: `weights` compares the tensors with the source model, `likelihood` and `rounding` compute
log-probabilities of held-out text by the weights that the checkpoint's scheme reads, and `agreement` compares those of an engine
with them.
"""
