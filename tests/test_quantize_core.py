"""Checkpoints appear whole or not at all; calibration text is drawn as its set says; faults are said with their hint."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from edge2giant import specs
from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.quantize import calibration, compat, core, environment, faults, toolkits
from edge2giant.records.checkpoint import Fallback
from quantize_model import calibration_set, spec, write_model, write_text
from shared import ROOT


class Letters:
    """A tokenizer of single letters, for tests of packing."""

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [0] * add_special_tokens + [ord(letter) for letter in text]}

    def apply_chat_template(self, messages, tokenize, strftime_now):
        return strftime_now("%d") + "|".join(message["content"] for message in messages)


ROWS = [{"text": letter * length} for letter, length in zip("abcdefgh", (3, 9, 5, 12, 7, 20, 2, 8), strict=True)]


def pack(**changes):
    return calibration.pack(ROWS, calibration_set(**{"samples": 3, "length": 8, "seed": 1} | changes), Letters())


def test_truncate_cuts_and_keeps_the_order_of_datasets_shuffle():
    order = calibration.shuffled(len(ROWS), 1)
    expected = [([0] + [ord(x) for x in ROWS[i]["text"]])[:8] for i in order[:3]]
    assert pack(packing="truncate") == expected


def test_full_takes_long_documents_alone():
    samples = pack(packing="full", length=9)
    assert all(len(ids) == 9 for ids in samples) and len(samples) == 3
    with pytest.raises(UserError, match="gives 4 samples where set 'test' wants 6 of 9 tokens"):
        pack(packing="full", length=9, samples=6)


def test_blocks_skip_long_documents_and_lay_the_rest_end_to_end():
    samples = pack(packing="blocks", samples=5)
    assert all(len(ids) == 8 for ids in samples)
    kept = [row["text"][0] for row in ROWS if len(row["text"]) + 1 <= 8]
    assert {chr(token) for ids in samples for token in ids if token} <= set(kept)


def test_windows_have_one_length_and_a_seed():
    assert pack(packing="windows") == pack(packing="windows") != pack(packing="windows", seed=2)
    assert {len(ids) for ids in pack(packing="windows")} == {8}


def test_random_tokens_lie_in_the_vocabulary():
    drawn = calibration.random_tokens(calibration_set(samples=4, length=50), 7)
    assert len(drawn) == 4 and all(len(ids) == 50 and set(ids) <= set(range(7)) for ids in drawn)


def test_a_conversation_goes_through_the_chat_template():
    row = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}
    assert calibration.tokenise(row, Letters(), date="2024-07-26") == [ord(x) for x in "26hi|yo"]
    with pytest.raises(UserError, match="a conversation needs the date of its set"):
        calibration.tokenise(row, Letters())


def test_bad_text_is_named_by_line(tmp_path):
    (tmp_path / "text.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(UserError, match="line 2"):
        calibration.read_documents(tmp_path / "text.jsonl")
    with pytest.raises(UserError, match="is missing"):
        calibration.read_documents(tmp_path / "none.jsonl")


def test_documents_end_at_line_feeds_alone(tmp_path):
    """U+2028, U+0085 and other line ends of Unicode stand unescaped in JSON; they belong to the text."""
    texts = ["one\u2028two", "three\x85four\u2029"]
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    (tmp_path / "text.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    assert [row["text"] for row in calibration.read_documents(tmp_path / "text.jsonl")] == texts


def test_heldout_text_must_not_be_calibration_text(tmp_path):
    one, other = write_text(tmp_path / "one", 1), write_text(tmp_path / "other", 2)
    calibration.refuse_overlap(one / "text.jsonl", other / "text.jsonl")
    with pytest.raises(UserError, match="24 held-out documents are calibration text"):
        calibration.refuse_overlap(one / "text.jsonl", one / "text.jsonl")


def test_an_interrupted_run_leaves_nothing(tmp_path):
    out = tmp_path / "model" / "scheme"
    with pytest.raises(KeyboardInterrupt), core.staged(out) as folder:
        (folder / "model.safetensors").write_text("half")
        raise KeyboardInterrupt
    assert list(out.parent.iterdir()) == []


def test_a_killed_run_is_swept_by_the_next(tmp_path):
    out = tmp_path / "scheme"
    done = subprocess.run([sys.executable, "-c", "print(__import__('os').getpid())"], capture_output=True, text=True)
    dead, alive = tmp_path / f".scheme.making-{int(done.stdout)}", tmp_path / f".scheme.making-{os.getppid()}"
    dead.mkdir()
    alive.mkdir()
    with core.staged(out) as folder:
        (folder / "config.json").write_text("{}")
    assert out.is_dir() and not dead.exists() and alive.exists()


def test_an_older_checkpoint_is_replaced_and_a_foreign_folder_is_not(tmp_path):
    out = tmp_path / "out"
    for text in ("old", "new"):
        with core.staged(out) as folder:
            (folder / "config.json").write_text(text)
    assert (out / "config.json").read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["out"]
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.tex").write_text("x")
    with pytest.raises(UserError, match="would be replaced"), core.staged(foreign):
        pass
    assert (foreign / "chapter1.tex").exists()


@pytest.mark.toolkit("main")
def test_groups_that_do_not_divide_are_refused_before_anything_runs(tmp_path):
    model = write_model(tmp_path / "model")
    recipe = {"bits": 4, "group_size": 96, "ignore": ["lm_head"]}
    folders = core.Folders(model, tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="256 input channels do not split into groups of 96"):
        core.run(spec("rtn", recipe), folders)
    assert not (tmp_path / "out").exists()


def fake_model(folder):
    """A folder with the files of a model, which nobody loads."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def test_the_unquantized_checkpoint_is_links_that_survive_a_move(tmp_path):
    model = fake_model(tmp_path / "store" / "model")
    staging, out = tmp_path / "results" / ".making", tmp_path / "results" / "fp16"
    staging.mkdir(parents=True)
    toolkits.module("none").quantize(model, {}, None, staging)
    staging.rename(out)
    link = out / "model.safetensors"
    assert link.is_symlink() and not link.readlink().is_absolute()
    assert core.digest_of(core.checksums(out)) == core.digest_of(core.checksums(model))


def test_a_changed_file_is_found(tmp_path, monkeypatch):
    model = fake_model(tmp_path / "model")
    recorded = SimpleNamespace(files=core.checksums(model))
    monkeypatch.setattr(core.records, "read", lambda path, kind: recorded)
    core.verify(model)
    (model / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config\.json: was changed"):
        core.verify(model)
    (model / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json: is missing"):
        core.verify(model)


def test_an_old_transformers_gets_old_keys():
    new = {"dtype": "float16", "rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0}}
    old = compat.old_config(new)
    assert old == {"torch_dtype": "float16", "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}
    assert compat.old_config({"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}})["rope_scaling"] is None
    assert compat.old_tokenizer({"tokenizer_class": "TokenizersBackend", "backend": "x"}) == {
        "tokenizer_class": "PreTrainedTokenizerFast"
    }


def test_out_of_memory_says_what_to_give():
    told = faults.out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"), 16 * 2**30, None)
    assert "at least 36.0 GiB" in str(told) and "mem_mb=36864" in str(told)
    gpu = faults.out_of_memory(type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 1, 40 * 2**30)
    assert "this one has 40 GiB" in str(gpu) and "shorter `length`" in str(gpu)
    assert faults.out_of_memory(RuntimeError("shape mismatch"), 1, None) is None


def test_singular_hessian_names_layers_and_hint():
    tried = [Fallback(("model.layers.3.mlp.down_proj",), 0.01, "x")]
    message = str(faults.singular(tried, allowed=[]))
    assert "model.layers.3.mlp.down_proj" in message and "0.01" in message and "fallback_dampening" in message


def test_the_environment_names_no_path_and_no_host():
    text = json.dumps(environment.record())
    assert str(ROOT) not in text and sys.prefix not in text and os.uname().nodename not in text


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: apache-2.0\nbase_model: x\n---\n# Model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: 'llama3.1'\n---\n", "llama3.1"),
        ("# Model\nlicense: mit\n", None),
        ("", None),
        (None, None),
    ],
)
def test_the_licence_is_that_of_the_models_readme(tmp_path, text, licence):
    if text is not None:
        (tmp_path / "README.md").write_text(text)
    assert read.licence(tmp_path) == licence


def test_bad_arguments_are_one_line(tmp_path):
    digest = specs.write(spec("rtn", {}), tmp_path)
    written = specs.path(tmp_path, digest)
    options = {"--spec": written, "--spec-digest": digest, "--model": "nowhere", "--heldout": tmp_path, "--out": "o"}
    for changed, message in (({}, "nowhere: is not a folder; acquire it first"), ({"--spec-digest": "0" * 64}, "has digest")):
        words = [str(part) for pair in (options | changed).items() for part in pair]
        command = [sys.executable, "-m", "edge2giant.quantize", "run", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "workflow")})
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_job_imports_neither_configuration_nor_plan():
    code = (
        "import sys; sys.modules['pydantic'] = sys.modules['edge2giant.config'] = sys.modules['edge2giant.plan'] = None;"
        "import edge2giant.quantize.__main__;"
        "from edge2giant.quantize import calibration, card, compat, core, environment, faults, preflight, sizes;"
        "from edge2giant.quantize import tensors, toolkits;"
        "from edge2giant.quantize.validation import agreement, checks;"
        "[toolkits.module(name) for name in toolkits.names()];"
        "print(sorted({'torch', 'numpy', 'safetensors', 'transformers', 'llmcompressor', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "workflow")}
    )
    assert done.stdout.strip() == "[]", done.stderr
