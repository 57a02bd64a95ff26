"""Quantize: make a checkpoint from a model as a `QuantizeSpec` says, and validate it.

Reads the spec, a model folder, a folder of calibration text and a folder of held-out text. Writes one checkpoint folder
(safetensors, tokenizer, config, model card, `validation.json`, `checkpoint.json`), whole or not at all. Never uses the network or
changes the model folder.

`preflight` and `sizes` are pure and serve planning too. torch, safetensors and the toolkits are imported inside functions.
"""

RESULT_VERSION = 2
"""Raise by hand when a change of this phase changes weights; it is part of every spec."""
