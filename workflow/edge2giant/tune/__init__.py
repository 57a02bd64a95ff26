"""Tune: make a model of another one, whose weights lie on no grid of 4 bits, as a `TuneSpec` says.

A model that was quantized once lies on the grid of that release, which says more of the file than of the methods that round it
again. Uniform noise takes the weights off the grid; distillation from the source on text repairs what the noise cost.

torch and transformers are imported inside functions.
"""

RESULT_VERSION = 1
"""Raise by hand when a change of this phase changes weights; it is part of every spec."""
