"""Audit of the printed tables: does every printed number agree with the numbers it was made from?

Reads ``config/published/*.csv``, an `AuditSpec` and, where given, cells. Writes CSV files and one HTML page of findings; the
printed numbers stay as they are, and a probable misprint is reported with its correction.

All arithmetic is exact: digits are read as `decimal.Decimal`, means and scores are `fractions.Fraction`.
"""
