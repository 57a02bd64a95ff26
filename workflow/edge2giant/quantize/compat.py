"""Differences between generations of transformers and of their files.

Standard library only, but for the function that rewrites tensors.
"""

import contextlib
import json
import tempfile
from importlib import metadata
from pathlib import Path

from edge2giant.records.checkpoint import SmoothedMapping

STORED = {"float16": "F16", "bfloat16": "BF16"}
"""Names of safetensors."""


def read_config(folder: Path) -> dict:
    return json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))


def write_config(folder: Path, config: dict) -> None:
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (Path(folder) / "config.json").write_text(text, encoding="utf-8")


def dtype(folder: Path) -> str | None:
    """The type a model says its weights have (`dtype` since transformers 5, `torch_dtype` before)."""
    config = read_config(folder)
    return config.get("dtype", config.get("torch_dtype"))


def transformers_major() -> int:
    return int(metadata.version("transformers").split(".")[0])


def dtype_argument(name: str) -> dict[str, str]:
    """The keyword argument of `from_pretrained` for the type of the weights."""
    return {"dtype" if transformers_major() >= 5 else "torch_dtype": name}


def widen(model, name: str) -> str:
    """Bring weights that transformers left in 16 bits to a model's type, and return the least precise type that they had.

    transformers 5 loads tensors of a compressed checkpoint that it renames (output layers, routers) or joins (experts) in their
    own type, whatever type is asked for.
    """
    import torch

    wanted, found = getattr(torch, name), {name}
    for module in model.modules():
        for key, one in list(module.named_parameters(recurse=False)):
            if one.dtype in (torch.float16, torch.bfloat16) and one.dtype != wanted:
                found.add(str(one.dtype).removeprefix("torch."))
                setattr(module, key, torch.nn.Parameter(one.detach().to(wanted), requires_grad=False))
    return next(dtype for dtype in ("bfloat16", "float16", name) if dtype in found)


def adopt_config(model_dir: Path, out_dir: Path) -> None:
    """Give a checkpoint its source model's config, with the description of the quantization that the toolkit wrote.

    An old toolkit writes an old config, and some leave traces of their own run (another dtype, `use_cache` off).
    """
    written = read_config(out_dir)
    config = read_config(model_dir)
    config["quantization_config"] = written["quantization_config"]
    write_config(out_dir, config)


def restore_unquantized(model_dir: Path, out_dir: Path, smoothed: tuple[SmoothedMapping, ...]) -> list[str]:
    """Put the source's own values back into every unquantized tensor but those of layers that were smoothed.

    AutoRound and GPTQModel store such tensors as BF16, which drops three bits of a model in F16; on a machine without accelerator
    llmcompressor calibrates in F32. For norms that add one to their weight llmcompressor stores 1 + w while it runs and subtracts
    it again, which loses bits. Tensors of smoothed layers get the type of the model.

    Returns
    -------
    list of str
        Names of the tensors that were not stored as the source has them.
    """
    import torch

    from edge2giant import schemes
    from edge2giant.quantize.tensors import Tensors, write

    source, restored, kept = Tensors(model_dir), [], schemes.of_checkpoint(out_dir).stays_float32
    moved = {name for one in smoothed for name in (one.smooth_layer, *one.balance_layers)}
    own = STORED.get(dtype(model_dir), "F32")
    for path in sorted(Path(out_dir).glob("*.safetensors")):
        made, stored, changed = Tensors(out_dir), {}, []
        for name in made.names_in(path):
            stored[name] = values = made.read(name)
            wide = made.dtype(name) in ("F32", "F16", "BF16")
            if wide and name in source and values.shape == source.shape(name) and name.rpartition(".")[0] not in moved:
                stored[name] = source.read(name)
            elif made.dtype(name) == "F32" and own != "F32" and not name.endswith(kept):
                stored[name] = values.to(getattr(torch, dtype(model_dir)))
            new = stored[name]
            if new is not values and (new.dtype != values.dtype or not torch.equal(new, values)):
                changed.append(name)
        if changed:
            beside = path.with_suffix(".restored")
            write(beside, stored)
            beside.replace(path)
        restored += changed
    return restored


@contextlib.contextmanager
def readable(folder: Path):
    """Give a folder that the installed transformers reads: the same one, or links beside rewritten JSON files.

    transformers 4 takes a config of transformers 5 without complaint and overlooks what it does not know, such as the rotary base
    in `rope_parameters`; so the keys are written the old way for it.
    """
    if transformers_major() >= 5 or not written_by_transformers5(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as name:
        view = Path(name)
        for path in Path(folder).iterdir():
            (view / path.name).symlink_to(path.resolve())
        replace_json(view / "config.json", old_config(read_config(folder)))
        tokenizer = view / "tokenizer_config.json"
        if tokenizer.exists():
            replace_json(tokenizer, old_tokenizer(json.loads(tokenizer.read_text(encoding="utf-8"))))
        yield view


def written_by_transformers5(folder: Path) -> bool:
    """Say whether a config has keys that only transformers 5 knows."""
    return bool({"rope_parameters", "dtype"} & read_config(folder).keys())


def replace_json(path: Path, content: dict) -> None:
    """Put a file in place of a link."""
    path.unlink()
    path.write_text(json.dumps(content), encoding="utf-8")


def old_config(config: dict) -> dict:
    """Write a config's keys the way transformers 4 reads them."""
    old = dict(config)
    if "dtype" in old:
        old["torch_dtype"] = old.pop("dtype")
    rope = dict(old.pop("rope_parameters", None) or {})
    if rope:
        old["rope_theta"] = rope.pop("rope_theta", 10000.0)
        old["rope_scaling"] = None if rope.get("rope_type", "default") == "default" else rope
    return old


def old_tokenizer(config: dict) -> dict:
    """Write a tokenizer's config the way transformers 4 reads it."""
    old = {key: value for key, value in config.items() if key not in ("backend", "is_local")}
    if old.get("tokenizer_class") == "TokenizersBackend":
        old["tokenizer_class"] = "PreTrainedTokenizerFast"
    return old
