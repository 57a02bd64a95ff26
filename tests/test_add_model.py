"""`python -m edge2giant.add_model` against a hub on loopback and a mirror, and acquire's refusal of a model that differs."""

import dataclasses
import json
import shutil
import sys

import pytest
from acquire_cli import TOKEN, fetching, files_of, hub_of_a_test, piece, refused
from edge2giant import add_model, config, errors, records, specs
from edge2giant.models.facts import LinearLayer, ModelFacts
from edge2giant.specs.acquire import ExpectedModel, SourceService
from edge2giant.store import __main__ as cli
from edge2giant.store import retries
from shared import ROOT, shared

SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "vocab_size": 100, "max_position_embeddings": 512, "tie_word_embeddings": False,
}  # fmt: skip
FACTS = ModelFacts(parameters=90_000, **SIZES, dtype="bfloat16", chat_template=True)
REPO = "org/Small-90M-Chat"


@pytest.fixture
def server(monkeypatch):
    yield from hub_of_a_test(monkeypatch)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository's config/, whose models.yaml the command writes."""
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("lock"))
    monkeypatch.setattr(add_model, "ROOT", tmp_path)
    return tmp_path


def run(*arguments) -> int:
    sys.argv = ["add_model", *map(str, arguments)]
    return errors.run(add_model.main)


def text(root) -> str:
    return (root / "config/models.yaml").read_text()


def line(capsys) -> str:
    """The one line of a refused command."""
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and printed[0].startswith("error: ")
    return printed[0]


def test_a_model_of_the_hub_gets_an_entry_that_loads(server, root):
    files = files_of(FACTS)
    commit = server.add("model", REPO, files).main
    before = text(root)
    assert run(REPO) == 0
    assert text(root).startswith(before), "everything else stays as it is"
    entry = config.load(root).models["small-90m-chat"]
    assert entry.facts == FACTS
    assert (entry.repo, entry.revision, entry.licence, entry.gated) == (REPO, commit, "apache-2.0", False)
    assert (entry.name, entry.nominal_billions, entry.unverified) == ("Small-90M-Chat", 0.09, False)
    assert entry.config_sha256 == records.hashlib.sha256(files["config.json"]).hexdigest()
    assert not server.requests("tokenizer.json", "GET"), "only small files"


def test_shards_and_an_unknown_architecture_are_read_from_headers(server, root):
    layers = (LinearLayer("mlp.up_proj", 128, 64, 2), LinearLayer("self_attn.qkv_proj", 192, 64, 2))
    facts = dataclasses.replace(FACTS, linear_layers=layers, model_type="newcomer")
    files = files_of(facts)
    files["model-00001-of-00001.safetensors"] = files.pop("model.safetensors")
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
    server.add("model", REPO, files | {"model.safetensors.index.json": json.dumps(index).encode()})
    assert run(REPO, "--name", "new") == 0
    assert config.load(root).models["new"].facts == facts


def test_a_mirror_folder_and_the_address_of_a_hub_give_the_same_facts(server, root, tmp_path, monkeypatch):
    for name, content in files_of(FACTS).items():
        (tmp_path / "mirror" / REPO).mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / REPO / name).write_bytes(content)
    server.add("model", REPO, files_of(FACTS))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert run(REPO, "--name", "a", "--mirror", tmp_path / "mirror") == 0
    assert run(REPO, "--name", "b", "--mirror", server.url) == 0
    models = config.load(root).models
    assert models["a"].facts == models["b"].facts == FACTS
    assert models["a"].revision is None and len(models["b"].revision) == 40


def test_an_unverified_entry_gets_the_models_own_facts(server, root, capsys, tmp_path):
    repo = "meta-llama/Llama-3.2-1B-Instruct"
    before = config.load(root).models["llama-3.2-1b-it"]
    own = dataclasses.replace(before.facts, vocab_size=128_264, dtype="bfloat16", chat_template=True, parameters=1_235_830_784)
    server.add("model", repo, files_of(own), gated=True)
    (tmp_path / "token").write_text(TOKEN)
    names = list(config.load(root).models)
    assert run(repo, "--token-file", tmp_path / "token") == 0
    after = config.load(root).models
    assert list(after) == names and after["llama-3.2-1b-it"].facts == own and not after["llama-3.2-1b-it"].unverified
    kept = ("name", "licence", "gated", "nominal_billions")
    assert [getattr(after["llama-3.2-1b-it"], key) for key in kept] == [getattr(before, key) for key in kept]
    assert "vocab_size was typed as 128256, the model says 128264" in capsys.readouterr().out
    assert after["llama-3.2-3b-it"] == config.load(ROOT).models["llama-3.2-3b-it"]


@pytest.mark.parametrize(
    ("name", "size"), [("Llama-3.1-8B-Instruct", 8), ("SmolLM2-135M", 0.135), ("Qwen2.5-0.5B", 0.5), ("Mixtral-8x7B", 46.7)]
)
def test_the_size_in_a_name(name, size):
    assert add_model.nominal_billions(name, 46_702_792_704) == size


def without(*names: str, **more: bytes) -> dict[str, bytes]:
    return {name: content for name, content in files_of(FACTS).items() if name not in names} | more


@pytest.mark.parametrize(
    ("files", "options", "says"),
    [
        (without("config.json"), (), f"{REPO}: has no config.json"),
        (without() | {"config.json": b"{"}, (), "config.json: is not valid JSON"),
        (without() | {"model.safetensors": b"\x10" + bytes(20)}, (), "has no readable header of tensors"),
        (without("model.safetensors"), (), "holds no safetensors weights"),
        (without(), ("--name", "gemma-2b-it"), "'gemma-2b-it' is there already, for google/gemma-2b-it; give it another --name"),
        (without(), ("--name", "Small"), "the key 'Small' should match"),
        (without(), ("--revision", "nowhere"), "has no revision nowhere"),
        (None, (), f"{REPO}: is not on the hub, or private"),
    ],
)
def test_what_cannot_be_added_is_one_line_and_changes_nothing(server, root, capsys, files, options, says):
    if files is not None:
        server.add("model", REPO, files)
    before = text(root)
    assert run(REPO, *options) == 2
    assert says in line(capsys)
    assert text(root) == before


def test_a_second_time_is_refused(server, root, capsys):
    server.add("model", REPO, files_of(FACTS))
    assert run(REPO) == 0 and run(REPO) == 2
    assert "'small-90m-chat' is there already" in line(capsys)


def test_a_network_that_is_off_is_one_line(server, root, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(retries, "LAST_WAIT", 0.01, raising=False)
    assert run(REPO) == 2
    assert "could not be fetched" in capsys.readouterr().err.strip().splitlines()[-1]


# --- acquire -------------------------------------------------------------------------------------------------------------


def acquired(server, folder, expected: ExpectedModel) -> list[str]:
    """The command that fetches the model which an entry describes."""
    spec = piece("model", REPO, name="small", folder="models/small", lock="models/small.lock.json")
    service = folder / "service.json"
    records.write_text(service, specs.text(SourceService(models={"small": expected})))
    return [*fetching(spec, folder)[:-1], str(service)]


def test_acquire_takes_a_model_that_is_as_its_entry_says(server, tmp_path):
    files = files_of(FACTS)
    server.add("model", REPO, files)
    cli.main(acquired(server, tmp_path, ExpectedModel(FACTS, records.hashlib.sha256(files["config.json"]).hexdigest())))
    assert (tmp_path / "models/small/config.json").exists()


@pytest.mark.parametrize(
    ("change", "sha256", "weights", "says"),
    [
        ({"num_hidden_layers": 3}, None, False, f"num_hidden_layers is 3, but config.json of {REPO} says 2; check its repo"),
        ({"tie_word_embeddings": True}, None, False, f"tie_word_embeddings is True, but config.json of {REPO} says False"),
        ({}, "0" * 64, False, "config_sha256 is 000"),
        ({"parameters": 90_001}, None, True, f"parameters is 90001, but the model of {REPO} says 90000"),
        ({"chat_template": False}, None, True, "chat_template is False, but the model"),
    ],
)
def test_acquire_refuses_a_model_that_differs_from_its_entry(server, tmp_path, change, sha256, weights, says):
    server.add("model", REPO, files_of(FACTS))
    message = refused(acquired(server, tmp_path, ExpectedModel(dataclasses.replace(FACTS, **change), sha256)))
    assert message.startswith("config/models.yaml, small: ") and says in message
    assert not (tmp_path / "models/small").exists() and not (tmp_path / "models/small.lock.json").exists()
    assert bool(server.requests("/storage/")) == weights, "a wrong config.json is seen before weights are fetched"


def test_acquire_refuses_a_model_without_the_chat_template_that_the_study_needs(server, tmp_path):
    files = {name: content for name, content in files_of(FACTS).items() if "chat_template" not in name}
    server.add("model", REPO, files | {"tokenizer_config.json": b"{}"})
    unknown = dataclasses.replace(FACTS, chat_template=None)
    message = refused(acquired(server, tmp_path, ExpectedModel(unknown, chats="mt_bench")))
    assert message.startswith(f"config/models.yaml, small: mt_bench asks in chats, and {REPO} has no chat template; give")
    assert not server.requests("/storage/") and not (tmp_path / "models/small").exists()
    cli.main(acquired(server, tmp_path, ExpectedModel(unknown)))


def test_a_real_model_can_be_added(root):
    mirror = shared("real/mirror/HuggingFaceTB/SmolLM2-135M-Instruct").parent.parent
    assert run("HuggingFaceTB/SmolLM2-135M-Instruct", "--mirror", mirror) == 0
    entry = config.load(root).models["smollm2-135m-instruct"]
    assert (entry.facts.parameters, entry.nominal_billions) == (134_515_008, 0.135)
