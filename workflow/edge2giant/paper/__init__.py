"""Tables, figures and comparisons of the paper, from published values and from cells.

Reads cell records and the published CSV; writes below `paper_figures/`. Never runs a model and never
changes a cell.
"""
