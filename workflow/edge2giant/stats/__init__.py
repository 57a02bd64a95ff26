"""Paired statistics: what changed between two evaluations of the same questions.

Reads cell records and their per-sample tables. Writes JSON and CSV. Never touches a cell, and never pairs
questions that are not the same: document and target hashes must agree.

Tests, intervals and corrections are those of scipy and statsmodels; see docs/statistics.md for which is
used when.
"""
