"""What `config/` says, and what is refused: one line with the file, the place in it, what is wrong and what is allowed."""

import copy
import json
import shutil
import subprocess
import sys

import jsonschema
import pytest
import yaml
from edge2giant import config
from edge2giant.config import checks, files, schemas
from edge2giant.errors import UserError
from edge2giant.quantize import toolkits
from edge2giant.specs.variant import Variant
from shared import ROOT

DOCUMENTS = {**{f"config/{name}.yaml": name for name in config.FILES}, "config/studies/paper.yaml": "study"}


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


@pytest.fixture(scope="module")
def loaded():
    return config.load()


def edit(root, name: str, old: str, new: str) -> None:
    path = root / "config" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refused(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and "pydantic" not in message and "Value error" not in message
    return message


# --- what files may hold -------------------------------------------------------------------------------------------------


def closed(whole: dict, schema: dict, value: object, place: tuple = ()):
    """Place and schema of every mapping of a document whose keys are fixed."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in schema and "properties" not in schema:
        schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        yield from closed(whole, schema, value, place)
        return
    if isinstance(value, dict):
        if "properties" in schema:
            yield place, schema
        for key, inner in value.items():
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            below = below or next(iter(schema.get("patternProperties", {}).values()), None)
            if isinstance(below, dict):
                yield from closed(whole, below, inner, (*place, key))
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for number, inner in enumerate(value):
            yield from closed(whole, schema["items"], inner, (*place, number))


def at(document: object, place: tuple) -> dict:
    for part in place:
        document = document[part]
    return document


def kind_of(file: str):
    return schemas.MODELS[DOCUMENTS[file].rsplit("/", 1)[-1]][1]


@pytest.mark.parametrize("file", DOCUMENTS)
def test_an_unknown_key_is_refused_wherever_keys_are_fixed(file):
    document, kind = files.read_yaml(ROOT, file), kind_of(file)
    schema = files.adapter(kind).json_schema()
    places = [place for place, _ in closed(schema, schema, document)]
    assert places
    for place in places:
        changed = copy.deepcopy(document)
        at(changed, place)["no_such_key"] = 1
        message = refused(lambda changed=changed: files.check(changed, kind, file))
        where = f"{file}, {files.dotted(place)}" if place else file
        assert message.startswith(f"{where}: unknown key 'no_such_key'; known keys: ")


@pytest.mark.parametrize("file", DOCUMENTS)
def test_a_key_that_is_left_out_is_named(file):
    document, kind = files.read_yaml(ROOT, file), kind_of(file)
    schema = files.adapter(kind).json_schema()
    for place, part in closed(schema, schema, document):
        for key in part.get("required", []):
            changed = copy.deepcopy(document)
            del at(changed, place)[key]
            assert f": '{key}' is missing" in refused(lambda changed=changed: files.check(changed, kind, file))


@pytest.mark.parametrize("name", schemas.MODELS)
def test_the_schemas_for_editors_are_those_of_the_models(name):
    written = json.loads((schemas.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(schemas.documents()[name])), "run `make schemas`"


def config_files() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "config").rglob("*.yaml"))


@pytest.mark.parametrize("file", config_files())
def test_an_editor_finds_the_schema_that_a_file_fits(file):
    first, text = (ROOT / file).read_text(encoding="utf-8").split("\n", 1)
    schema = (ROOT / file).parent / first.removeprefix("# yaml-language-server: $schema=")
    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text(encoding="utf-8")))


def test_numbers_keep_the_form_that_they_have_in_the_file(loaded):
    assert repr(loaded.judges["gpt-4"].limit_usd) == "250"
    assert repr(loaded.models["gemma-2b-it"].nominal_billions) == "2"


# --- names between files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("studies/paper.yaml", "protocol: paper", "protocol: papr", "unknown protocol 'papr'; choose one of: leaderboard, paper"),
        ("studies/paper.yaml", "  llama-2-7b-chat:", "  llama-2-8b-chat:", "unknown model 'llama-2-8b-chat'"),
        ("studies/paper.yaml", "[fp16/w16a16, gptq-autogptq/w4a16", "[fp16/w16a16, gptq/w4a16", "unknown method 'gptq'"),
        ("studies/paper.yaml", "awq/w4a16", "awq/w3a16", "unknown width of awq 'w3a16'"),
        ("studies/paper.yaml", "musr, mt_bench", "musr, musr", "benchmarks: 'musr' is given twice"),
        ("studies/paper.yaml", "  llama-2-13b-chat:", "  llama-2-7b-chat:", "'llama-2-7b-chat' is given twice"),
        ("studies/paper.yaml", "source: hub", "sauce: hub", "unknown key 'sauce'; did you mean 'source'?"),
        (
            "studies/paper.yaml",
            "{gptq-autogptq/w4a16: {",
            "{gptq-autogpt/w4a16: {",
            "recipe_settings: unknown method 'gptq-autogpt'",
        ),
        (
            "models.yaml",
            "gated: true",
            "gated: perhaps",
            "gemma-2b-it.gated: 'perhaps' should be true or false; whether the hub asks",
        ),
        (
            "models.yaml",
            "parameters: 2506172416",
            'parameters: "2.5e9"',
            "gemma-2b-it.facts.parameters: '2.5e9' should be an integer",
        ),
        ("models.yaml", "  unverified: true\n", "", "should have either `config_sha256` or `unverified: true`"),
        ("models.yaml", "gemma-2b-it:", "Gemma-2b-it:", "the key 'Gemma-2b-it' should match"),
        (
            "benchmarks.yaml",
            "aggregation: single",
            "aggregation: median",
            "'median' should be 'single', 'size_weighted' or 'mean'",
        ),
        ("benchmarks.yaml", "    suite: mt_bench", "    suite: leaderboard_v2", "mt_bench: lacks its folder"),
        ("protocols.yaml", "    gpqa:", "    gqpa:", "unknown benchmark 'gqpa'"),
        ("protocols.yaml", "gpqa: {tasks: {", "gpqa: {tasks: {a: 2, ", "paper.benchmarks.gpqa: tasks of different chance levels"),
        ("stacks.yaml", "device: cpu", "device: [", "is not valid YAML"),
        ("stacks.yaml", "    rtn: main", "    rnt: main", "cpu.environments: unknown toolkit 'rnt'"),
        ("stacks.yaml", "    rtn: main", "    rtn: mian", "cpu.environments.rtn: there is no envs/cpu/mian.yaml"),
        ("stacks.yaml", "    evaluate: main\n", "", "cpu.environments: 'evaluate' is missing"),
        ("recipes.yaml", "toolkit: autoawq", "toolkit: autowaq", "methods.awq.toolkit: unknown toolkit 'autowaq'"),
        (
            "recipes.yaml",
            "calibration: ultrachat-512x4096",
            "calibration: ultra",
            "methods.fp8.bits.w8a8.overrides[0].calibration: unknown calibration set 'ultra'",
        ),
        (
            "recipes.yaml",
            "- models: [llama-3.1-8b-it,",
            "- models: [llama-3.1-9b-it,",
            "bits.w8a8.overrides[0].models[0]: unknown model",
        ),
        (
            "recipes.yaml",
            "          llama-3.1-8b-it: {repo",
            "          llama-3.1-9b-it: {repo",
            "bits.w8a8.published: unknown model",
        ),
        ("recipes.yaml", "            calibration: ultrachat-512x4096\n", "", "overrides[0]: changes nothing"),
        (
            "clusters.yaml",
            "{tiny-0.4m: llama-3.1-8b-it,",
            "{tiny-0.4m: llama-3.1-9b-it,",
            "rehearsal.rehearse.tiny-0.4m: unknown model",
        ),
        ("workload.yaml", "  gpqa:", "  gqpa:", "config/workload.yaml, tokens: unknown benchmark 'gqpa'"),
        ("workload.yaml", "{fp8: 8,", "{fp9: 8,", "method_seconds_per_billion: unknown method 'fp9'"),
        ("published/grids.yaml", "gpqa:", "gqpa:", "config/published/grids.yaml: unknown benchmark 'gqpa'"),
        (
            "published/grids.yaml",
            "[546, 1/4]",
            "[546, 0.25]",
            "gpqa.sets.extended.parts[0][1]: a chance level is 0 or of the form 1/4",
        ),
        ("published/claims.yaml", "'@columns'", "'@colums'", "claims.rq1-a: unknown set 'colums'"),
        (
            "clusters.yaml",
            "\n# A dress rehearsal",
            '  overrides:\n    - {variants: "*/fp8/w8a8", partition: a100, gpus: 8}\n\n# A dress rehearsal',
            "paper.overrides[0]: asks for 1 nodes of 8 GPUs, partition a100 has 1 nodes of 4 GPUs",
        ),
        ("studies/paper.yaml", "judge: gpt-4", "judge: gpt-5", "config/studies/paper.yaml, judge: unknown judge"),
        (
            "models.yaml",
            "from: smollm2-135m-it-q4",
            "from: tiny-2m",
            "smollm2-135m-it-tuned.tuned.from: unknown model that is fetched",
        ),
        (
            "models.yaml",
            "texts: [wikitext2-128x2048,",
            "texts: [heldout,",
            "tuned.texts: unknown calibration set that is fetched",
        ),
        ("models.yaml", "hidden_size: 576, intermediate", "hidden_size: 640, intermediate", "facts are not those of"),
        ("studies/paper.yaml", "judge: gpt-4\n", "", "table 6 shows ratings, and the study names no judge"),
        ("config.yaml", "study: miniature", "study: miniature\nstudy: paper", "'study' is given twice"),
    ],
)
def test_a_mistake_is_refused_with_file_and_place(root, name, old, new, expected):
    edit(root, name, old, new)
    message = refused(lambda: config.load(root))
    assert expected in message
    assert message.startswith(f"config/{name}")


def test_a_missing_file_is_named(root):
    (root / "config/stacks.yaml").unlink()
    assert refused(lambda: config.load(root)) == "config/stacks.yaml: is missing; restore it from git"


def test_a_study_cannot_have_the_name_of_the_printed_numbers(root):
    shutil.copy(root / "config/studies/smoke.yaml", root / "config/studies/published.yaml")
    assert "published.yaml: this name means the printed numbers" in refused(lambda: config.load(root))


def test_toolkits_are_the_modules_of_their_package():
    assert tuple(checks.toolkits()) == toolkits.names()


def test_snakemake_prints_a_mistake_as_one_line(root):
    for name in ("workflow", "profiles", "envs", "Snakefile"):
        (root / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "--cores", "1", "-s", root / "workflow/Snakefile", "all"]
    made = subprocess.run([*command, "--config", "bach=suite"], cwd=root, capture_output=True, text=True, timeout=120)
    lines = [line for line in made.stderr.splitlines() if not line.startswith("Using ")]
    assert made.returncode == 2
    assert len(lines) == 1 and lines[0].startswith(
        "error: config/config.yaml or --config: unknown key 'bach'; did you mean 'batch'?"
    )


# --- what the files mean -------------------------------------------------------------------------------------------------


def test_parameters_follow_from_the_typed_facts(loaded):
    for name, model in loaded.models.items():
        a = model.facts
        h, d = a.hidden_size, a.head_dim
        attention = 2 * h * d * (a.num_attention_heads + a.num_key_value_heads)
        norms = {"qwen3": 2 * h + 2 * d, "gemma3_text": 4 * h + 2 * d}.get(a.model_type, 2 * h)  # of inputs, and of heads
        layer = attention + 3 * h * a.intermediate_size + norms
        tables = a.vocab_size * h * (1 if a.tie_word_embeddings else 2)
        assert a.num_hidden_layers * layer + h + tables == a.parameters, name


def test_a_protocol_changes_a_benchmark(loaded):
    paper, entry = loaded.study("paper"), loaded.benchmarks["gpqa"]
    assert list(loaded.benchmark(paper, "gpqa").tasks) == ["leaderboard_gpqa_extended"]
    assert loaded.benchmark(paper, "gpqa").label == entry.label
    assert len(entry.tasks) == 3


def test_a_study_that_extends_another_keeps_what_it_does_not_name(loaded):
    paper, older = loaded.study("paper"), loaded.study("paper2024")
    assert (older.stack, older.recipe_settings) == ("paper2024", {})
    assert older.variants == paper.variants and older.benchmarks == paper.benchmarks and len(paper.variants) == 50


def test_mt_bench_is_run_on_what_the_study_names(loaded):
    paper = loaded.study("paper")
    assert "mt_bench" in paper.benchmarks_of(Variant("gemma-2b-it", "awq", "w4a16"))
    assert "mt_bench" not in paper.benchmarks_of(Variant("llama-3.1-8b-it", "fp8", "w8a8"))
    assert len(paper.cells) == 636


def test_an_environment_may_be_that_of_another_stack(loaded):
    assert loaded.environment("cpu", "rtn") == "cpu/main"
    assert loaded.environment("cpu-vllm", "evaluate") == "cpu/vllm"


@pytest.mark.parametrize(
    ("model_type", "needs"), [("gemma", True), ("gemma2", True), ("gemma3_text", True), ("llama", False), ("qwen3", False)]
)
def test_gemma_alone_has_a_bos_by_its_model_type(loaded, model_type, needs):
    assert loaded.protocols["paper"].needs_bos(model_type) is needs


def test_version_1_of_the_leaderboard_has_no_template_and_conversations_always_have_one(loaded):
    chats = {
        protocol: [
            name for name in ("arc_challenge", "bbh", "mt_bench")
            if loaded.chats(loaded.study("paper").model_copy(update={"protocol": protocol}), name)
        ]
        for protocol in ("paper", "leaderboard")
    }  # fmt: skip
    assert chats == {"paper": ["mt_bench"], "leaderboard": ["bbh", "mt_bench"]}


def test_settings_of_a_run_are_checked_as_snakemake_merged_them(loaded):
    good = {"study": "miniature", "batch": "suite", "results": "results", "figures": "figures"}
    assert config.check_run(good | {"keep_checkpoints": "false"}, loaded).keep_checkpoints is False
    assert config.check_run(good, loaded).keep_checkpoints is True
    assert "keep_checkpoints: 'no way' should be true or false" in refused(
        lambda: config.check_run(good | {"keep_checkpoints": "no way"}, loaded)
    )
    assert "unknown cluster 'lab'" in refused(lambda: config.check_run(good | {"cluster": "lab"}, loaded))
