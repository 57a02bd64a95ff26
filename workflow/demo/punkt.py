"""A stand-in for nltk's English sentence splitter (punkt_tab), for tests without network access.

Trained by nltk's own trainer on generated sentences; shipped, so that making a store needs no nltk.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from .words import ANIMALS, COLOURS, NAMES, PLACES, THINGS

SHIPPED = Path(__file__).with_name("punkt_tab_stand_in")
PLACE = Path("nltk", "tokenizers", "punkt_tab", "english")
README = """# Stand-in, not punkt_tab

Parameters of a sentence splitter in the files of nltk's `punkt_tab`, trained by
`python -m demo punkt` with nltk's own `PunktTrainer` on generated sentences.
It lets lm-eval's IFEval run without a download. Its splits are NOT those of the real punkt_tab:
never use it for a score that is to be compared.
"""


def install(store: Path) -> list[Path]:
    """Copy the shipped stand-in to ``store/nltk/tokenizers/punkt_tab/english``; return the files."""
    folder = store / PLACE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [Path(shutil.copyfile(path, folder / path.name)) for path in sorted(SHIPPED.iterdir())]


def train(folder: Path, seed: int = 0) -> None:
    """Train the stand-in and write its files into ``folder`` (needs nltk)."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NLTK_DATA"] = str(folder.resolve())  # nltk refuses to write elsewhere; read on import
    from nltk.tokenize.punkt import PunktTrainer, save_punkt_params

    trainer = PunktTrainer()
    trainer.INCLUDE_ALL_COLLOCS = True
    trainer.train(_sentences(random.Random(f"{seed}/punkt")), finalize=False)
    trainer.finalize_training()
    save_punkt_params(trainer.get_params(), dir=str(folder.resolve()))
    _sort_lines(folder)
    (folder / "README.md").write_text(README, encoding="utf-8")


def _sort_lines(folder: Path) -> None:
    """Order the written sets, which nltk writes in hash order."""
    for path in folder.iterdir():
        if path.suffix in (".txt", ".tab"):
            lines = path.read_text(encoding="utf-8").splitlines()
            path.write_text("\n".join(sorted(lines)), encoding="utf-8")


def _sentences(rng: random.Random) -> str:
    made = []
    for _ in range(400):
        name, other = rng.sample(NAMES, 2)
        made += [
            f"{name} has a {rng.choice(COLOURS)} {rng.choice(THINGS)}.",
            f"Mr. {other} saw the {rng.choice(ANIMALS)} in the {rng.choice(PLACES)}.",
            f"Dr. {name} and {other} left.",
        ]
    return " ".join(made)
