"""Paired statistics: what changed between two evaluations of the same questions.

Reads cell records and their per-sample tables, writes JSON and CSV. Questions are paired only where the hashes of document and
target agree. Tests, intervals and corrections are those of scipy and statsmodels; docs/statistics.md says which is used when.
"""

RESAMPLES = 9999
SEED = 1234
