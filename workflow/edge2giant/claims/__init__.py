"""Claims: each sentence of the paper's findings as data, decided by numbers.

Reads ``config/published`` (``claims.yaml``, the printed scores) and, for a regenerated study, cell records.
Writes verdicts as CSV, HTML and Markdown. Never touches a score, and knows nothing of how one was made.

A claim is an entry of ``claims.yaml``: what it says, where, and one or more parts, each a named predicate
with parameters. The predicates are in `edge2giant.claims.predicates`; adding a claim needs no code.
"""
