"""Quantize LLMs across a grid, measure what it costs in quality, and compare a paper's numbers with it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""
