"""Mistakes of a user as a table: what is done, and what the message must say.

Each case prepares a folder (a `Room`) and names a command; test_bad_input.py runs it.
"""

import contextlib
import importlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import acquire_cli
import judge_material
import quantize_model
from edge2giant import config, errors, plan, records, specs, store
from edge2giant.plan import acquire as acquiring
from edge2giant.plan import evaluate, quantize, repeats
from edge2giant.plan.score import score_spec
from edge2giant.plan.study import study_spec
from edge2giant.records.cell import CheckpointSummary, Manifest
from edge2giant.specs.evaluate import BenchmarkSpec, EngineSpec, EvaluateSpec, TasksSpec
from edge2giant.specs.variant import Variant
from factories import make_cell

ROOT = Path(__file__).resolve().parent.parent

BYTES = bytes(range(256)) * 8
# What is meant to outlive a failure: downloads that are gone on with, locks of the answer cache, and the record of a failure.
KEPT = re.compile(r"(^|/)\.[^/]*\.partial/|^(answer_cache|judgment_cache|failures)/")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
AREAS = {
    "config": "`config/config.yaml` and `--config`",
    "study": "`config/studies/*.yaml`",
    "tables": "the other files of `config/`",
    "store": "the store, locks and mirrors",
    "checkpoint": "checkpoints and schemes",
    "evaluation": "evaluations and cells",
    "judge": "MT-Bench and its judge",
    "command": "command lines",
    "environment": "the environment",
}


class Room:
    """A folder of its own for one case, with a copy of `config/`."""

    def __init__(self, path: Path):
        self.path = path
        shutil.copytree(ROOT / "config", path / "config", ignore=shutil.ignore_patterns("miniature", "lock"))

    def edit(self, name: str, old: str, new: str, count: int = 1) -> None:
        path = self.path / "config" / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r} any more"
        path.write_text(text.replace(old, new, count), encoding="utf-8")

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def json(self, name: str, value: object) -> Path:
        return self.write(name, json.dumps(value))

    def mirror(self, repo: str = "org/tiny", **files: bytes) -> Path:
        for name, data in (files or {"model.safetensors": BYTES, "config.json": b"{}"}).items():
            self.write(f"mirror/{repo}/{name}", data)
        return self.path / "mirror"

    def stored(self) -> Path:
        """A locked model in the store; returns its lock."""
        files = [
            self.write("store/models/tiny/model.safetensors", BYTES),
            self.write("store/models/tiny/config.json", "{}"),
        ]
        lock = self.path / "store/models/tiny.lock.json"
        records.write(lock, store.make_lock(lock.parent, files, ["org/tiny"], "hub", COMMIT))
        return lock

    def cell(self, **changes) -> Path:
        return self.json("cell.json", make_cell(**changes))


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes
    ----------
    area : str
        Key of `AREAS`.
    mistake : str
        What the user does.
    prepare : callable
        Takes the room; returns the command line, or a function to call.
    says : tuple of str
        What the message must hold.
    """

    area: str
    mistake: str
    prepare: Callable[[Room], list | Callable]
    says: tuple[str, ...]


CASES: list[Case] = []


def case(area: str, mistake: str, *says: str):
    """Add the decorated preparation to the table."""

    def add(prepare):
        CASES.append(Case(area, mistake, prepare, says))
        return prepare

    return add


def listing(room: Room) -> dict[str, bytes]:
    """Every file of a room with its content."""
    return {
        p.relative_to(room.path).as_posix(): p.read_bytes()
        for p in sorted(room.path.rglob("*"))
        if p.is_file() and not p.is_symlink() and not KEPT.search(p.relative_to(room.path).as_posix())
    }


def run(one: Case, folder: Path) -> tuple[int, str, bool]:
    """Make the mistake in a folder; returns exit code, message (without the folder's name), and whether anything was written."""
    room = Room(folder)
    command = one.prepare(room)
    before = listing(room)
    output = io.StringIO()
    defaults, here, given, variables = config.load.__defaults__, Path.cwd(), sys.argv, dict(os.environ)
    try:
        config.load.__defaults__ = (folder,)
        os.chdir(folder)
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(io.StringIO()):
            code = _call(command)
    finally:
        config.load.__defaults__ = defaults
        os.chdir(here)
        sys.argv = given
        os.environ.clear()
        os.environ.update(variables)
    text = output.getvalue().replace(f"{folder}/", "").replace(str(folder), ".").replace(f"{ROOT}/", "")
    return code, text, listing(room) != before


def _call(command: list | Callable) -> int:
    if callable(command):
        return errors.run(command)
    module = importlib.import_module(f"edge2giant.{command[0]}")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"edge2giant.{command[0]}.__main__")
    sys.argv = [command[0], *map(str, command[1:])]
    try:
        return errors.run(module.main)
    except SystemExit as leaving:
        return int(leaving.code or 0)


def message(text: str) -> str:
    """The line that says what is wrong; the command line's parser prints its usage before."""
    return text.strip().splitlines()[-1] if text.strip() else ""


def loading() -> Callable:
    """Reads all of `config/`."""
    return lambda: config.load() and None


def planning() -> Callable:
    """Reads all of `config/` and checks it as Snakemake does when it starts."""

    def start():
        found = config.load()
        quantize.check(found)
        repeats.check(found)

    return start


def overview(study: str, *options: str) -> list[str]:
    return ["plan.overview", "--study", study, "--out", "out.csv", *options]


# --- config.yaml -------------------------------------------------------------------------------------------------------

GOOD = {"study": "miniature", "batch": "suite", "results": "results", "figures": "paper_figures"}


def config_case(mistake: str, changes: dict, *says: str) -> None:
    merged = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    case("config", mistake, *says)(lambda room: lambda: plan.open_plan(merged, root=room.path) and None)


config_case(
    "a study that does not exist",
    {"study": "papr"},
    "unknown study 'papr'",
    "miniature, paper, paper-cpu, paper2024, schemes, schemes-vllm, smoke",
)
config_case("no study", {"study": ...}, "'study' is missing", "config/config.yaml")
config_case(
    "a batch size that does not exist",
    {"batch": "cell"},
    "batch: 'cell' should be 'auto', 'suite', 'checkpoint' or 'benchmark'",
    "config/config.yaml",
)
config_case("a key that is not there", {"bach": "suite"}, "unknown key 'bach'; did you mean 'batch'? known keys: study, batch")
config_case(
    "an absolute folder of results",
    {"results": "/data/results"},
    "results: '/data/results'",
    "config/config.yaml",
)
config_case("a home folder for the figures", {"figures": "~/figures"}, "figures: '~/figures'", "config/config.yaml")
config_case("a number as a study", {"study": 405}, "study: 405 should be a text")
config_case("an empty mirror", {"mirror": ""}, "mirror: ''")


@case("config", "a cluster that does not exist", "unknown cluster 'lab'", "choose one of: one-24gb, paper")
def _(room):
    return lambda: plan.open_plan(GOOD | {"cluster": "lab"}, root=room.path) and None


@case(
    "config",
    "a cell of a row that the study does not have",
    "unknown variant 'tiny-2m/awq/w4a16'",
    "config/studies/smoke.yaml",
)
def _(room):
    class Wildcards:
        study, model, method, bits, batch = "smoke", "tiny-2m", "awq", "w4a16", "mt_bench"

    return lambda: quantize.checkpoint(plan.Plan(config.load(), None), Wildcards) and None


@case(
    "config",
    "a batch that is none of the row's",
    "no batch 'leaderboard_v3'",
    "leaderboard_v1, leaderboard_v2, mt_bench, fidelity, all",
)
def _(room):
    class Wildcards:
        study, model, method, bits, batch = "smoke", "tiny-0.4m", "fp16", "w16a16", "leaderboard_v3"

    return lambda: evaluate.benchmarks(plan.open_plan(GOOD), Wildcards) and None


@case("config", "keep_checkpoints that is neither true nor false", "keep_checkpoints: 'maybe' should be true or false")
def _(room):
    return lambda: plan.open_plan(GOOD | {"keep_checkpoints": "maybe"}, root=room.path) and None


@case(
    "config",
    "a checkpoint path with an old digest",
    "no study has a checkpoint with digest 0123456789ab",
)
def _(room):
    class Wildcards:
        model, method, bits, digest = "tiny-0.4m", "fp16", "w16a16", "0123456789ab"

    return lambda: quantize.spec(plan.Plan(config.load(), None), Wildcards) and None


def policy_case(mistake: str, policy: str, *says: str) -> None:
    @case("config", mistake, "config/policies.yaml, mine", *says)
    def prepare(room):
        room.edit("policies.yaml", "usual:\n", f"mine: {policy}\nusual:\n")
        return loading()


policy_case("a policy of nothing", "{title: x}", "holds a variant to nothing")
policy_case("a policy with a typo", "{title: x, suits: {}}", "unknown key 'suits'; did you mean 'suites'?")
policy_case("a suite without an average", "{title: x, suites: {fidelity: {largest: 1}}}", "fidelity has no average", "wikitext")
policy_case("a wire whose limits are exchanged", "{title: x, loops: {warn: 0.2, block: 0.1}}", "`warn` is above `block`")
policy_case("a negative loss", "{title: x, benchmarks: {gsm8k: {largest: -1}}}", "largest: -1")
policy_case("a loss of no benchmark", "{title: x, benchmarks: {gms8k: {largest: 1}}}", "unknown benchmark 'gms8k'")


@case("config", "a policy that is not there", "unknown policy 'mine'", "strict, usual")
def _(room):
    return lambda: plan.open_plan(GOOD | {"policy": "mine"}, root=room.path) and None


# --- studies -----------------------------------------------------------------------------------------------------------


def study_case(mistake: str, old: str, new: str, *says: str) -> None:
    @case("study", mistake, "config/studies/smoke.yaml", *says)
    def prepare(room):
        room.edit("studies/smoke.yaml", old, new)
        return loading()


study_case("a key with a typo", "source:", "sauce:", "unknown key 'sauce'; did you mean 'source'?")
study_case(
    "a protocol that does not exist",
    "protocol: paper",
    "protocol: papr",
    "unknown protocol 'papr'",
    "leaderboard, paper",
)
study_case("a stack that does not exist", "stack: cpu", "stack: gpu", "unknown stack 'gpu'", "cpu, cpu-vllm, cpu2024, current")
study_case("a study to extend that does not exist", "stack: cpu", "extends: papr", "unknown study to extend 'papr'", "paper")
study_case("a judge that does not exist", "judge: miniature", "judge: gpt-5", "unknown judge 'gpt-5'", "gpt-4")
study_case(
    "a calibration set that does not exist",
    "calibration: miniature",
    "calibration: c4",
    "unknown calibration set 'c4'",
)
study_case(
    "a source that does not exist",
    "source: miniature",
    "source: disk",
    "source: 'disk' should be 'hub' or 'miniature'",
)
study_case(
    "a benchmark that does not exist",
    "[arc_challenge,",
    "[arc_chalenge,",
    "unknown benchmark 'arc_chalenge'",
    "arc_challenge",
)
study_case("a benchmark twice", "[arc_challenge,", "[gpqa,", "benchmarks: 'gpqa' is given twice")
study_case("no benchmark", "[arc_challenge, gpqa, mt_bench]", "[]", "benchmarks: [] should not be empty")
study_case("a model that does not exist", "  tiny-0.4m:", "  tiny-4m:", "unknown model 'tiny-4m'", "tiny-0.4m")
study_case(
    "a method that does not exist",
    "gptq-llmcompressor",
    "gptq",
    "unknown method 'gptq'",
    "gptq-llmcompressor",
)
study_case(
    "a width that the method does not have",
    "llmcompressor/w4a16",
    "llmcompressor/w3a16",
    "unknown width",
    "'w3a16'",
    "w4a16, w8a16",
)
study_case("a scheme without its width", "[fp16/w16a16,", "[fp16,", "models.tiny-0.4m.variants[0]: 'fp16' should match")
study_case(
    "a model of Figure 2 that the study does not have",
    "figure2_models: [tiny-0.4m]",
    "figure2_models: [tiny-2m]",
    "tiny-2m",
)
study_case("a limit of no questions", "stack: cpu", "stack: cpu\nlimit: 0", "limit: 0 should be greater than or equal to 1")
study_case("a list where a mapping belongs", "models:", "models: []\nother:", "unknown key 'other'")
study_case(
    "a key twice",
    "figure2_models:",
    "judge: gpt-4\nfigure2_models:",
    "'judge' is given twice",
    "keep one of them",
)
study_case("a tab for indentation", "  tiny-0.4m:", "\ttiny-0.4m:", "is not valid YAML")
study_case(
    "a bracket that does not close",
    "[arc_challenge, gpqa, mt_bench]",
    "[arc_challenge, gpqa",
    "is not valid YAML",
)
study_case(
    "MT-Bench for a scheme of another study",
    "judged: [fp16/w16a16,",
    "judged: [awq/w9a9,",
    "unknown width of awq 'w9a9'",
)


study_case(
    "a model's own code for all models",
    "stack: cpu",
    "stack: cpu\nengine_settings: {trust_remote_code: true}",
    "engine_settings: trust_remote_code does not belong here",
    "code of a model's repository is not run",
)


for number, (settings, what) in enumerate(
    {
        "{enable_thinking: false}": "engine hf has no setting enable_thinking; use add_bos_token, batch_size,",
        "{gpu_memory_utilisation: 0.9}": "engine hf has no setting gpu_memory_utilisation",
        "{batch_size: lots}": "no valid HuggingFaceSettings: batch_size: 'lots'",
        "{batch_size: 0}": "batch_size:",
        "{dtype: float61}": "dtype: 'float61' is not one of",
        "{max_model_len: 999999}": "max_model_len 999999 is more than the 4096 positions of tiny-",
    }.items()
):
    study_case(f"engine setting {number}", "stack: cpu", f"stack: cpu\nengine_settings: {settings}", "engine_settings:", what)


for number, (repeat, *says) in enumerate(
    (
        ("{variants: [fp16/w16a16]}", "changes nothing: give `engine_settings` or `calibration_seed`"),
        ("{variants: [awq/w4a16], calibration_seed: 2}", "unknown variant 'awq/w4a16'", "fp16/w16a16, gptq-llmcompressor/w4a16"),
        ("{variants: [fp16/w16a16], models: [tiny-2m], engine_settings: {batch_size: 3}}", "'tiny-2m'", "tiny-0.4m"),
        (
            "{variants: [fp16/w16a16], benchmarks: [mmlu], engine_settings: {batch_size: 3}}",
            "unknown benchmark of the study 'mmlu'",
        ),
        ("{variants: [fp16/w16a16], engine_settings: {batch_size: 16}}", "the weights and the engine of what it repeats"),
        ("{variants: [fp16/w16a16], engine_settings: {batch_sizes: 3}}", "engine hf has no setting batch_sizes"),
        ("{variants: [fp16/w16a16], calibration_seed: 2}", "toolkit none cannot change 'calibration_seed' in this recipe"),
    )
):

    @case("study", f"a repeat, {number}", "config/studies/smoke.yaml, repeats.", *says)
    def _(room, repeat=repeat):
        room.edit("studies/smoke.yaml", "repeats:\n", f"repeats:\n  mine: {repeat}\n")
        return planning()


@case("study", "an empty file", "config/studies/smoke.yaml: is empty")
def _(room):
    room.write("config/studies/smoke.yaml", "")
    return loading()


@case("study", "a file that is not UTF-8", "config/studies/smoke.yaml", "is not valid YAML")
def _(room):
    room.write("config/studies/smoke.yaml", b"title: caf\xe9\n")
    return loading()


@case("study", "a folder in a file's place", "config/studies/odd.yaml", "cannot be read")
def _(room):
    (room.path / "config/studies/odd.yaml").mkdir()
    return loading()


@case(
    "study",
    "a toolkit that the stack does not have",
    "config/studies/smoke.yaml, models.tiny-0.4m/gptq-llmcompressor/w4a16",
    "unknown toolkit on stack cpu 'llmcompressor'",
)
def _(room):
    room.edit("stacks.yaml", "    llmcompressor: main\n", "")
    for study in (room.path / "config/studies").glob("*.yaml"):
        if study.stem != "smoke":
            study.unlink()
    return loading()


@case(
    "study",
    "a published checkpoint where the recipe names none",
    "no published checkpoint of tiny-0.4m",
    "llama-3.1-8b-it",
)
def _(room):
    room.edit("studies/smoke.yaml", "stack: cpu", "stack: cpu\ncheckpoints: {gptq-llmcompressor/w4a16: published}")
    return loading()


# --- the other tables ----------------------------------------------------------------------------------------------------


def table_case(mistake: str, name: str, old: str, new: str, *says: str) -> None:
    @case("tables", f"`{name}`: {mistake}", f"config/{name}", *says)
    def prepare(room):
        room.edit(name, old, new)
        return loading()


table_case(
    "a word where yes or no belongs",
    "models.yaml",
    "gated: true",
    "gated: perhaps",
    "gated: 'perhaps' should be true or false",
)
table_case(
    "a negative size",
    "models.yaml",
    "parameters: 2506172416",
    "parameters: -1",
    "gemma-2b-it.facts.parameters: -1 should be greater than or equal to 1",
)
table_case("no hub id", "models.yaml", "  repo: google/gemma-2b-it\n", "", "gemma-2b-it: 'repo' is missing")
table_case("a model's own code", "models.yaml", "  repo: google/gemma-2b-it\n  revision: null",
           "  repo: google/gemma-2b-it\n  trust_remote_code: true\n  revision: null",
           "gemma-2b-it: trust_remote_code: code of a model's repository is not run")  # fmt: skip
table_case("a name with capitals", "models.yaml", "gemma-2b-it:", "Gemma-2B-it:", "'Gemma-2B-it'")
table_case(
    "an aggregation that does not exist",
    "benchmarks.yaml",
    "aggregation: single",
    "aggregation: median",
    "'median' should be 'single', 'size_weighted' or 'mean'",
)
table_case(
    "a task with one choice",
    "benchmarks.yaml",
    "{arc_challenge: 4}",
    "{arc_challenge: 1}",
    "arc_challenge.tasks.arc_challenge: 1",
)
table_case(
    "fewer than no shots",
    "benchmarks.yaml",
    "num_fewshot: 25",
    "num_fewshot: -1",
    "arc_challenge.num_fewshot: -1",
)
table_case(
    "a suite that does not exist",
    "benchmarks.yaml",
    "suite: leaderboard_v2",
    "suite: leaderboard_v3",
    "unknown suite 'leaderboard_v3'",
)
table_case(
    "a benchmark without its folder of lm-eval",
    "benchmarks.yaml",
    "    folder: arc\n",
    "",
    "arc_challenge: lacks its folder",
)
table_case(
    "a BOS rule that does not exist",
    "protocols.yaml",
    "bos: gemma_only",
    "bos: yes please",
    "'yes please' should be 'gemma_only'",
)
table_case("a date that is none", "protocols.yaml", '"2024-07-26"', '"2024-02-30"', "paper.date: ")
table_case(
    "a date without quotes", "protocols.yaml", '"2024-07-26"', "2024-07-26", "paper.date: ", "should be a text", "in quotes"
)
table_case("a suite that a protocol changes and nobody has", "protocols.yaml", "    leaderboard_v1:", "    leaderboard_v3:",
           "leaderboard.suites: unknown suite 'leaderboard_v3'")  # fmt: skip
table_case("thinking set on an engine", "stacks.yaml", "engine_settings: {dtype: auto}",
           "engine_settings: {dtype: auto, chat_template_kwargs: {enable_thinking: false}}",
           "chat_template_kwargs does not belong here: the protocol decides it")  # fmt: skip
table_case("a chat template that is not there", "models.yaml", "  repo: google/gemma-2b-it\n",
           "  repo: google/gemma-2b-it\n  chat_template: gemma.jinja\n",
           "gemma-2b-it.chat_template: there is no config/gemma.jinja")  # fmt: skip
table_case("chats with a model that has no template", "models.yaml", "tie_word_embeddings: true, model_type: gemma}",
           "tie_word_embeddings: true, model_type: gemma, chat_template: false}",
           "models.gemma-2b-it: mt_bench asks in chats, and google/gemma-2b-it has no chat template")  # fmt: skip
table_case("a seed left out", "protocols.yaml", "torch: 1234, ", "", "paper.seeds: 'torch' is missing")
table_case("an override of no benchmark", "protocols.yaml", "    gpqa:", "    gqpa:", "unknown benchmark 'gqpa'")
table_case(
    "an order of options that does not exist",
    "protocols.yaml",
    "option_order: stable",
    "option_order: random",
    "'random' should be 'stable' or 'lm-eval'",
)
table_case(
    "an engine that does not exist",
    "stacks.yaml",
    "engine: hf",
    "engine: tgi",
    "cpu.engine: 'tgi' should be 'hf', 'vllm' or 'vllm-stock'",
)
table_case(
    "an environment that is no name",
    "stacks.yaml",
    "llmcompressor: main",
    "llmcompressor: [main]",
    "cpu.environments.llmcompressor: ['main'] should be a text",
)
table_case(
    "a recipe of no toolkit",
    "recipes.yaml",
    "toolkit: autoawq",
    "toolkit: Auto AWQ",
    "unknown toolkit 'Auto AWQ'",
)
table_case(
    "calibration without samples",
    "calibration.yaml",
    "samples: 128",
    "samples: 0",
    "samples: 0 should be greater than or equal to 1",
)
table_case(
    "conversations without a date",
    "calibration.yaml",
    '    date: "2024-07-26"\n',
    "",
    "conversations need a `date`",
)
table_case(
    "a packing that does not exist",
    "calibration.yaml",
    "packing: windows",
    "packing: rolling",
    "'rolling' should be 'truncate'",
)
table_case(
    "a server without GPUs",
    "clusters.yaml",
    "gpus_per_node: 8",
    "gpus_per_node: 0",
    "gpus_per_node: 0 should be greater than or equal to 1",
)
table_case(
    "a compute capability as a number",
    "clusters.yaml",
    'compute_capability: "9.0"',
    "compute_capability: 9.0",
    "compute_capability: 9.0 should be a text; in quotes",
)
table_case(
    "a negative price",
    "judges.yaml",
    "prompt: 0.03",
    "prompt: -3",
    "gpt-4.price_usd_per_1k_tokens.prompt: -3",
)
table_case(
    "an address without its scheme",
    "judges.yaml",
    "https://api.openai.com/v1",
    "api.openai.com",
    "gpt-4.base_url: 'api.openai.com' should match",
)


@case("tables", "a file that is missing", "config/stacks.yaml: is missing", "restore it from git")
def _(room):
    (room.path / "config/stacks.yaml").unlink()
    return loading()


# --- the store -----------------------------------------------------------------------------------------------------------


def fetching(room: Room, repo: str = "org/tiny", kind: str = "model", **service: Path) -> list:
    place = {"folder": "models/tiny", "lock": "models/tiny.lock.json"}
    spec = acquire_cli.piece(kind, repo, **place)
    return ["store", *acquire_cli.fetching(spec, room.path / "out", **(service or {"mirror": room.path / "mirror"}))]


@case("store", "a mirror that is no folder", "mirror: is not a folder", "config.yaml")
def _(room):
    return fetching(room)


@case("store", "a mirror without the repository", "'org/tiny' is not in the mirror", "put it at mirror/org/tiny")
def _(room):
    room.mirror("org/other")
    return fetching(room)


@case("store", "a repository name that climbs out of the mirror", "'../outside' leads out of the mirror")
def _(room):
    room.mirror()
    room.write("outside/model.safetensors", BYTES)
    return fetching(room, "../outside")


@case(
    "store",
    "a link out of the mirror",
    "mirror/org/tiny/generation.json: is a link that leads out of the mirror",
)
def _(room):
    (room.mirror() / "org/tiny/generation.json").symlink_to("/etc/hostname")
    return fetching(room)


@case(
    "store",
    "a model with pickled weights alone",
    "org/tiny: holds only pickled weights, which can run code",
    "name a `revision` with safetensors",
)
def _(room):
    room.mirror(**{"pytorch_model.bin": b"\x80", "config.json": b"{}"})
    return fetching(room)


@case("store", "a model without weights", "org/tiny: holds no safetensors weights")
def _(room):
    room.mirror(**{"config.json": b"{}"})
    return fetching(room)


@case(
    "store",
    "a data set without data",
    "org/tiny: holds no file of a kind that is read here",
    "check the id and the revision",
)
def _(room):
    room.mirror(**{"loader.py": b"import os"})
    return fetching(room, kind="dataset")


@case("store", "a lock that is missing", "store/models/none.lock.json: is missing")
def _(room):
    room.stored()
    return ["store", "verify", room.path / "store/models/none.lock.json"]


@case(
    "store",
    "a lock that is cut off",
    "tiny.lock.json: cannot be read as JSON",
    "delete it and run the same command again",
)
def _(room):
    lock = room.stored()
    lock.write_text(lock.read_text()[:50])
    return ["store", "verify", lock]


@case(
    "store",
    "a lock of another form",
    "tiny.lock.json: is not a valid Lock: top level",
    "'files' is missing",
)
def _(room):
    return [
        "store",
        "verify",
        room.json("store/models/tiny.lock.json", {"id": ["a"], "source": "hub", "revision": "x"}),
    ]


@case(
    "store",
    "a lock that names files elsewhere",
    "names a file outside its folder",
    "'../../etc/passwd'",
    "do not use this source",
)
def _(room):
    entry = {"../../etc/passwd": {"bytes": 1, "sha256": "0" * 64}}
    return [
        "store",
        "verify",
        room.json("store/models/tiny.lock.json", {"id": ["a"], "source": "hub", "revision": "x", "files": entry}),
    ]


@case(
    "store",
    "a file that was deleted",
    "store/models/tiny/config.json: is missing from the store",
    "fetch it anew",
)
def _(room):
    lock = room.stored()
    (lock.parent / "tiny/config.json").unlink()
    return ["store", "verify", lock]


@case("store", "a file that was cut off", "model.safetensors: differs from what was fetched", "fetch it anew")
def _(room):
    lock = room.stored()
    (lock.parent / "tiny/model.safetensors").write_bytes(BYTES[:-1])
    return ["store", "verify", lock]


@case("store", "a file with one byte changed", "model.safetensors: differs from what was fetched")
def _(room):
    lock = room.stored()
    (lock.parent / "tiny/model.safetensors").write_bytes(BYTES[:-1] + b"\x00")
    return ["store", "verify", lock]


@case(
    "store",
    "other files than the committed lock names",
    "is not what pins/models/tiny.lock.json locks",
    "config.json differs",
    "commit the new one",
)
def _(room):
    room.mirror()
    lock = json.loads(room.stored().read_text())
    lock["files"]["tiny/config.json"]["sha256"] = "0" * 64
    room.json("pins/models/tiny.lock.json", lock)
    return [*fetching(room), "--pins", room.path / "pins"]


@case("store", "a token file that is missing", "hub.token: is missing", "write the hub token there")
def _(room):
    return fetching(room, token_file=room.path / "hub.token")


@case("store", "an empty token file", "hub.token: holds 0 words instead of one token")
def _(room):
    return fetching(room, token_file=room.write("hub.token", "\n"))


@case("store", "a token file with more than the token", "hub.token: holds 3 words instead of one token")
def _(room):
    return fetching(room, token_file=room.write("hub.token", "token is hf_secret"))


@case("store", "a disk that is too small", "needs", "free space, or set `results` to another disk")
def _(room):
    room.mirror()
    arguments = fetching(room)[1:]

    def command():
        from edge2giant.store import __main__ as cli
        from edge2giant.store import acquire

        free, acquire.free_bytes = acquire.free_bytes, lambda folder: 1000
        try:
            cli.main(arguments)
        finally:
            acquire.free_bytes = free

    return command


@case(
    "store",
    "a study whose sources are not in the mirror",
    "study smaller",
    "of its sources cannot be fetched",
    "nothing was fetched",
)
def _(room):
    room.mirror()
    room.edit("studies/smoke.yaml", "source: miniature", "source: hub")
    (room.path / "config/studies/smoke.yaml").rename(room.path / "config/studies/smaller.yaml")
    room.edit("studies/smaller.yaml", "calibration: miniature\n", "")
    run = {"study": "smaller", "batch": "suite", "results": "results", "figures": "paper_figures"}
    spec = acquiring.spec(plan.open_plan(run, root=room.path), SimpleNamespace(study="smaller"))
    digest = specs.write(spec, room.path)
    return [
        "store",
        "survey",
        "--spec",
        specs.path(room.path, digest),
        "--spec-digest",
        digest,
        "--store",
        room.path / "store",
        "--source",
        room.json("source.json", {"mirror": str(room.path / "mirror")}),
    ]


# --- checkpoints -----------------------------------------------------------------------------------------------------------


def quantizing(room: Room, digest: str = "", toolkit: str = "rtn") -> list:
    """The command that makes a checkpoint."""
    (room.path / "model").mkdir(exist_ok=True)
    (room.path / "heldout").mkdir(exist_ok=True)
    given = quantize_model.spec(toolkit, {})
    planned = specs.write(given, room.path)
    return [
        "quantize", "run", "--spec", specs.path(room.path, planned), "--spec-digest", digest or planned,
        "--model", room.path / "model", "--heldout", room.path / "heldout", "--out", room.path / "out",
    ]  # fmt: skip


@case("checkpoint", "a spec that is missing", ".json: is missing", "run snakemake again")
def _(room):
    command = quantizing(room)
    command[3].unlink()
    return command


@case("checkpoint", "a spec with another content", "has digest", "this job was planned with 000000000000")
def _(room):
    return quantizing(room, "0" * 64)


@case("checkpoint", "a toolkit that does not exist", "gptq-for-llama")
def _(room):
    return quantizing(room, toolkit="gptq-for-llama")


@case("checkpoint", "a model folder that is missing", "--model", "is not a folder", "acquire it first")
def _(room):
    command = quantizing(room)
    (room.path / "model").rmdir()
    return command


# --- evaluations and cells ----------------------------------------------------------------------------------------------------


def evaluating(room: Room, **changes) -> list:
    tasks = TasksSpec(("arc_challenge",), "arc", 25, False, False, None, {})
    benchmark = BenchmarkSpec("arc_challenge", ("datasets/arc_challenge.lock.json",), tasks)
    spec = EvaluateSpec(
        "smoke", Variant("tiny-0.4m", "fp16", "w16a16"), "arc_challenge", (benchmark,),
        EngineSpec("hf", {}), "cpu/main", 1,
    )  # fmt: skip
    digest = specs.write(spec, room.path)
    options = {
        "spec": specs.path(room.path, digest), "spec-digest": digest, "checkpoint": room.path / "checkpoint",
        "store": room.path / "store", "answer-cache": room.path / "answer_cache", "cache": room.path / "cache",
        "failures": room.path / "failures", "out": room.path / "manifest.json",
    } | changes  # fmt: skip
    return ["evaluate", "batch", *(part for name, value in options.items() for part in (f"--{name}", str(value)))]


@case("evaluation", "a checkpoint that is not there", "checkpoint/checkpoint.json: is missing")
def _(room):
    return evaluating(room)


@case("evaluation", "a damaged checkpoint record", "checkpoint.json: is not a valid CheckpointRecord")
def _(room):
    room.write("checkpoint/checkpoint.json", "{}")
    return evaluating(room)


@case("evaluation", "a spec that was edited", "specs/", "this job was planned with 012345678901", "run snakemake again")
def _(room):
    return evaluating(room, **{"spec-digest": "0123456789012345"})


@case("evaluation", "a manifest that is missing", "manifest.json: is missing", "run `snakemake")
def _(room):
    return scoring(room)


def scoring(room: Room, benchmark: str = "arc_challenge") -> list:
    settings = config.load(room.path)
    spec = score_spec(settings, settings.study("smoke"), Variant("tiny-0.4m", "fp16", "w16a16"), benchmark)
    digest = specs.write(spec, room.path)
    return ["scoring", "--spec", specs.path(room.path, digest), "--spec-digest", digest,
            "--manifest", room.path / "manifest.json", "--answer-cache", room.path / "answer_cache",
            "--out", room.path / "cell.json", "--samples", room.path / "samples.parquet"]  # fmt: skip


def a_manifest(room: Room) -> None:
    summary = CheckpointSummary("0" * 64, 1, 1, {})
    names = ("smoke", "tiny-0.4m", "fp16", "w16a16", "leaderboard_v1")
    records.write(room.path / "manifest.json", Manifest(1, *names, summary, {"arc_challenge": "f" * 64}))


@case("evaluation", "a cell of a benchmark that the batch lacks", "manifest.json: does not list gpqa", "run again")
def _(room):
    a_manifest(room)
    return scoring(room, "gpqa")


@case("evaluation", "cached answers that were deleted", "is gone from the answer cache", "run the same command again")
def _(room):
    a_manifest(room)
    return scoring(room)


@case("evaluation", "MT-Bench answers of a batch without them", "manifest.json: holds no mt_bench")
def _(room):
    a_manifest(room)
    cache, out = room.path / "answer_cache", room.path / "answers.jsonl"
    manifest = room.path / "manifest.json"
    return ["evaluate", "answers", "--manifest", manifest, "--benchmark", "mt_bench", "--answer-cache", cache, "--out", out]


def of_the_paper(room: Room, command: str, *options) -> list:
    """A command of the paper's tables and figures on the smoke study."""
    digest = specs.write(study_spec(config.load(room.path), "smoke"), room.path)
    return [
        "paper", command, "--spec", specs.path(room.path, digest), "--spec-digest", digest, "--published", "config/published",
        "--out-prefix", "out/table1", *options,
    ]  # fmt: skip


def rendering(room: Room, *cells: Path) -> list:
    return of_the_paper(room, "table", "--number", "1", "--cells", *cells)


@case("evaluation", "a cell that is missing", "cell.json")
def _(room):
    return rendering(room, room.path / "cell.json")


@case("evaluation", "a cell that is cut off", "cell.json: cannot be read as JSON")
def _(room):
    path = room.cell()
    path.write_text(path.read_text()[:200])
    return rendering(room, path)


@case("evaluation", "a cell with a score above 100", "cell.json", "score: 1000.0 is more than 100")
def _(room):
    return rendering(room, room.cell(score=1000.0))


@case("evaluation", "a cell without its provenance", "cell.json", "'provenance' is missing")
def _(room):
    record = make_cell()
    del record["provenance"]
    return rendering(room, room.json("cell.json", record))


@case("evaluation", "a score that is no number", "cell.json", "NaN")
def _(room):
    path = room.cell()
    path.write_text(path.read_text().replace('"score": 53.125', '"score": NaN'))
    return rendering(room, path)


# --- judge -----------------------------------------------------------------------------------------------------------------


def judging(room: Room, data: bool = True, answers: str | None = None, template: str = "Rate it.", **changed) -> list:
    if data:
        question = {"question_id": 1, "category": "writing", "turns": ["a", "b"]}
        names = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")
        prompts = [{"name": name, "type": "single", "system_prompt": "s", "prompt_template": template, "category": "general",
                    "description": "", "output_format": "[[rating]]"} for name in names]  # fmt: skip
        room.json("data/question.jsonl", question)
        room.write("data/reference_answer.jsonl", "")
        room.write("data/judge_prompts.jsonl", "".join(json.dumps(prompt) + "\n" for prompt in prompts))
    if answers is None:
        answers = json.dumps(
            {
                "question_id": 1,
                "answer_id": "x",
                "model_id": "m",
                "choices": [{"index": 0, "turns": ["a", "b"]}],
                "tstamp": 0.0,
            }
        )
    room.write("answers.jsonl", answers)
    return ["judge", *judge_material.rating(room.path, **changed)]


@case(
    "judge",
    "MT-Bench's questions are not there",
    "data/question.jsonl: is missing",
    "run the acquire phase again",
)
def _(room):
    return judging(room, data=False)


@case("judge", "a judge prompt that asks for what there is not", "single-v1 cannot be filled in", "'colour'")
def _(room):
    return judging(room, template="Of which {colour} is it?")


@case("judge", "an answer with one turn", "answers.jsonl:1", "choices[0].turns")
def _(room):
    answer = {
        "question_id": 1,
        "answer_id": "x",
        "model_id": "m",
        "choices": [{"index": 0, "turns": ["a"]}],
        "tstamp": 0.0,
    }
    return judging(room, answers=json.dumps(answer))


@case("judge", "answers that are no JSON", "answers.jsonl:1: is not JSON")
def _(room):
    return judging(room, answers="Dear user, ")


@case("judge", "answers to some of the questions", "1 questions are not answered: 1")
def _(room):
    return judging(room, answers="")


@case("judge", "a judge without its key", "no API key in", "put it there")
def _(room):
    return judging(room, key_file="/nowhere/judge.key")


@case("judge", "a key file that is empty", "judge.key: holds no key on its first line")
def _(room):
    return judging(room, key_file=str(room.write("judge.key", "\n")))


@case("judge", "a judge's settings that are gone", "service.json: cannot be read", "planning writes it")
def _(room):
    command = judging(room)
    (room.path / "service.json").unlink()
    return command


@case("judge", "judgments that are cut off", "judgments.jsonl:1: is not JSON")
def _(room):
    return [
        "judge",
        "noise",
        "--judgments",
        room.write("judgments.jsonl", '{"question_id": 1'),
        "--out-json",
        room.path / "noise.json",
        "--out-csv",
        room.path / "noise.csv",
    ]


# --- command lines -----------------------------------------------------------------------------------------------------------


def command_case(mistake: str, command: list[str], *says: str) -> None:
    case("command", mistake, *says)(lambda room: command)


command_case(
    "a study that does not exist",
    overview("papr"),
    "unknown study 'papr'",
    "miniature, paper, paper-cpu, paper2024, schemes, schemes-vllm, smoke",
)
command_case("no command", ["store"], "the following arguments are required: COMMAND")
command_case("a command that does not exist", ["store", "fetched"], "invalid choice: 'fetched'")
command_case(
    "an option left out",
    ["store", "fetch", "--spec", "x.json"],
    "the following arguments are required: --spec-digest, --store",
)
command_case("an option that does not exist", overview("smoke", "--modell", "x"), "unrecognized arguments: --modell x")


@case("command", "a table that the paper does not have", "unknown table '3'", "1, 2, 4, 5, 6, 7")
def _(room):
    return of_the_paper(room, "table", "--number", "3")


@case("command", "a word where a number belongs", "--number", "invalid int value: 'one'")
def _(room):
    return of_the_paper(room, "table", "--number", "one")


@case("command", "a form of Figure 2 that does not exist", "invalid choice: 'pie'")
def _(room):
    return of_the_paper(room, "figure2", "--form", "pie")


command_case(
    "an environment that does not exist",
    ["environments", "make", "cpu/nonsense"],
    "cpu/nonsense.yaml: is missing",
    "environments: cpu/",
)


# --- the environment -----------------------------------------------------------------------------------------------------------


@case(
    "environment",
    "an engine whose packages are not installed",
    "has no package for engine 'vllm'",
    "make envs",
)
def _(room):
    def command():
        import importlib.metadata

        from edge2giant.evaluate import batch

        version = importlib.metadata.version
        importlib.metadata.version = _no_package
        try:
            batch.engine_versions("vllm")
        finally:
            importlib.metadata.version = version

    return command


def _no_package(name):
    raise importlib.metadata.PackageNotFoundError(name)


@case(
    "environment",
    "an answer cache that another process writes",
    "is being written by process",
    "wait for it or end it",
)
def _(room):
    from edge2giant.evaluate.answer_cache import AnswerCache

    held = AnswerCache(room.path / "answer_cache").locked(["f" * 64])
    held.__enter__()

    def command():
        try:
            with AnswerCache(room.path / "answer_cache").locked(["f" * 64]):
                pass
        finally:
            held.__exit__(None, None, None)

    return command


@case("environment", "a full disk", "record.json: cannot be written (No space left on device)", "free space")
def _(room):
    def command():
        real, os.fsync = os.fsync, _full
        try:
            records.write_json(room.path / "record.json", {})
        finally:
            os.fsync = real

    return command


def _full(descriptor):
    raise OSError(28, "No space left on device")


@case("environment", "a folder in the place of an output", "out.csv: cannot be written")
def _(room):
    (room.path / "out.csv").mkdir()
    (room.path / "envs").symlink_to(ROOT / "envs")
    return overview("smoke")


@case(
    "environment",
    "a hub that cannot be reached",
    "org/tiny: could not be fetched",
    "run the same command again to go on",
)
def _(room):
    arguments = fetching(room, token_file=room.write("hub.token", "hf_x"))[1:]

    def command():
        from edge2giant.store import __main__ as cli
        from edge2giant.store import retries

        before, attempts = os.environ.get("HF_ENDPOINT"), retries.ATTEMPTS
        os.environ["HF_ENDPOINT"], retries.ATTEMPTS = "http://127.0.0.1:9", 1
        try:
            cli.main(arguments)
        finally:
            retries.ATTEMPTS = attempts
            os.environ.pop("HF_ENDPOINT") if before is None else os.environ.update(HF_ENDPOINT=before)

    return command
