"""Make one tuned model: noise, distillation, measurement, the check of its grids, and only then put it in place."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from edge2giant import provenance, records, specs, store, typed
from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.quantize import compat, core, environment, sizes
from edge2giant.quantize.tensors import Tensors, write
from edge2giant.records.checkpoint import Durations, EnvironmentRecord, PeakMemory, SourceModel
from edge2giant.records.lock import Lock
from edge2giant.records.tuned import HeldoutMeasure, TunedRecord
from edge2giant.specs.tune import TuneSpec
from edge2giant.tune import card, grids, training, windows

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")
MADE_BY = "made by edge2giant.tune"


@dataclass(frozen=True)
class Making:
    """What was measured while a model was made."""

    device: str
    tokens: int
    losses: list[float]
    measured: dict[str, HeldoutMeasure]


def run(spec: TuneSpec, model: Path, lock: Path, texts: list[Path], out: Path) -> TunedRecord:
    """Make the model, and write its folder, its lock and its record.

    Raises
    ------
    UserError
        If the source or a text is not as its lock says, a loss is not finite, or the result is no nearer to its source than the
        noise left it or lies near a grid of 4 bits.
    """
    watch = environment.Watch()
    source = store.check(lock, lock.parent, hashes=True)
    for text in texts:
        store.check(text.with_name(f"{text.name}.lock.json"), text.parent, hashes=True)
    with core.staged(out) as made:
        with watch("calibration"):
            cut = windows.load(texts, model, spec.distillation.length, spec.distillation.heldout)
        with watch("quantize"), core.memory_explained(model):
            making = tune(spec, model, cut, made)
        with watch("validation"):
            near = {"source": grids.nearness(model), "tuned": grids.nearness(made)}
            grids.refuse_near(near["tuned"], spec.model)
        refuse_worse(making, spec.model)
        found = record(spec, model, source, cut, making, near, made, watch)
        (made / "README.md").write_text(card.text(found, spec), encoding="utf-8")
    written = store.make_lock(out.parent, [path for path in out.iterdir() if path.is_file()], [spec.repo], MADE_BY)
    records.write(out.with_name(f"{out.name}.tuned.json"), found)
    records.write(out.with_name(f"{out.name}.lock.json"), written)
    return found


def tune(spec: TuneSpec, model: Path, cut: windows.Windows, made: Path) -> Making:
    """Write the tuned weights, beside the source's other files, and measure source, noised and tuned model as they are stored."""
    import torch

    torch.manual_seed(spec.distillation.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layers = sizes.linear_layers(Tensors(model))
    with compat.readable(model) as readable:
        teacher, student = load(readable).to(device), load(readable)
        training.add_noise(student, layers, spec.noise, spec.distillation.seed)
        measured = {"source": measure(teacher, teacher, cut)}
        noised = stored_as(student.state_dict(), model)
        student.to(device)
        losses = training.distil(student, teacher, cut.training, spec.distillation)
        tuned = stored_as(student.state_dict(), model)
        copy_rest(model, made)
        save(tuned, model, made)
        for name, weights in (("noised", noised), ("tuned", tuned)):
            student.load_state_dict(weights, strict=False)
            measured[name] = measure(student, teacher, cut)
    tokens = spec.distillation.steps * spec.distillation.windows * spec.distillation.length
    return Making(device, tokens, losses, measured)


def refuse_worse(making: Making, name: str) -> None:
    """Refuse a model that distillation took further from its source than the noise had.

    Raises
    ------
    UserError
        With both divergences.
    """
    noised, tuned = (making.measured[stage].divergence for stage in ("noised", "tuned"))
    if tuned >= noised:
        what = f"is {tuned:.5f} nats a token from its source, the noise alone {noised:.5f}"
        raise UserError(what, name, "lower `learning_rate` of its `distillation` in config/models.yaml, or take more steps")


def load(folder: Path):
    """The model in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder), trust_remote_code=False, **compat.dtype_argument("float32")).eval()


def measure(model, teacher, cut: windows.Windows) -> HeldoutMeasure:
    found = training.measure(model, teacher, cut.heldout)
    return HeldoutMeasure(**{name: round(value, 6) for name, value in found.items()})


def stored_as(weights: dict, model: Path) -> dict:
    """Weights (torch, on the CPU) rounded to the types that the source's file has; what it does not store is left out."""
    source = Tensors(model)
    return {name: weights[name].detach().cpu().to(source.read(name).dtype) for name in source.names}


def save(stored: dict, model: Path, made: Path) -> None:
    """Write weights, in the types of the source, into files as the source has them."""
    source = Tensors(model)
    for path in source.paths:
        write(made / path.name, {name: stored[name] for name in source.names_in(path)})


def copy_rest(model: Path, made: Path) -> None:
    """Copy config, tokenizer and whatever else lies beside the weights."""
    for path in model.iterdir():
        if path.is_file() and path.suffix != ".safetensors" and not path.name.startswith("."):
            shutil.copyfile(path, made / path.name)


def record(
    spec: TuneSpec, model: Path, lock: Lock, cut: windows.Windows, making: Making, near: dict, made: Path,
    watch: environment.Watch,
) -> TunedRecord:  # fmt: skip
    """Describe what was made of what."""
    files, tenth = core.checksums(made), max(len(making.losses) // 10, 1)
    first, last = making.losses[:tenth], making.losses[-tenth:]
    return TunedRecord(
        schema=1,
        id=spec.repo,
        source=SourceModel(lock.id, lock.revision, core.digest_of(core.checksums(model)), read.licence(model)),
        texts=cut.texts,
        spec=specs.digest(spec),
        recipe=typed.as_json(spec),
        packages=provenance.versions(PACKAGES),
        device=environment.gpu_name() or "cpu",
        tokens=making.tokens,
        losses=(round(sum(first) / len(first), 6), round(sum(last) / len(last), 6)),
        measured=making.measured,
        grids=near,
        files=files,
        digest=core.digest_of(files),
        environment=EnvironmentRecord(**environment.record()),
        seconds=Durations(**watch.seconds),
        memory=PeakMemory(**environment.peak_memory()),
        made=provenance.now(),
    )
