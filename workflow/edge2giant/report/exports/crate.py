"""The run as an RO-Crate (1.1, Process Run Crate profile): cells, what made them, and the exports beside them."""

from collections import Counter
from pathlib import Path

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from edge2giant import records
from edge2giant.report.exports import hugging_face
from edge2giant.specs.study import StudySpec

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
PAPER = "https://arxiv.org/abs/2409.11055"
METADATA = "ro-crate-metadata.json"


def _profile(crate: ROCrate) -> None:
    entity = ContextEntity(crate, PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"})
    crate.root_dataset["conformsTo"] = crate.add(entity)


def _software(crate: ROCrate, made: list[dict]) -> list[ContextEntity]:
    """Engines and packages that took part, each version once."""
    versions = Counter(pair for record in made for pair in record["provenance"]["packages"].items())
    versions.update((record["engine"]["name"], record["engine"]["version"]) for record in made)
    return [
        crate.add(
            ContextEntity(
                crate,
                f"#software/{name}/{version}",
                {"@type": "SoftwareApplication", "name": name, "softwareVersion": str(version)},
            )
        )
        for name, version in sorted(versions, key=str)
    ]


def _datasets(crate: ROCrate, spec: StudySpec, made: list[dict]) -> dict[str, ContextEntity]:
    found = {}
    for benchmark, record in {record["cell"]["benchmark"]: record for record in made}.items():
        name, called, revision = hugging_face.dataset_of(spec, record)
        properties = {"@type": "Dataset", "name": called, "identifier": name, "version": revision}
        found[benchmark] = crate.add(ContextEntity(crate, f"#dataset/{benchmark}", properties))
    return found


def _checkpoint(crate: ROCrate, record: dict) -> ContextEntity:
    cell, weights = record["cell"], record["checkpoint"]
    place = f"{cell['model']}/{cell['method']}/{cell['bits']}"
    properties = {"@type": "Dataset", "name": place, "identifier": weights["digest"], "contentSize": str(weights["bytes"])}
    return crate.add(ContextEntity(crate, f"#checkpoint/{place}", properties))


def _cell_file(crate: ROCrate, record: dict, path: Path):
    cell = record["cell"]
    place = f"cells/{cell['model']}/{cell['method']}/{cell['bits']}/{cell['benchmark']}.json"
    properties = {
        "name": f"score of {cell['model']} {cell['method']}/{cell['bits']} on {cell['benchmark']}",
        "encodingFormat": "application/json",
        "sha256": records.file_sha256(path),
        "contentSize": str(path.stat().st_size),
        "dateModified": record["provenance"]["finished"],
    }
    return crate.add_file(path, place, properties=properties)


def _action(crate: ROCrate, record: dict, instruments: list, objects: list, result) -> None:
    cell, made = record["cell"], record["provenance"]
    place = f"{cell['model']}/{cell['method']}/{cell['bits']}/{cell['benchmark']}"
    changed = ", changed tree" if made["git_dirty"] else ""
    properties = {
        "@type": "CreateAction",
        "name": f"evaluation of {place}",
        "startTime": made["started"],
        "endTime": made["finished"],
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        "description": f"fingerprint {made['fingerprint']}, commit {made['git_commit'] or 'unknown'}{changed}",
    }
    action = crate.add(ContextEntity(crate, f"#evaluation/{place}", properties))
    action["instrument"], action["object"], action["result"] = instruments, objects, [result]
    crate.root_dataset.append_to("mentions", action)


def write(spec: StudySpec, made: list[dict], paths: list[Path], extra: list[Path], out: Path) -> Path:
    """Write the crate into a folder: its metadata, and a copy of each cell record.

    Parameters
    ----------
    spec : StudySpec
    made : list of dict
        Cell records.
    paths : list of Path
        Their files.
    extra : list of Path
        Files that already lie in `out` and belong to the crate.
    out : Path

    Returns
    -------
    Path
        `ro-crate-metadata.json`.
    """
    study = made[0]["cell"]["study"]
    crate = ROCrate(version="1.1")
    crate.name = f"edge2giant, study {study}"
    crate.description = f"{len(made)} regenerated scores of arXiv 2409.11055 (study {study}), with what made each of them."
    crate.root_dataset["datePublished"] = max(record["provenance"]["finished"] for record in made)
    crate.root_dataset["license"] = "The records are facts; licences of models and data sets are those of their authors."
    crate.root_dataset["citation"] = crate.add(
        ContextEntity(crate, PAPER, {"@type": "ScholarlyArticle", "name": "Exploring the Trade-Offs"})
    )
    _profile(crate)
    software = {entity.id: entity for entity in _software(crate, made)}
    datasets = _datasets(crate, spec, made)
    checkpoints: dict[str, ContextEntity] = {}
    for record, path in zip(made, paths, strict=True):
        digest = record["checkpoint"]["digest"]
        weights = checkpoints.setdefault(f"{record['cell']['model']}/{digest}", None) or _checkpoint(crate, record)
        checkpoints[f"{record['cell']['model']}/{digest}"] = weights
        used = [*record["provenance"]["packages"].items(), (record["engine"]["name"], record["engine"]["version"])]
        instruments = [software[f"#software/{name}/{version}"] for name, version in dict.fromkeys(used)]
        result = _cell_file(crate, record, path)
        _action(crate, record, instruments, [weights, datasets[record["cell"]["benchmark"]]], result)
    for path in extra:
        crate.add_file(path, path.relative_to(out).as_posix(), properties={"name": path.name})
    crate.write(out)
    return out / METADATA
