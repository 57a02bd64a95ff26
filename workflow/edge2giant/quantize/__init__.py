"""Quantize: make a checkpoint from a model and validate it.

Reads a model folder, a resolved scheme (what `config/recipes.yaml` says for one model, method and bits), a folder of calibration
text and a folder of held-out text. Writes one checkpoint folder (safetensors, tokenizer, config, model card, `validation.json`,
`checkpoint.json`), whole or not at all. Never touches the network, the model folder or any other checkpoint.

`recipe`, `preflight` and `sizes` are pure and need the standard library alone; `tensors`, `dequantize` and `calibration` add
numpy; torch and the toolkits are imported only by the step that runs them.
"""

RESULT_VERSION = 2
"""Raise by hand when a change of this phase changes weights; it is part of every recipe digest."""
