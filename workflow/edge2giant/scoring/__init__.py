"""Answers become scores: aggregation, sample tables and cell records."""
