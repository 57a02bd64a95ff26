"""Load a checkpoint once, run a batch of benchmarks on it, and keep the answers to each finished one.

Reads an `EvaluateSpec`, a checkpoint and the store's data sets. Writes `results/answer_cache/<fingerprint>/` (one folder for each
finished benchmark, never a Snakemake output) and, last, the batch's manifest. Never touches the network, a checkpoint or a cell.
"""

RESULT_VERSION = 2
"""Raise by hand when a change of this phase or of the engines changes answers; it is part of every fingerprint."""
