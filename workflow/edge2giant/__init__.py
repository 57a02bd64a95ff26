"""Quantize LLMs across a grid, measure what it costs in quality, and hold a paper to its numbers."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""
