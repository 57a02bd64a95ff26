"""Turn raw answers into cells: the score on the paper's scale, its error, and the per-sample table.

Reads the answer cache, an evaluation's manifest, `config/`, and for MT-Bench the judgments.
Writes one cell record and its samples. Needs no GPU, model or network, so a change of aggregation is cheap.
"""
