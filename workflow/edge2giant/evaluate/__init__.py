"""Load a checkpoint once, run a batch of benchmarks on it, keep each finished one in the journal.

Reads a checkpoint, the store's data sets and `config/`. Writes `results/journal/<fingerprint>/` (one entry a finished benchmark,
never a Snakemake output) and, last, the batch's index. Never touches the network, a checkpoint or a cell.
"""

RESULT_VERSION = 1
"""Raise by hand when a change of this phase or of the engines changes answers; it is part of every fingerprint."""
