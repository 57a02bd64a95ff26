"""Paired statistics: what changed between two evaluations of the same questions.

Reads cell records and their per-sample tables, writes JSON and CSV. Questions are paired only where the hashes of document and
target agree. docs/statistics.md says which test is used when, and how each behaves in simulation.
"""

RESAMPLES = 9999
SEED = 1234
LEVEL = 0.05
POWER = 0.8
