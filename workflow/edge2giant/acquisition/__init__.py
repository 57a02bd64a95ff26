"""What a study needs from outside, as the rules and the plan ask for it: which repositories, which options, how much, and
whether it can be had.

Reads `config/` and, for the plan, what the sources announce. Fetches nothing; `edge2giant.store` does that.
"""
