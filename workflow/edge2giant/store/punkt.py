"""nltk's sentence tables (punkt_tab, English) out of the archive of its public repository, for IFEval."""

import zipfile
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.store import plain_name

REPOSITORY = "nltk/nltk_data"
ARCHIVE = "packages/tokenizers/punkt_tab.zip"
FOLDER = "punkt_tab/english/"
NEEDED = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")
LARGEST = 64 * 2**20


def arrange(raw: Path, into: Path) -> None:
    """Unpack `tokenizers/punkt_tab/english/` from `raw` into `into`: text tables alone, none outside, none larger than 64 MiB.

    Raises
    ------
    UserError
        If the archive is damaged, climbs out of its folder or lacks a table.
    """
    path = raw / ARCHIVE
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                plain_name(member.filename, path)
                if not member.is_dir() and member.filename.startswith(FOLDER):
                    _unpack(archive, member, into / "tokenizers" / member.filename)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"cannot be unpacked ({error})", path, "delete it and run the same command again") from None
    missing = [name for name in NEEDED if not (into / "tokenizers" / FOLDER / name).is_file()]
    if missing:
        raise UserError(
            f"lacks {', '.join(missing)}",
            path,
            "name another commit of nltk/nltk_data in config/benchmarks.yaml",
        )


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    if member.file_size > LARGEST:
        raise UserError(f"{member.filename} would be {member.file_size} bytes", archive.filename, "do not use this source")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive.read(member))
