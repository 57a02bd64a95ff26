"""Where a job runs: GPU type and count, memory, time, and what is done when a cluster breaks.

Reads `config/clusters.yaml` and `config/models.yaml` through `grid`, cells and failure records of a run. Writes forecasts,
cost and partial tables. Never imports Snakemake; knows SLURM only by its commands.
"""
