"""Beside and after a run: whose folder it is, resume, damaged outputs, why variants failed, cost and forecast.

Never imports Snakemake; knows SLURM only by its commands.
"""
