"""The grid: what the config says, and what it refuses."""

import shutil

import pytest
from edge2giant import grid, paths, study
from edge2giant.errors import UserError
from shared import ROOT


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("miniature"))
    return tmp_path


@pytest.fixture(scope="module")
def house():
    return grid.load()


def edit(root, name: str, old: str, new: str) -> None:
    path = root / "config" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_parameters_follow_from_the_architecture(house):
    for name, model in house.models.items():
        a = model["architecture"]
        h, d = a["hidden_size"], a["head_dim"]
        attention = 2 * h * d * (a["num_attention_heads"] + a["num_key_value_heads"])
        layer = attention + 3 * h * a["intermediate_size"] + 2 * h
        tables = a["vocab_size"] * h * (1 if a["tie_word_embeddings"] else 2)
        assert a["num_hidden_layers"] * layer + h + tables == model["parameters"], name


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (
            "studies/paper.yaml",
            "protocol: paper",
            "protocol: papr",
            "unknown protocol 'papr'; choose one of: leaderboard, paper",
        ),
        ("studies/paper.yaml", "  llama-2-7b-chat:", "  llama-2-8b-chat:", "unknown model 'llama-2-8b-chat'"),
        ("studies/paper.yaml", "[fp16/w16a16, gptq-autogptq/w4a16", "[fp16/w16a16, gptq/w4a16", "unknown method 'gptq'"),
        ("studies/paper.yaml", "awq/w4a16", "awq/w3a16", "unknown width of awq 'w3a16'"),
        ("studies/paper.yaml", "musr, mt_bench", "musr, musr", "'musr' stands there twice"),
        (
            "studies/paper.yaml",
            "  llama-2-13b-chat:",
            "  llama-2-7b-chat:",
            "'llama-2-7b-chat' stands there twice",
        ),
        ("studies/paper.yaml", "source: hub", "sauce: hub", "unknown key 'sauce'"),
        ("models.yaml", "gated: true", "gated: perhaps", "'perhaps' should be true or false"),
        ("benchmarks.yaml", "aggregation: single", "aggregation: median", "'median' should be 'single'"),
        ("protocols.yaml", "    gpqa:", "    gqpa:", "unknown benchmark 'gqpa'"),
        ("stacks.yaml", "device: cpu", "device: [", "is not valid YAML"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_entry(root, name, old, new, expected):
    edit(root, name, old, new)
    with pytest.raises(UserError) as caught:
        grid.load(root)
    message = str(caught.value)
    assert expected in message
    assert name.split("/")[-1] in message
    assert "\n" not in message


def test_a_missing_file_is_named(root):
    (root / "config/stacks.yaml").unlink()
    with pytest.raises(UserError, match=r"stacks\.yaml: is missing"):
        grid.load(root)


def test_a_protocol_changes_a_benchmark(house):
    paper, entry = house.study("paper"), house.benchmarks["gpqa"]
    assert list(house.benchmark(paper, "gpqa")["tasks"]) == ["leaderboard_gpqa_extended"]
    assert len(entry["tasks"]) == 3


def test_rows_that_resolve_alike_share_a_checkpoint(house):
    smoke, miniature = house.study("smoke"), house.study("miniature")
    row = grid.Row("tiny-0.4m", "gptq-llmcompressor", "w4a16")
    digests = {paths.recipe_digest(paths.checkpoint_identity(house, s, row)) for s in (smoke, miniature)}
    assert len(digests) == 1


def test_nominal_storage_is_the_printed_one(house):
    assert study.nominal_gb(house, grid.Row("llama-3.1-405b-it", "awq", "w4a16")) == 202.5
