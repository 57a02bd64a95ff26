"""Quantize LLMs across a grid, measure what it costs in quality, and hold a paper to its numbers."""
