"""What the rules ask of the config: inputs, parameters and resources of a job by its wildcards.

Each public method takes Snakemake's wildcards (any object with the named attributes) and returns paths or values. Nothing here
reads results, so a dry run needs none.
"""

from functools import cached_property
from types import SimpleNamespace

from edge2giant import config as configuration
from edge2giant import grid, paths, records
from edge2giant.cluster import resources
from edge2giant.plan import Plan, quantize

SUITE_OF_TABLE = {
    "1": "leaderboard_v1",
    "2": "leaderboard_v2",
    "4": "leaderboard_v1",
    "5": "leaderboard_v2",
    "6": "mt_bench",
    "7": "mt_bench",
}


def open_jobs(config: dict) -> "Jobs":
    """Check `config/config.yaml` as Snakemake merged it, read the rest of `config/`, and return the questions' answerer.

    Raises
    ------
    UserError
        If anything in the config is not as its schema and the other files say.
    """
    config = {"keep_checkpoints": True} | configuration.check_run(config).model_dump(exclude_unset=True)
    house = grid.load()
    house.study(config["study"])
    return Jobs(house, config)


class Jobs:
    """Answers for one run of Snakemake.

    Parameters
    ----------
    house : grid.House
    config : dict
        Checked content of `config/config.yaml`.
    """

    def __init__(self, house: grid.House, config: dict):
        self.house, self.config = house, config

    @cached_property
    def leaderboard_benchmarks(self) -> list[str]:
        return [name for name, entry in self.house.benchmarks.items() if entry["suite"] != "mt_bench"]

    def code(self, package: str) -> str:
        """Digest of a package's modules: Snakemake does not see edits of what `python -m` runs."""
        return records.tree_digest(self.house.root / "workflow/edge2giant" / package, ("**/*.py", "**/*.j2", "**/*.html"))[:16]

    @property
    def study(self) -> grid.Study:
        """The study that the named targets mean."""
        return self.house.study(self.config["study"])

    def row(self, wildcards) -> grid.Row:
        return grid.Row(wildcards.model, wildcards.method, wildcards.bits)

    def _member(self, wildcards) -> tuple[grid.Study, grid.Row]:
        study, row = self.house.study(wildcards.study), self.row(wildcards)
        if row not in study.rows:
            raise grid.unknown("row", row.path, [r.path for r in study.rows], f"config/studies/{study.name}.yaml")
        return study, row

    # --- checkpoints -----------------------------------------------------------------------------------------------

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self.house.config, None)

    # --- evaluation ------------------------------------------------------------------------------------------------

    def checkpoint_of_row(self, wildcards) -> str:
        return quantize.checkpoint(self._plan, wildcards)

    def overlap(self, study: str) -> list[str]:
        """Comparison of a study's calibration text with its benchmarks, where it has both."""
        named = SimpleNamespace(study=study)
        compared = quantize.calibration_locks(self._plan, named) and quantize.evaluated_locks(self._plan, named)
        return [f"<results>/{study}/overlap.json"] if compared else []

    # --- collections -----------------------------------------------------------------------------------------------

    def checkpoints(self, study: str) -> list[str]:
        """Every checkpoint of a study."""
        return [f"<results>/{spec.path}" for spec in quantize.checkpoints(self._plan, study).values()]

    def cells(self, study: str, suite: str | None = None) -> list[str]:
        """Every cell of a study, or of one of its suites."""
        found = self.house.study(study).cells
        suites = {name: entry["suite"] for name, entry in self.house.benchmarks.items()}
        return [paths.cell(cell) for cell in found if suite in (None, suites[cell.benchmark])]

    def cells_of_table(self, wildcards) -> list[str]:
        """Cells of a table's suite, less the models that the paper prints in the suite's other table."""
        suite, number = SUITE_OF_TABLE[wildcards.number], int(wildcards.number)
        cells = [
            cell for cell in self.house.study(wildcards.study).cells if self.house.benchmarks[cell.benchmark]["suite"] == suite
        ]
        return [paths.cell(cell) for cell in cells if self.house.printed.get((suite, cell.model), number) == number]

    def tables(self, study: str) -> list[str]:
        """Every table that a study is rendered to, in its four forms."""
        prefixes = [f"<figures>/{study}/table{number}" for number in self.house.study(study).tables]
        return [f"{prefix}.{form}" for prefix in prefixes for form in ("csv", "tex", "html", "md")]

    def figure2(self, study: str) -> list[str]:
        """Figure 2 in its three forms, of a study that asks MT-Bench."""
        forms = ("pdf", "png", "svg") if self.cells(study, "mt_bench") else ()
        return [f"<figures>/{study}/figure2.{form}" for form in forms]

    def mt_bench_cells(self, wildcards) -> list[str]:
        return self.cells(wildcards.study, "mt_bench")

    def all_cells(self, wildcards) -> list[str]:
        return self.cells(wildcards.study)

    def _chatted(self, study: str) -> list[grid.Row]:
        """Quantized rows that MT-Bench is asked of, beside their FP16 model."""
        found = self.house.study(study)
        return [row for row in found.rows if row.method != "fp16" and "mt_bench" in found.benchmarks_of(row)]

    def noise(self, study: str) -> list[str]:
        return [f"<results>/{study}/noise/{row.path}.json" for row in self._chatted(study)]

    def inspections(self, study: str) -> list[str]:
        return [f"<figures>/{study}/inspection/{row.path}.html" for row in self._chatted(study)]

    def figure2_form(self, wildcards) -> str:
        """Figure 2 of every model, or of the study's models with intervals and the printed panels below."""
        if wildcards.form == "all":
            return "--models all"
        return f"--models {self.figure2_models(wildcards)} --intervals --beside-published"

    def figure2_models(self, wildcards) -> str:
        return ",".join(self.house.study(wildcards.study).figure2_models)

    def rows(self, wildcards) -> str:
        """Digest of a study's rows, so that a changed grid renders its tables anew."""
        study = self.house.study(wildcards.study)
        return records.digest([[row.path, *study.benchmarks_of(row)] for row in study.rows])[:16]

    # --- resources -------------------------------------------------------------------------------------------------

    @cached_property
    def cluster(self) -> dict:
        """The cluster whose partitions jobs are placed on."""
        return resources.cluster_of(self.house, self.config.get("cluster"))

    def cluster_argument(self, wildcards) -> str:
        return f"--cluster {self.config['cluster']}" if self.config.get("cluster") else ""

    def _evaluation(self, wildcards) -> resources.Job:
        return resources.evaluation(self.house, *self._member(wildcards))

    def _quantization(self, wildcards) -> resources.Job:
        return resources.making(self.house, self.row(wildcards), quantize.spec(self._plan, wildcards))

    def evaluate_threads(self, wildcards) -> int:
        return resources.threads(self._evaluation(wildcards))

    def quantize_threads(self, wildcards) -> int:
        return resources.threads(self._quantization(wildcards))

    def evaluate_gpus(self, wildcards) -> int:
        return resources.gpus(self.house, self.cluster, self._evaluation(wildcards))

    def evaluate_memory(self, wildcards, attempt) -> int:
        return resources.memory_mb(self.house, self.cluster, self._evaluation(wildcards), attempt)

    def evaluate_minutes(self, wildcards, attempt) -> int:
        return resources.minutes(self.house, self.cluster, self._evaluation(wildcards), attempt)

    def quantize_gpus(self, wildcards) -> int:
        return resources.gpus(self.house, self.cluster, self._quantization(wildcards))

    def quantize_memory(self, wildcards, attempt) -> int:
        return resources.memory_mb(self.house, self.cluster, self._quantization(wildcards), attempt)

    def quantize_minutes(self, wildcards, attempt) -> int:
        return resources.minutes(self.house, self.cluster, self._quantization(wildcards), attempt)

    def site(self, phase: str) -> dict:
        """Callables for what SLURM alone reads of a phase's jobs: partition, GPU type, nodes, account."""
        job = {"evaluate": self._evaluation, "quantize": self._quantization}[phase]

        def asked(name: str):
            return lambda wildcards: resources.site(self.house, self.cluster, job(wildcards)).get(name)

        return {name: asked(name) for name in resources.SITE}
