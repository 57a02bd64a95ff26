"""What the config says of an evaluation, as one digest: rules pass it, jobs check it. Standard library only."""

from edge2giant import grid, records


def settings_digest(house: grid.House, study: grid.Study, row: grid.Row, benchmarks: list[str]) -> str:
    """Digest of all that the config says about a batch; the rule passes it so that Snakemake sees a change."""
    return records.digest([house.evaluation(study, row, name) for name in benchmarks])[:16]
