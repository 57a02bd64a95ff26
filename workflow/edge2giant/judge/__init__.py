"""MT-Bench judging: rate answers, score ratings, measure the judge's noise, look at pairs of answers.

Reads answers, questions, references and judge prompts; writes judgments and what is derived from them. It
never generates an answer and knows no table.
"""
