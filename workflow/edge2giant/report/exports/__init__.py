"""Scores as files for other tools: Hugging Face, Every Eval Ever and RO-Crate."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from edge2giant import grid
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.report import gather


def write(cells: Iterable[str], config: str | Path, out: Path) -> list[Path]:
    """Write every export of some cells into a folder.

    Parameters
    ----------
    cells : iterable of path
        Cell records of one study, or folders of them.
    config : path
        The project's config folder.
    out : Path
        Folder to write; what other exports left there stays.

    Returns
    -------
    list of Path
        Files written, the RO-Crate's metadata last.

    Raises
    ------
    UserError
        If a record is unreadable, there is none, or they are of several studies.
    """
    from edge2giant.report.exports import crate, every_eval_ever, hugging_face

    paths = [Path(path) for path in gather.files(cells)]
    records = frames.read_cells(paths)
    studies = sorted({record["cell"]["study"] for record in records})
    if len(studies) != 1:
        what = "no cell is given" if not studies else f"cells of several studies are mixed: {', '.join(studies)}"
        raise UserError(what, "--cells", "give the cells of one study")
    house = grid.load(Path(config).resolve().parent)
    rows = defaultdict(list)
    for record in records:
        rows[record["cell"]["model"], record["cell"]["method"], record["cell"]["bits"]].append(record)
    written = [path for row in rows.values() for path in hugging_face.write(house, row, out / "hugging_face")]
    written += [every_eval_ever.write(house, row, out / "every_eval_ever") for row in rows.values()]
    return [*written, crate.write(house, records, paths, written, out)]
