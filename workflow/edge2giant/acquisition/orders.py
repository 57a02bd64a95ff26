"""What the rules ask of this phase: a fetch as command-line options, and the locks of a study. Reads `config/` alone."""

import shlex
from pathlib import PurePosixPath

from edge2giant import grid, records
from edge2giant.acquisition import needs
from edge2giant.errors import UserError
from edge2giant.store import selection

HUB = "<results>/store/hub"
PINS = "config/lock/hub"


class Orders:
    """Fetches by Snakemake's wildcards.

    Parameters
    ----------
    house : grid.House
    config : dict
        Checked content of `config/config.yaml`; its `mirror` and `token_file` go with each fetch.
    """

    def __init__(self, house: grid.House, config: dict):
        self.house, self.config = house, config

    def model(self, wildcards) -> str:
        need = needs.model(self.house, wildcards.model)
        return self._options(need) + (" --with-code" if selection.CODE in need.patterns else "")

    def published(self, wildcards) -> str:
        repo = f"{wildcards.owner}/{wildcards.repository}"
        for study in self.house.studies.values():
            for need in needs.published(self.house, study):
                if need.repo == repo:
                    return self._options(need)
        raise UserError(
            f"no study takes a published checkpoint from {repo}",
            "store/hub/published",
            "see `checkpoints` in config/studies/",
        )

    def dataset(self, wildcards) -> str:
        return self._options(needs.benchmark(self.house, wildcards.benchmark))

    def dataset_folder(self, wildcards) -> str:
        """Where a data set's files lie: its hub id below the folder that evaluation works in."""
        return f"{HUB}/datasets/{needs.benchmark(self.house, wildcards.benchmark).repo}".replace(
            "<results>", self.config["results"]
        )

    def calibration(self, wildcards) -> str:
        need = needs.calibration_set(self.house, wildcards.name)
        field = self.house.calibration["sets"][wildcards.name].get("field") or "text"
        return f"{self._options(need)} --field {shlex.quote(field)} --files {shlex.join(need.patterns)}"

    def mt_bench(self, wildcards) -> str:
        return self._options(needs.benchmark(self.house, "mt_bench"))

    def nltk(self, wildcards) -> str:
        return self._options(needs.nltk(self.house))

    def source(self) -> str:
        """The options that say where everything comes from."""
        options = {"--mirror": self.config.get("mirror"), "--token-file": self.config.get("token_file")}
        return _text(options)

    def locks(self, study: str) -> list[str]:
        """The locks of all that a study reads from its source."""
        found = self.house.study(study)
        return [f"<results>/store/{found.source}/{need.lock}" for need in needs.of_study(self.house, found)]

    def digest(self, study: str) -> str:
        """Changes with what a study needs, so that its plan is made anew."""
        wanted = needs.of_study(self.house, self.house.study(study))
        return records.digest([[need.kind, need.name, need.repo, need.revision] for need in wanted])[:16]

    def _options(self, need: needs.Need) -> str:
        pin = PurePosixPath(PINS) / need.lock
        options = {"--repo": need.repo, "--revision": need.revision, "--pin": pin.as_posix()}
        return f"{_text(options)} {self.source()}".strip()


def _text(options: dict) -> str:
    return " ".join(f"{option} {shlex.quote(value)}" for option, value in options.items() if value)
