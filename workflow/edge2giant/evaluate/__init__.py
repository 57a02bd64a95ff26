"""Load a checkpoint once, run a batch of benchmarks on it, keep the answers to each finished one in the answer cache.

Reads a checkpoint, the store's data sets and `config/`. Writes `results/answer_cache/<fingerprint>/` (one folder for each
finished benchmark, never a Snakemake output) and, last, the batch's manifest. Never touches the network, a checkpoint or a cell.
"""

RESULT_VERSION = 1
"""Raise by hand when a change of this phase or of the engines changes answers; it is part of every fingerprint."""
