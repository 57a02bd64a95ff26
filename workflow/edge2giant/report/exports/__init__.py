"""Scores as files for other tools: Hugging Face, Every Eval Ever and RO-Crate."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.report import gather
from edge2giant.specs.study import StudySpec


def write(spec: StudySpec, cells: Iterable[str], out: Path) -> list[Path]:
    """Write every export of some cells (records, or folders of them) into a folder, whose other files stay.

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

    paths = gather.files(cells)
    made = frames.read_cells(paths, spec.study)
    if not made:
        raise UserError("no cell is given", "--cells", "give the cells of one study")
    variants = defaultdict(list)
    for record in made:
        variants[record.cell.variant].append(record)
    written = [path for cells in variants.values() for path in hugging_face.write(spec, cells, out / "hugging_face")]
    written += [every_eval_ever.write(spec, cells, out / "every_eval_ever") for cells in variants.values()]
    return [*written, crate.write(spec, dict(zip(paths, made, strict=True)), written, out)]
