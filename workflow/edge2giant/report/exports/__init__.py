"""Scores as files for other tools: Hugging Face, Every Eval Ever and RO-Crate."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.report import gather
from edge2giant.specs.study import StudySpec


def write(spec: StudySpec, cells: Iterable[str], out: Path) -> list[Path]:
    """Write every export of some cells into a folder.

    Parameters
    ----------
    spec : StudySpec
    cells : iterable of path
        Cell records of the study, or folders of them.
    out : Path
        Folder to write; other files in it stay.

    Returns
    -------
    list of Path
        Files written, the RO-Crate's metadata last.

    Raises
    ------
    UserError
        If a record is unreadable, there is none, or one is of another study.
    """
    from edge2giant.report.exports import crate, every_eval_ever, hugging_face

    paths = [Path(path) for path in gather.files(cells)]
    records = frames.read_cells(paths, spec.study)
    if not records:
        raise UserError("no cell is given", "--cells", "give the cells of one study")
    variants = defaultdict(list)
    for record in records:
        variants[record["cell"]["model"], record["cell"]["method"], record["cell"]["bits"]].append(record)
    written = [path for made in variants.values() for path in hugging_face.write(spec, made, out / "hugging_face")]
    written += [every_eval_ever.write(spec, made, out / "every_eval_ever") for made in variants.values()]
    return [*written, crate.write(spec, records, paths, written, out)]
