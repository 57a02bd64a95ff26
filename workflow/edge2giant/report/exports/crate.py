"""The run as an RO-Crate (1.1, Process Run Crate profile): cells, what made them, and the exports beside them."""

from pathlib import Path

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from edge2giant import records
from edge2giant.records.cell import CellRecord
from edge2giant.report.exports import hugging_face
from edge2giant.specs.study import StudySpec

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
PAPER = "https://arxiv.org/abs/2409.11055"
COMPLETED = {"@id": "http://schema.org/CompletedActionStatus"}
METADATA = "ro-crate-metadata.json"
LICENSE = "The records are facts; licences of models and data sets are those of their authors."


def _add(crate: ROCrate, identity: str, kind: str, **properties: object) -> ContextEntity:
    return crate.add(ContextEntity(crate, identity, {"@type": kind, **properties}))


def _used(record: CellRecord) -> list[tuple[str, str]]:
    """Packages and the engine that made a cell, with their versions, each once."""
    engine = record.engine
    return list(dict.fromkeys([*record.provenance.packages.items(), (engine.name, engine.version)]))


def _place(record: CellRecord) -> str:
    return f"{record.cell.variant.path}/{record.cell.benchmark}"


def _dataset(crate: ROCrate, spec: StudySpec, record: CellRecord) -> ContextEntity:
    name, called, revision = hugging_face.dataset_of(spec, record)
    identity = f"#dataset/{record.cell.benchmark}"
    return _add(crate, identity, "Dataset", name=called, identifier=name, version=revision)


def _checkpoint(crate: ROCrate, record: CellRecord) -> ContextEntity:
    place, weights = record.cell.variant.path, record.checkpoint
    size = str(weights.bytes)
    return _add(crate, f"#checkpoint/{place}", "Dataset", name=place, identifier=weights.digest, contentSize=size)


def _cell_file(crate: ROCrate, record: CellRecord, path: Path):
    cell = record.cell
    properties = {
        "name": f"score of {cell.model} {cell.method}/{cell.bits} on {cell.benchmark}",
        "encodingFormat": "application/json",
        "sha256": records.file_sha256(path),
        "contentSize": str(path.stat().st_size),
        "dateModified": record.provenance.finished,
    }
    return crate.add_file(path, f"cells/{_place(record)}.json", properties=properties)


def _action(crate: ROCrate, record: CellRecord) -> ContextEntity:
    made = record.provenance
    changed = ", changed tree" if made.git_dirty else ""
    description = f"fingerprint {made.fingerprint}, commit {made.git_commit or 'unknown'}{changed}"
    properties = {"name": f"evaluation of {_place(record)}", "startTime": made.started, "endTime": made.finished}
    properties |= {"actionStatus": COMPLETED, "description": description}
    return _add(crate, f"#evaluation/{_place(record)}", "CreateAction", **properties)


def write(spec: StudySpec, made: dict[Path, CellRecord], extra: list[Path], out: Path) -> Path:
    """Write the crate: its metadata, whose path is returned, and a copy of each cell record.

    Parameters
    ----------
    made : dict
        Cell records by their files.
    extra : list of Path
        Files that already lie in `out` and belong to the crate.
    """
    cells = list(made.values())
    crate = ROCrate(version="1.1")
    crate.name = f"edge2giant, study {spec.study}"
    crate.description = f"{len(cells)} regenerated scores of arXiv 2409.11055 (study {spec.study}), with what made each of them."
    root = crate.root_dataset
    root["datePublished"] = max(record.provenance.finished for record in cells)
    root["license"] = LICENSE
    root["citation"] = _add(crate, PAPER, "ScholarlyArticle", name="Exploring the Trade-Offs")
    root["conformsTo"] = _add(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    versions = sorted({pair for record in cells for pair in _used(record)}, key=str)
    software = {
        pair: _add(crate, "#software/{}/{}".format(*pair), "SoftwareApplication", name=pair[0], softwareVersion=str(pair[1]))
        for pair in versions
    }
    one_of_each = {record.cell.benchmark: record for record in cells}
    datasets = {benchmark: _dataset(crate, spec, record) for benchmark, record in one_of_each.items()}
    checkpoints: dict[tuple[str, str], ContextEntity] = {}
    for path, record in made.items():
        weights = (record.cell.model, record.checkpoint.digest)
        if weights not in checkpoints:
            checkpoints[weights] = _checkpoint(crate, record)
        result = _cell_file(crate, record, path)
        action = _action(crate, record)
        action["instrument"] = [software[pair] for pair in _used(record)]
        action["object"] = [checkpoints[weights], datasets[record.cell.benchmark]]
        action["result"] = [result]
        root.append_to("mentions", action)
    for path in extra:
        crate.add_file(path, path.relative_to(out).as_posix(), properties={"name": path.name})
    crate.write(out)
    return out / METADATA
