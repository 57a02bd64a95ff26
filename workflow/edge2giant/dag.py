"""What the rules ask of the config: inputs, parameters and resources of a job by its wildcards.

Each public method takes Snakemake's wildcards (any object with the named attributes) and returns paths or values. Nothing here
reads results, so a dry run needs none.
"""

from functools import cached_property
from types import SimpleNamespace

from edge2giant import config as configuration
from edge2giant import grid, paths, records
from edge2giant.cluster import resources
from edge2giant.errors import UserError

HELD_OUT = "heldout"
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

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether weights stay once the cells that were asked for are done."""
        return self.config["keep_checkpoints"]

    # --- checkpoints -----------------------------------------------------------------------------------------------

    @cached_property
    def _identities(self) -> dict[tuple[str, grid.Row], dict]:
        """What decides the checkpoint of each row of every study."""
        studies = self.house.studies.values()
        return {(s.name, row): paths.checkpoint_identity(self.house, s, row) for s in studies for row in s.rows}

    @cached_property
    def _digests(self) -> dict[tuple[str, grid.Row], str]:
        return {member: paths.recipe_digest(identity) for member, identity in self._identities.items()}

    @cached_property
    def identities(self) -> dict[str, dict]:
        """What decides each checkpoint of every study, by the digest in its path."""
        return {self._digests[member]: identity for member, identity in self._identities.items()}

    def identity(self, wildcards) -> dict:
        """The identity that a checkpoint's path stands for."""
        if wildcards.digest not in self.identities:
            raise UserError(
                f"no study asks for a checkpoint with recipe digest {wildcards.digest}",
                f"checkpoints/{self.row(wildcards).path}",
                "`snakemake plan` lists the digests; they change with config/recipes.yaml",
            )
        return self.identities[wildcards.digest]

    def model_of_checkpoint(self, wildcards) -> dict[str, str]:
        identity = self.identity(wildcards)
        source, published = identity["source"], identity["scheme"]["published"]
        found = {"model": paths.model(source, wildcards.model), "lock": paths.model_lock(source, wildcards.model)}
        return found | ({"published": f"<results>/store/hub/published/{published['repo']}"} if published else {})

    def published_argument(self, wildcards) -> str:
        """The checkpoint on the hub that a scheme takes instead of making one."""
        folder = self.model_of_checkpoint(wildcards).get("published")
        return f"--published {folder}".replace("<results>", self.config["results"]) if folder else ""

    def scheme(self, wildcards) -> str:
        """The resolved scheme as JSON, for the command line."""
        return records.canonical(self.identity(wildcards)["scheme"])

    def base_model(self, wildcards) -> str:
        """What a model card says of the unquantized model."""
        entry = self.house.models[wildcards.model]
        return f"--licence '{entry['licence']}' --nominal-billions {entry['nominal_billions']}"

    def quantize_environment(self, wildcards) -> str:
        return self.identity(wildcards)["environment"]

    def texts_of_checkpoint(self, wildcards) -> dict[str, str]:
        """Locks of the calibration text (if the scheme reads one) and of the held-out text that proves the checkpoint."""
        identity = self.identity(wildcards)
        found = {"heldout": paths.calibration_lock("miniature", HELD_OUT)}
        calibration = identity["scheme"]["calibration"]
        if calibration and calibration["packing"] != "random_tokens":
            found["calibration"] = paths.calibration_lock(identity["source"], calibration["id"])
        return found

    def text_arguments(self, wildcards) -> str:
        locks = self.texts_of_checkpoint(wildcards)
        results = self.config["results"]
        folders = {name: lock.removesuffix(".lock.json").replace("<results>", results) for name, lock in locks.items()}
        return " ".join(f"--{name} {folder}" for name, folder in folders.items())

    # --- evaluation ------------------------------------------------------------------------------------------------

    def checkpoint_of_row(self, wildcards) -> str:
        study, row = self._member(wildcards)
        return paths.checkpoint(row, self._digests[study.name, row])

    def calibration_locks(self, wildcards) -> list[str]:
        """Calibration text that the checkpoints of a study read."""
        study = self.house.study(wildcards.study)
        schemes = [self.identities[self._digests[study.name, row]]["scheme"]["calibration"] for row in study.rows]
        texts = {one["id"] for one in schemes if one and one["packing"] != "random_tokens"}
        return [paths.calibration_lock(study.source, name) for name in sorted(texts)]

    def evaluated_locks(self, wildcards) -> list[str]:
        """Data of the lm-eval benchmarks of a study; MT-Bench's 80 questions have no right answer to know."""
        study = self.house.study(wildcards.study)
        return [paths.benchmark_lock(study.source, name) for name in study.benchmarks if name != "mt_bench"]

    def overlap(self, study: str) -> list[str]:
        """Comparison of a study's calibration text with its benchmarks, where it has both."""
        asked = SimpleNamespace(study=study)
        return [f"<results>/{study}/overlap.json"] if self.calibration_locks(asked) and self.evaluated_locks(asked) else []

    def source(self, wildcards) -> str:
        return self.house.study(wildcards.study).source

    # --- cells -----------------------------------------------------------------------------------------------------

    def judgments_of_cell(self, wildcards) -> list[str]:
        """The judge's ratings that an MT-Bench cell reads; nothing for the other benchmarks."""
        if wildcards.benchmark != "mt_bench":
            return []
        return [f"<results>/{wildcards.study}/judgments/{self.row(wildcards).path}.jsonl"]

    def judgments_argument(self, wildcards) -> str:
        return " ".join(f"--judgments {path}" for path in self.judgments_of_cell(wildcards)).replace(
            "<results>", self.config["results"]
        )

    def scoring(self, wildcards) -> str:
        study = self.house.study(wildcards.study)
        return records.digest(self.house.scoring(study, wildcards.benchmark))[:16]

    # --- collections -----------------------------------------------------------------------------------------------

    def checkpoints(self, study: str) -> list[str]:
        """Every checkpoint of a study."""
        return [paths.checkpoint(row, self._digests[study, row]) for row in self.house.study(study).rows]

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
        return resources.making(self.house, self.row(wildcards), self.identity(wildcards))

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
