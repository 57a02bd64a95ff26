"""Which jobs a study has: their specs, inputs and resources, as the rules ask for them.

One module a phase, found by the name of its rule file: `plan/quantize.py` answers `rules/quantize.smk`. Its functions take the
`Plan` and Snakemake's wildcards (any object with the named attributes) and return paths, specs or resources. Nothing here but
`batches` reads results, and a dry run needs none.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

from edge2giant import ROOT, records, specs
from edge2giant import config as configuration
from edge2giant.config import Config, RunSettings, Study
from edge2giant.errors import unknown
from edge2giant.plan import submitted
from edge2giant.specs.variant import Variant

PACKAGE = ROOT / "workflow/edge2giant"
CODE = ("**/*.py", "**/*.j2", "**/*.jinja", "**/*.css", "**/*.js")


def open_plan(run: dict, main_process: bool = True, root: Path = ROOT) -> "Plan":
    """Check `config/config.yaml` as Snakemake merged it and all of `config/` below `root`, and return the plan of this run.

    `main_process` is False where Snakemake reads the workflow again inside a job.

    Raises
    ------
    UserError
        If anything in the configuration is not as its models and the other files say.
    """
    config = configuration.load(root)
    return Plan(config, configuration.check_run(run, config), submitted.open_ledger(main_process))


class Plan:
    """Answers for one run of Snakemake. The ledger notes the digest of every spec that this run planned."""

    def __init__(self, config: Config, run: RunSettings, ledger: submitted.PlannedSpecs | None = None):
        self.config, self.run, self.ledger = config, run, ledger
        self._targets: Callable[[], Iterable[str]] = list
        self._specs: dict[tuple, str] = {}

    @property
    def results(self) -> str:
        """Folder of results; in params, where path variables are not replaced."""
        return self.run.results

    @property
    def figures(self) -> str:
        return self.run.figures

    @property
    def study(self):
        """The study that the named targets mean."""
        return self.config.study(self.run.study)

    def member(self, wildcards) -> tuple[Study, Variant]:
        """The study and the variant that a job's wildcards name, or a `UserError` with the variants that the study has."""
        study, variant = self.config.study(wildcards.study), Variant(wildcards.model, wildcards.method, wildcards.bits)
        if variant not in study.variants:
            raise unknown("variant", variant.path, [one.path for one in study.variants], study.file)
        return study, variant

    def asks(self, targets: Callable[[], Iterable[str]], inputs_of: Callable[[str], Iterable[str] | None]) -> None:
        """Note how to learn what Snakemake is asked for: files, and rules, whose files `inputs_of` gives (None for a file).

        Snakemake does not know it yet when it reads the rules.
        """
        self._targets = lambda: (file for target in targets() for file in (inputs_of(target) or [target]))

    @cached_property
    def targets(self) -> list[str]:
        """Files that this run is asked for."""
        return [str(file) for file in self._targets()]

    def ask(self, function: Callable[["Plan", Any], Any]) -> Callable[[Any], Any]:
        """A function of wildcards alone, for an input or a param of a rule."""
        return signed(lambda wildcards: function(self, wildcards))

    def spec(self, build: Callable[["Plan", Any], Any]) -> dict[str, Callable[[Any], str]]:
        """The params `spec` and `digest` of a rule whose jobs get what `build(plan, wildcards)` returns.

        Evaluating either writes the spec's file. The digest is a tracked param: a change of it, and nothing else of the
        configuration, makes the job run again.
        """
        return {
            "spec": signed(lambda wildcards: specs.path(self.results, self.planned(build, wildcards)).as_posix()),
            "digest": signed(lambda wildcards: self.planned(build, wildcards)),
        }

    def planned(self, build: Callable[["Plan", Any], Any], wildcards) -> str:
        """Digest of a job's spec, which is written.

        Raises
        ------
        UserError
            If Snakemake reads the workflow again inside a job and the configuration decides otherwise than when it was submitted.
        """
        names = {name: value for name, value in sorted(vars_of(wildcards).items())}
        key = (f"{build.__module__}.{build.__qualname__}", *names.items())
        if key not in self._specs:
            found = specs.write(build(self, wildcards), self.results)
            if self.ledger:
                self.ledger.enter(key[0], names, found)
            self._specs[key] = found
        return self._specs[key]

    def service(self, name: str, content: object) -> str:
        """Path of `<results>/services/<name>.json`, which is written: how something is reached.

        It has no digest, so that another address, price or limit makes no job run again.
        """
        target, text = Path(self.results) / "services" / f"{name}.json", specs.text(content)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            records.write_text(target, text)
        return target.as_posix()

    @cached_property
    def code(self) -> str:
        """Digest over the whole package: Snakemake does not see edits of what `python -m` runs."""
        return self.code_of(".")

    def code_of(self, *folders: str) -> str:
        """Digest over some folders of the package, for phases that take more than seconds."""
        return records.digest([records.tree_digest(PACKAGE / folder, CODE) for folder in folders])[:16]


def signed(function: Callable) -> Callable:
    """Note a function's signature on it: Snakemake asks for it at each call, and working it out takes longer than the call."""
    function.__signature__ = signature(function)  # type: ignore[attr-defined]
    return function


def vars_of(wildcards) -> dict[str, str]:
    """Wildcards by name."""
    return dict(wildcards.items()) if hasattr(wildcards, "items") else vars(wildcards)
