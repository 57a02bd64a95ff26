"""A demonstration: data sets, text, models and a judge, small enough for two CPU cores.

Reads nothing but the fixed few-shot examples inside an installed lm-eval (training only).
Writes a store in the layout of :mod:`edge2giant.store` (data sets under their real hub ids,
calibration text, MT-Bench files, a sentence-splitter stand-in, models).
Never touches the network, a real data set, or a result.
"""
