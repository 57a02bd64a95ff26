"""`make try`: one model on this machine, from its name to a table and a report. Writes `my/`, then runs make and Snakemake."""
