"""Audit of the printed tables: does every printed number agree with the numbers it was made from?

Reads ``config/published/*.csv`` and ``config/published/grids.yaml`` (and, when given, measured checkpoint
sizes). Writes one CSV and one HTML page of findings. Never touches the printed numbers: what looks like a
misprint is reported beside the correction that would settle it, and left as it is.

All arithmetic is exact: digits are read as `decimal.Decimal`, means and grids are `fractions.Fraction`.
"""
