"""Add a model: fetch its small files, read its facts, write its entry to config/models.yaml, or to my/models.yaml."""

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge2giant import ROOT, errors, records
from edge2giant.config import model_file, overlay
from edge2giant.config.models import Model
from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.models.facts import ModelFacts, differences, flat
from edge2giant.specs.acquire import FetchSpec, SourceService
from edge2giant.store import sources
from edge2giant.store.local import LocalModel
from edge2giant.store.selection import Listing

SMALL_FILES = (read.CONFIG, read.INDEX, *read.TEMPLATES, read.CARD)
OWN_BY_HAND = ("name", "licence", "gated", "nominal_billions")


def add(
    root: Path, repo: str, name: str | None, revision: str | None, service: SourceService, file: str = model_file.FILE
) -> tuple[str, ModelFacts]:
    """Write a model's entry to a file and return its name and facts. An entry that is `unverified` gets the model's own facts.

    Raises
    ------
    UserError
        If the name is taken, or the model cannot be fetched or read.
    """
    name, earlier = entry_of(model_file.read(root), repo, name)
    piece = FetchSpec("model", name, repo, revision or (earlier.revision if earlier else None), "", "")
    source = sources.choose(service)(piece)
    listing = source.listing(piece, piece.revision)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source.fetch(piece, listing.only(SMALL_FILES), folder)
        facts = read.read(folder, repo, source.tensors(listing, weights_of(listing, folder, repo)))
        entry = described(listing, folder, facts)
    if earlier:
        entry |= earlier.model_dump(include=set(OWN_BY_HAND), exclude_defaults=True)
        for key, typed, own in differences(flat(earlier.facts), flat(facts)):
            print(f"{name}: {key} was typed as {typed}, the model says {own}")
    model_file.write(root, name, entry, facts, file)
    return name, facts


def add_folder(root: Path, folder: Path) -> tuple[str, ModelFacts]:
    """Write the entry of a model in a folder of this machine to my/models.yaml, or keep it if its files are the same.

    Raises
    ------
    UserError
        If the name is another model's, or the files are not those of a model.
    """
    title = folder.resolve().name
    name = re.sub(r"[^a-z0-9._-]+", "-", title.lower()).strip("-._") or "model"
    known, repo = model_file.read(root), f"local/{title}".replace(" ", "-")
    name = name if name not in known or known[name].folder else f"local-{name}"
    earlier = known.get(name)
    if earlier and earlier.repo != repo:
        raise UserError(f"its name '{name}' is that of {earlier.repo}", folder, "rename the folder")
    piece = FetchSpec("model", name, repo, None, f"models/{name}", "")
    source = LocalModel(folder)
    listing = source.listing(piece, None)
    facts = read.read(folder, repo, source.tensors(listing, weights_of(listing, folder, repo)))
    if not (earlier and earlier.revision == listing.commit and earlier.folder == str(folder.resolve())):
        entry = described(listing, folder, facts) | {"folder": str(folder.resolve())}
        model_file.write(root, name, entry, facts, model_file.OWN)
    return name, facts


def entry_of(known: dict[str, Model], repo: str, name: str | None) -> tuple[str, Model | None]:
    """The name of the entry to write, and the unverified entry that it replaces."""
    of_repo = [one for one, entry in known.items() if entry.repo == repo]
    name = name or next(iter(of_repo), repo.rsplit("/", 1)[-1].lower())
    earlier = known.get(name)
    if earlier and (earlier.repo != repo or not earlier.unverified):
        hint = "give it another --name" if earlier.repo != repo else "delete the entry to add it anew"
        raise UserError(f"'{name}' is there already, for {earlier.repo}", model_file.FILE, hint)
    return name, earlier


def weights_of(listing: Listing, folder: Path, repo: str) -> list[str]:
    """Names of the files of weights: those of the index, else all safetensors files."""
    return read.shards(folder, repo) or [name for name in listing.files if name.endswith(".safetensors")]


def described(listing: Listing, folder: Path, facts: ModelFacts) -> dict[str, Any]:
    """The entry but for its facts."""
    title = listing.repo.rsplit("/", 1)[-1]
    return {
        "name": title,
        "repo": listing.repo,
        "revision": listing.commit,
        "licence": read.licence(folder) or "not stated",
        "gated": listing.gated,
        "nominal_billions": nominal_billions(title, facts.parameters),
        "config_sha256": records.file_sha256(folder / read.CONFIG),
    }


def nominal_billions(title: str, parameters: int) -> float:
    """The size in a model's name, such as 0.135 of `SmolLM2-135M`; of a name without one, its parameters."""
    found = re.search(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)(b|m)(?![a-z0-9])", title.lower())
    size = float(found[1]) / (1000 if found[2] == "m" else 1) if found else float(f"{parameters / 1e9:.3g}")
    return int(size) if size == int(size) else size


def main() -> None:
    top = argparse.ArgumentParser(prog="python -m edge2giant.add_model", description=__doc__)
    top.add_argument("repo", metavar="ORG/NAME", help="id on the Hugging Face hub")
    top.add_argument("--name", help="of the entry; the repository's, in small letters, if left out")
    top.add_argument("--revision", help="commit or branch; the newest commit if left out")
    top.add_argument("--mirror", metavar="FOLDER_OR_URL", help="folder of hub ids or address of a hub; else that of config.yaml")
    top.add_argument("--token-file", metavar="FILE", help="file that holds the hub token; else that of config.yaml")
    options = top.parse_args()
    configured = overlay.read(ROOT, "config").content
    mirror, token_file = options.mirror or configured.get("mirror"), options.token_file or configured.get("token_file")
    service = SourceService(mirror, token_file)
    name, facts = add(ROOT, options.repo, options.name, options.revision, service)
    template = "with" if facts.chat_template else "without"
    print(f"{model_file.FILE}: {name}, {facts.model_type}, {facts.parameters:,} parameters, {template} a chat template")
    print(f"next: name it under `models` of a study, and run snakemake plan; acquire then fetches {options.repo}")


if __name__ == "__main__":
    sys.exit(errors.run(main))
