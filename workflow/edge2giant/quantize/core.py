"""Make one checkpoint: calibrate, quantize, validate, describe, and only then put it in place.

Everything is written to a folder beside the target and renamed at the end, so that an interrupted run leaves no half checkpoint.
"""

import contextlib
import dataclasses
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from edge2giant import provenance, records, specs, store, typed
from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.quantize import card, compat, environment, faults, names, sizes, toolkits
from edge2giant.quantize.tensors import Tensors
from edge2giant.records.checkpoint import CheckpointRecord, ExecutedRecipe
from edge2giant.records.lock import FileDigest, Lock
from edge2giant.schemes.scheme import Scheme
from edge2giant.specs.quantize import QuantizeSpec

DIGESTED = ("*.safetensors", "*.json", "*.jinja", "*.model")
NOT_DIGESTED = ("checkpoint.json", "validation.json", "README.md", "recipe.yaml")
TOKENIZER_FILES = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template*",
    "generation_config.json",
)  # fmt: skip

NOTICES, BASE_CARD = ("LICENSE*", "NOTICE*", "USE_POLICY*"), "BASE_MODEL.md"


@dataclass(frozen=True)
class Folders:
    """Where a job reads and writes.

    `heldout` and `calibration` hold text.jsonl, `out` is the checkpoint to make, and `cache` keeps what
    validation knows of source models.
    """

    model: Path
    heldout: Path
    out: Path
    calibration: Path | None = None
    published: Path | None = None
    cache: Path | None = None


def run(spec: QuantizeSpec, folders: Folders, lock: Lock | None = None) -> dict:
    """Make a checkpoint and return its record; the model's `lock` has its id and revision.

    Raises
    ------
    UserError
        For bad input, a failure inside the toolkit that has a known hint, or a checkpoint that fails its validation.
    """
    watch = environment.Watch()
    toolkit, recipe = toolkits.module(spec.toolkit), recipe_of(spec, folders)
    toolkits.check(spec.toolkit, recipe, f"recipe of {spec.variant.method_bits}")
    scheme = toolkit.scheme(recipe)
    check_group_size(Tensors(folders.model), scheme, toolkits.left_out(spec.toolkit, recipe), spec.variant.model)
    with staged(folders.out) as made, compat.readable(folders.model) as readable:
        with watch("calibration"):
            calibration = calibrate(spec, folders, readable)
        with watch("quantize"), memory_explained(folders.model):
            executed = quantize(spec.toolkit, recipe, folders.model, readable, calibration, made)
        bring_tokenizer(folders.model, made)
        notices = bring_notices(folders.model, made)
        with watch("validation"), memory_explained(folders.model):
            source = checksums(folders.model)
            validation = validate(spec, recipe, scheme, executed, folders, readable, made, digest_of(source))
        with watch("digest"):
            record = describe(spec, scheme, folders.model, source, lock, executed, calibration, validation, made)
        record["seconds"] = watch.seconds
        record["memory"] = environment.peak_memory()
        (made / "README.md").write_text(card.text(record, notices), encoding="utf-8")
        records.write(made / "checkpoint.json", typed.build(CheckpointRecord, record, folders.out))
    return record


def recipe_of(spec: QuantizeSpec, folders: Folders) -> dict:
    """The toolkit's parameters; for a published checkpoint the folder that it lies in."""
    if spec.source != "published":
        return spec.recipe
    if folders.published is None:
        raise UserError("the spec takes a published checkpoint", "--published", "name the folder that holds it")
    return {"folder": str(folders.published)}


def quantize(name: str, recipe: dict, model: Path, readable: Path, calibration, made: Path) -> ExecutedRecipe:
    """Let a toolkit write its checkpoint, then restore the source's config and the tensors that should not have changed.

    `readable` is the model for the installed transformers (`compat.readable`).
    """
    toolkit = toolkits.module(name)
    if toolkits.links(name):
        return toolkit.quantize(model, recipe, calibration, made)
    executed = toolkit.quantize(readable, recipe, calibration, made)
    faults.refuse_not_finite(made, executed.parameters.get("calibrated_in") or compat.dtype(model) or "float32")
    compat.adopt_config(model, made)
    executed = names.adopt(made, executed)
    restored = len(compat.restore_unquantized(model, made, executed.smoothed))
    return dataclasses.replace(executed, parameters=executed.parameters | {"restored_tensors": restored})


def check_group_size(source: Tensors, scheme: Scheme, left_out: tuple[str, ...], model: str) -> None:
    """Refuse a group size that does not divide the model's input channels.

    Raises
    ------
    UserError
        Naming the first layer that cannot be cut into groups.
    """
    for name in sizes.linear_layers(source, left_out) if scheme.group_size > 0 else ():
        columns, size = source.shape(f"{name}.weight")[1], scheme.at(name).group_size
        if size > 0 and columns % size:
            raise UserError(
                f"{columns} input channels do not split into groups of {size}",
                f"{model}: {name}",
                "choose a group size that divides them, or one scale per channel",
            )


def calibrate(spec: QuantizeSpec, folders: Folders, model: Path):
    """Draw the calibration set, and refuse one that contains the held-out text."""
    from edge2giant.quantize import calibration

    if spec.calibration is None:
        return None
    drawn = calibration.load(spec.calibration, folders.calibration, model)
    if spec.calibration.reads_text:
        calibration.refuse_overlap(folders.calibration / "text.jsonl", folders.heldout / "text.jsonl")
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
    """Copy the model's own tokenizer files over whatever the toolkit wrote, so that all variants of a model get equal prompts."""
    for pattern in TOKENIZER_FILES:
        for path in Path(model_dir).glob(pattern):
            target = folder / path.name
            if path.is_file() and not target.is_symlink():
                shutil.copyfile(path, target)


def bring_notices(model_dir: Path, folder: Path) -> list[str]:
    """Copy the base model's licence and its card, which says what it is made of itself; return their names in the checkpoint."""
    paths = {path.name: path for pattern in NOTICES for path in sorted(Path(model_dir).glob(pattern)) if path.is_file()}
    paths |= {BASE_CARD: Path(model_dir, "README.md")} if Path(model_dir, "README.md").is_file() else {}
    for name, path in paths.items():
        if not (folder / name).is_symlink():
            shutil.copyfile(path, folder / name)
    return sorted(paths)


def validate(
    spec: QuantizeSpec, recipe: dict, scheme: Scheme, executed: ExecutedRecipe, folders: Folders, readable: Path, made: Path,
    digest: str,
) -> dict:  # fmt: skip
    """Run all checks; write `validation.json`, with which a serving engine can be compared. `digest` is the source model's.

    Raises
    ------
    UserError
        If a check fails.
    """
    from edge2giant.quantize.validation import checkpoint, likelihood

    samples = likelihood.heldout_tokens(folders.heldout, readable, spec.heldout)
    engine, toolkit = toolkits.validation_engine(spec.toolkit, recipe), toolkits.module(spec.toolkit)
    given = checkpoint.Given(readable, made, samples, scheme, executed, digest, folders.cache)
    return checkpoint.validate(given, engine, toolkit, folders.out)


def describe(
    spec: QuantizeSpec, scheme: Scheme, model: Path, source: dict[str, FileDigest], lock: Lock | None, executed: ExecutedRecipe,
    calibration, validation: dict, made: Path,
) -> dict:  # fmt: skip
    """Assemble the record of a valid checkpoint."""
    files, toolkit = checksums(made), toolkits.module(spec.toolkit)
    if lock:
        refuse_changed(model, source, lock)
    return {
        "schema": 2,
        "variant": asdict(spec.variant),
        "model": {
            "id": list(lock.id) if lock else [spec.repo],
            "revision": lock and lock.revision,
            "digest": digest_of(source),
            "licence": read.licence(model),
        },
        "recipe": {"spec": specs.digest(spec), "planned": typed.as_json(spec), "executed": typed.as_json(executed)},
        "toolkit": {
            "name": spec.toolkit,
            "packages": provenance.versions(toolkit.PACKAGES),
            "citation": toolkit.CITATION,
        },
        "calibration": calibration and calibration.record(),
        "size": {
            "weights_bytes": sizes.weight_bytes(made),
            "total_bytes": sum(entry.bytes for entry in files.values()),
            "nominal_bytes": sizes.nominal_bytes(Tensors(model), scheme, executed.ignore),
        },
        "files": typed.as_json(files),
        "digest": digest_of(files),
        "validation": validation,
        "environment": environment.record(),
        "made": provenance.now(),
    }


def refuse_changed(model: Path, found: dict[str, FileDigest], lock: Lock) -> None:
    """Refuse a checkpoint that was made of other bytes than were fetched.

    Raises
    ------
    UserError
        Naming the first file of the model that differs from its lock.
    """
    for name, entry in found.items():
        if lock.files.get(f"{model.name}/{name}", entry) != entry:
            raise UserError("differs from what was fetched", model / name, "delete the model's lock and fetch it anew")


def checksums(folder: Path) -> dict[str, FileDigest]:
    """Bytes and SHA-256 of the files that a loader reads (links followed)."""
    return {path.name: FileDigest.of(path) for path in digested(folder)}


def digested(folder: Path) -> list[Path]:
    """The files that a loader reads."""
    paths = {path for pattern in DIGESTED for path in Path(folder).glob(pattern) if path.is_file()}
    return sorted(path for path in paths if path.name not in NOT_DIGESTED)


def digest_of(files: dict[str, FileDigest]) -> str:
    """One SHA-256 for a set of files: over their names and contents."""
    return records.digest({name: entry.sha256 for name, entry in files.items()})


def verify(checkpoint_dir: Path, hashes: bool = True, copy: bool = False) -> CheckpointRecord:
    """Compare a checkpoint's files with its record, by size and with `hashes` by SHA-256, and return the record.

    Raises
    ------
    UserError
        If a file is missing, was changed or was added; a `copy` on a node's disk may be deleted, the next job makes it again.
    """
    record = records.read(checkpoint_dir / "checkpoint.json", CheckpointRecord)
    hint = f"delete {checkpoint_dir} and " + ("run again: it is a copy" if copy else "make it again")
    since = "since the checkpoint was made"
    store.compare_files(record.files, checkpoint_dir, f"is missing {since}", f"was changed {since}", hint, hashes)
    if added := [path for path in digested(checkpoint_dir) if path.name not in record.files]:
        raise UserError(f"was added {since}", added[0], hint)
    return record
