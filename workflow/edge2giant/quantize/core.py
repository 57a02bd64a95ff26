"""Make one checkpoint: calibrate, quantize, validate, describe, and only then put it in place.

Everything is written to a folder beside the target and renamed at the end, so that an interrupted run leaves no half checkpoint.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.quantize import card, compat, environment, faults, sizes, toolkits
from edge2giant.quantize import recipe as recipes
from edge2giant.quantize.tensors import Tensors

DIGESTED = ("*.safetensors", "*.json", "*.jinja", "*.model")
NOT_DIGESTED = ("checkpoint.json", "validation.json", "README.md", "recipe.yaml")
TOKENIZER_FILES = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template*",
    "generation_config.json",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What one run is given.

    Attributes
    ----------
    model_dir, out_dir, heldout_dir : Path
    scheme : dict
        As `recipe.resolve` returns it.
    calibration_dir : Path or None
        Folder with text.jsonl; None for schemes that read none.
    lock : dict
        The model's lock (id, revision, files); empty when none is given.
    licence : str or None
        Licence of the base model.
    nominal_billions : float or None
        The model's nominal size as the paper counts storage.
    engine : {'hf', 'toolkit', 'none'}, optional
        Who loads the checkpoint for the comparison of log-probabilities; by default whom the toolkit names.
    published_dir : Path or None
        Folder of the published checkpoint, for schemes that take one.
    """

    model_dir: Path
    out_dir: Path
    heldout_dir: Path
    scheme: dict
    calibration_dir: Path | None = None
    lock: dict | None = None
    licence: str | None = None
    nominal_billions: float | None = None
    engine: str | None = None
    published_dir: Path | None = None

    @property
    def recipe(self) -> dict:
        """The toolkit's parameters; for a published checkpoint the folder that it lies in."""
        if self.scheme["source"] != "published":
            return self.scheme["recipe"]
        if self.published_dir is None:
            raise UserError("the scheme takes a published checkpoint", "--published", "name the folder that holds it")
        return {"folder": str(self.published_dir)}


def run(job: Job) -> dict:
    """Make a checkpoint and return its record.

    Raises
    ------
    UserError
        For bad input, a failure inside the toolkit that has a known hint, or a checkpoint that fails its validation.
    """
    watch = environment.Watch()
    toolkit = toolkits.module(job.scheme["toolkit"])
    toolkits.check(job.scheme["toolkit"], job.recipe, f"recipe of {job.scheme['method']}/{job.scheme['bits']}")
    source = Tensors(job.model_dir)
    fits(source, toolkit.traits(job.recipe, job.scheme["bits"]), job)
    with staged(job.out_dir) as folder, compat.readable(job.model_dir) as model_dir:
        with watch("calibration"):
            calibration = calibrate(job, model_dir)
        with watch("quantize"), memory_explained(job.model_dir):
            executed = quantize(job, model_dir, toolkit, calibration, folder)
        bring_tokenizer(job.model_dir, folder)
        with watch("validation"), memory_explained(job.model_dir):
            validation = validate(job, model_dir, toolkit, executed, folder)
        with watch("digest"):
            record = describe(job, toolkit, executed, calibration, validation, folder)
        record["seconds"] = watch.seconds
        record["memory"] = environment.peak_memory()
        (folder / "README.md").write_text(card.text(record), encoding="utf-8")
        records.write_json(folder / "checkpoint.json", record, "checkpoint")
    return record


def quantize(job: Job, model_dir: Path, toolkit, calibration, folder: Path) -> dict:
    """Let the toolkit write its checkpoint, then give it the source's config and what it need not have changed."""
    if toolkits.links(job.scheme["toolkit"]):
        return toolkit.quantize(job.model_dir, job.recipe, calibration, folder)
    executed = toolkit.quantize(model_dir, job.recipe, calibration, folder)
    compat.adopt_config(job.model_dir, folder)
    executed["parameters"]["restored_tensors"] = len(compat.restore_unquantized(job.model_dir, folder))
    return executed


def fits(source: Tensors, traits: dict, job: Job) -> None:
    """Refuse a group size that does not divide the model's input channels.

    Raises
    ------
    UserError
        Naming the first layer that cannot be cut into groups.
    """
    size = traits["group_size"]
    if size <= 0:
        return
    for name in sizes.linear_layers(source):
        columns = source.shape(f"{name}.weight")[1]
        if columns % size:
            raise UserError(
                f"{columns} input channels do not split into groups of {size}",
                f"{job.scheme['model']}: {name}",
                "choose a group size that divides them, or a scheme per channel",
            )


def calibrate(job: Job, model_dir: Path):
    """Draw the scheme's calibration set, and refuse one that holds the held-out text."""
    from edge2giant.quantize import calibration

    spec = job.scheme["calibration"]
    if spec is None:
        return None
    drawn = calibration.load(spec, job.calibration_dir, model_dir)
    if job.calibration_dir is not None and spec["packing"] != "random_tokens":
        calibration.refuse_overlap(job.calibration_dir / "text.jsonl", job.heldout_dir / "text.jsonl")
    return drawn


@contextlib.contextmanager
def staged(out_dir: Path):
    """Give a folder beside `out_dir` that takes its place only if the block succeeds.

    Raises
    ------
    UserError
        If `out_dir` is something else than a checkpoint.
    """
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    refuse_foreign(out_dir)
    sweep(out_dir)
    folder = out_dir.parent / f".{out_dir.name}.making-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
        replace(folder, out_dir)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_foreign(out_dir: Path) -> None:
    """Refuse to replace a folder that holds anything but a checkpoint."""
    inside = {path.name for path in out_dir.iterdir()} if out_dir.is_dir() else set()
    if out_dir.is_file() or (inside and not inside & {"checkpoint.json", "config.json"}):
        raise UserError("is not a checkpoint and would be replaced", out_dir, "move it, or choose another --out")


def sweep(out_dir: Path) -> None:
    """Remove what an interrupted run of this target left behind, unless that run is alive."""
    for stale in out_dir.parent.glob(f".{out_dir.name}.*-*"):
        number = stale.name.rpartition("-")[2]
        if number.isdigit() and not Path("/proc", number).exists():
            shutil.rmtree(stale, ignore_errors=True)


def replace(folder: Path, out_dir: Path) -> None:
    """Put a finished folder in place of `out_dir`, which may exist."""
    old = out_dir.parent / f".{out_dir.name}.old-{os.getpid()}"
    if out_dir.exists():
        out_dir.rename(old)
    folder.rename(out_dir)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def memory_explained(model_dir: Path):
    """Turn lack of memory into a line that says what to give."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = faults.out_of_memory(error, sizes.weight_bytes(model_dir), environment.gpu_bytes())
        if known is None:
            raise
        raise known from error


def bring_tokenizer(model_dir: Path, folder: Path) -> None:
    """Copy the model's own tokenizer files over whatever the toolkit wrote, so that every scheme is prompted alike."""
    for pattern in TOKENIZER_FILES:
        for path in Path(model_dir).glob(pattern):
            target = folder / path.name
            if path.is_file() and not target.is_symlink():
                shutil.copyfile(path, target)


def validate(job: Job, model_dir: Path, toolkit, executed: dict, folder: Path) -> dict:
    """Run all checks; write `validation.json`, with which a serving engine can be compared.

    Raises
    ------
    UserError
        If a check fails.
    """
    from edge2giant.quantize.validation import checkpoint

    traits = toolkit.traits(job.recipe, job.scheme["bits"])
    engine = job.engine or toolkits.validation_engine(job.scheme["toolkit"], job.recipe)
    return checkpoint.validate(model_dir, folder, job.heldout_dir, traits, executed, engine, toolkit, job.out_dir)


def describe(job: Job, toolkit, executed: dict, calibration, validation: dict, folder: Path) -> dict:
    """Assemble the record of a valid checkpoint."""
    files = checksums(folder)
    scheme, lock = job.scheme, job.lock or {}
    weights, _ = recipes.widths(scheme["bits"])
    billions = job.nominal_billions
    return {
        "schema": 1,
        "scheme": {key: scheme[key] for key in ("model", "method", "bits", "toolkit", "source")},
        "model": {
            "id": lock.get("id", [scheme["model"]]),
            "revision": lock.get("revision"),
            "digest": digest_of(checksums(job.model_dir)),
            "licence": job.licence,
        },
        "recipe": {"digest": recipes.digest(scheme), "asked": scheme, "executed": executed},
        "toolkit": {
            "name": scheme["toolkit"],
            "packages": environment.versions(toolkit.PACKAGES),
            "citation": toolkit.CITATION,
        },
        "calibration": calibration and calibration.record(),
        "size": {
            "weights_bytes": sizes.weight_bytes(folder),
            "total_bytes": sum(entry["bytes"] for entry in files.values()),
            "nominal_bytes": sizes.nominal_bytes(Tensors(job.model_dir), weights),
            "paper_bytes": None if billions is None else sizes.paper_bytes(billions, weights),
        },
        "files": files,
        "digest": digest_of(files),
        "validation": validation,
        "environment": environment.record(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def checksums(folder: Path) -> dict:
    """Bytes and SHA-256 of the files that a loader reads (links followed)."""
    paths = {path for pattern in DIGESTED for path in Path(folder).glob(pattern) if path.is_file()}
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": records.file_sha256(path)}
        for path in sorted(paths)
        if path.name not in NOT_DIGESTED
    }


def digest_of(files: dict) -> str:
    """One SHA-256 for a set of files: over their names and contents."""
    return records.digest({name: entry["sha256"] for name, entry in files.items()})


def verify(checkpoint_dir: Path) -> dict:
    """Compare a checkpoint's files with its record and return the record.

    Raises
    ------
    UserError
        If a file is missing or was changed.
    """
    record = records.read_json(checkpoint_dir / "checkpoint.json", "checkpoint")
    found = checksums(checkpoint_dir)
    for name, entry in record["files"].items():
        if found.get(name) != entry:
            state = "was changed" if name in found else "is missing"
            raise UserError(
                f"{name} {state} since the checkpoint was made",
                checkpoint_dir,
                "delete the folder and make it again",
            )
    return record
