"""The report: one self-contained HTML page of a study with a page for each cell, and exports of its scores.

Reads cell and failure records, and the CSV files of `paper`, `stats`, `audit` and `claims`. Writes pages and exports,
never a record. Nothing that it writes needs a network to be read.
"""
