"""MT-Bench answers: what is asked of an engine (any lm-eval model), and real answers of a tiny model."""

import json
import sys
import types
from dataclasses import replace

import jinja2
import pytest
from edge2giant import jsonl
from edge2giant.engine import open_engine
from edge2giant.engine.chat import turn_end
from edge2giant.errors import UserError
from edge2giant.evaluate import mt_bench
from edge2giant.mt_bench import read_questions
from edge2giant.records.mt_bench import Answer
from edge2giant.specs.evaluate import GenerationSpec
from shared import shared
from tiny_answers import TURN_END, tiny_model

LLAMA3 = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "<bos>{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} </s>{% endif %}{% endfor %}"
)
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"

FASTCHAT, GREEDY = GenerationSpec("fastchat", 1024, 0), GenerationSpec("greedy", 1024, 0)
QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write a poem.", "Now shorter."]},
    {"question_id": 111, "category": "math", "turns": ["What is 1 + 1?", "And 2 + 2?"]},
    {"question_id": 141, "category": "stem", "turns": ["Count from 1 to 3.", "Count from 2 to 4."]},
]


class Recorder:
    """An engine with lm-eval's interface that remembers what it was asked; one token a word."""

    def __init__(self, template=LLAMA3, window=4096, seeds=True):
        self.template, self.max_length, self.accepts_request_seed = jinja2.Template(template), window, seeds
        self.tokenizer, self.calls = types.SimpleNamespace(bos_token_id=None), []

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        return self.template.render(messages=chat_history, add_generation_prompt=add_generation_prompt)

    def tok_encode(self, string, add_special_tokens=None, **kwargs):
        return string.split()

    def generate_until(self, requests):
        self.calls.append([request.args for request in requests])
        return [f" reply {len(self.calls)} to {len(request.args[0])} " for request in requests]


@pytest.fixture(autouse=True)
def lm_eval_instance(monkeypatch):
    """Where lm-eval is not installed, its request record is enough for the tests of what is asked."""
    try:
        import lm_eval.api.instance  # noqa: F401
    except ImportError:

        class Instance:
            def __init__(self, request_type, doc, arguments, idx, metadata):
                self.args, self.idx = arguments, idx

        module = types.ModuleType("lm_eval.api.instance")
        module.Instance = Instance
        for name in ("lm_eval", "lm_eval.api"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, "lm_eval.api.instance", module)


@pytest.mark.parametrize(
    ("template", "stop"),
    [(LLAMA3, ["<|eot_id|>"]), (GEMMA, ["<end_of_turn>"]), (LLAMA2, ["</s>"]), (PLAIN, [])],
)
def test_the_token_that_ends_a_turn_is_read_from_the_template(template, stop):
    assert turn_end(Recorder(template)) == stop


def test_all_questions_of_a_turn_go_together_and_turn_two_holds_the_first_answer():
    lm = Recorder()
    answers = mt_bench.generate_answers(lm, QUESTIONS, "m", FASTCHAT)
    assert [len(call) for call in lm.calls] == [3, 3]
    assert [a["question_id"] for a in answers] == [81, 111, 141]
    second = lm.calls[1][0][0]
    assert second.index("Write a poem.") < second.index(answers[0]["choices"][0]["turns"][0]) < second.index("Now")
    assert second.endswith("assistant<|end_header_id|>\n\n") and second.count("<|begin_of_text|>") == 1


def test_temperatures_are_fastchats_by_category_or_greedy():
    lm = Recorder()
    mt_bench.generate_answers(lm, QUESTIONS, "m", replace(FASTCHAT, seed=7))
    by_category = [arguments for _, arguments in lm.calls[0]]
    assert [a["temperature"] for a in by_category] == [0.7, 0.0, 0.1]
    assert [a.get("seed") for a in by_category] == [7, None, 7]
    assert [a["do_sample"] for a in by_category] == [True, False, True]
    assert {a["max_gen_toks"] for a in by_category} == {1024}
    lm = Recorder()
    mt_bench.generate_answers(lm, QUESTIONS, "m", GREEDY)
    assert not any(a["do_sample"] or "seed" in a for _, a in lm.calls[0] + lm.calls[1])


def test_without_seeds_sampled_questions_are_asked_one_by_one_and_the_rest_together(monkeypatch):
    seeded = []
    monkeypatch.setattr(mt_bench, "_seed_everything", seeded.append)
    lm = Recorder(seeds=False)
    answers = mt_bench.generate_answers(lm, QUESTIONS, "m", replace(FASTCHAT, seed=3))
    assert [len(call) for call in lm.calls] == [1, 1, 1] * 2 and seeded == [3, 3] * 2
    assert [call[0][1]["do_sample"] for call in lm.calls] == [False, True, True] * 2
    assert [a["question_id"] for a in answers] == [81, 111, 141]


def test_a_short_window_shortens_answers_before_it_cuts_prompts():
    lm = Recorder(window=200)
    answers = mt_bench.generate_answers(lm, QUESTIONS, "m", GREEDY)
    notes = [turn for answer in answers for turn in answer["generation"]["turns"]]
    assert {note["limit"] for note in notes} == {128, 192} and not any(note["prompt_cut"] for note in notes)
    long = [{**QUESTIONS[0], "turns": ["word " * 300, "again"]}]
    (answer,) = mt_bench.generate_answers(lm, long, "m", GREEDY)
    assert answer["generation"]["turns"][0]["prompt_cut"]


def test_two_bos_tokens_are_refused():
    lm = Recorder()
    lm.tokenizer.bos_token_id = "<s>"
    lm.tok_encode = lambda string, **_: ["<s>", "<s>", *string.split()]
    with pytest.raises(UserError, match="two BOS tokens"):
        mt_bench.generate_answers(lm, QUESTIONS, "m", FASTCHAT)


def test_the_answer_file_has_fastchats_format(tmp_path):
    path = tmp_path / "answers.jsonl"
    answers = mt_bench.generate_answers(Recorder(), QUESTIONS, "m", FASTCHAT)
    jsonl.write(path, answers, Answer)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["question_id"] for row in rows] == [81, 111, 141]
    for row in rows:
        assert {"question_id", "answer_id", "model_id", "choices", "tstamp"} <= set(row)
        assert row["choices"][0]["index"] == 0 and len(row["choices"][0]["turns"]) == 2
    assert list(jsonl.read(path, Answer)) == rows


def test_questions_that_are_wrong_are_named_with_their_line(tmp_path):
    path = tmp_path / "question.jsonl"
    path.write_text(json.dumps(QUESTIONS[0]) + '\n{"question_id": 82, "category": "math", "turns": ["one"]}\n')
    with pytest.raises(UserError, match=r"question.jsonl:2.*turns"):
        read_questions(path)
    path.write_text("")
    with pytest.raises(UserError, match="no question"):
        read_questions(path)
    with pytest.raises(UserError, match="missing"):
        read_questions(tmp_path / "none.jsonl")


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    """The Hugging Face engine with a random model whose tokenizer adds a BOS and whose template writes one too."""
    folder = tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    with open_engine("hf", folder, {"device": "cpu", "dtype": "float32", "batch_size": 8}) as lm:
        yield lm


SETTINGS = GenerationSpec("fastchat", 24, 0)


def turns(answers):
    return {a["question_id"]: a["choices"][0]["turns"] for a in answers}


@pytest.mark.toolkit("main")
def test_a_hugging_face_model_sees_exactly_one_bos(resident, monkeypatch):
    seen = []
    generate = resident._model_generate

    def spy(context, max_length, stop, **kwargs):
        seen.append(context.clone())
        return generate(context, max_length, stop, **kwargs)

    monkeypatch.setattr(resident, "_model_generate", spy)
    mt_bench.generate_answers(resident, QUESTIONS, "m", SETTINGS)
    rows = [row for batch in seen for row in batch.tolist()]
    assert len(rows) == 6
    for row in rows:
        assert row.count(1) == 1 and row[: row.index(1)] == [0] * row.index(1)


@pytest.mark.toolkit("main")
@pytest.mark.parametrize("temperatures", ["fastchat", "greedy"])
def test_answers_do_not_depend_on_batching_or_order(resident, temperatures, monkeypatch):
    settings = replace(SETTINGS, temperatures=temperatures)
    first = turns(mt_bench.generate_answers(resident, QUESTIONS, "m", settings))
    monkeypatch.setattr(resident, "batch_size_per_gpu", 1)
    again = turns(mt_bench.generate_answers(resident, QUESTIONS[::-1], "m", settings))
    assert first == again
    assert all(text for pair in first.values() for text in pair)


@pytest.mark.toolkit("main")
def test_the_seed_moves_sampled_answers_alone(resident):
    first = turns(mt_bench.generate_answers(resident, QUESTIONS, "m", SETTINGS))
    other = turns(mt_bench.generate_answers(resident, QUESTIONS, "m", replace(SETTINGS, seed=1)))
    assert first[81] != other[81] and first[111] == other[111]


@pytest.mark.toolkit("main")
def test_answers_stop_at_the_end_of_the_turn(resident, monkeypatch):
    import torch

    letter, end = (resident.tokenizer.convert_tokens_to_ids(one) for one in ("h", TURN_END))

    def writing_on(input_ids, **_):
        return torch.cat([input_ids, torch.tensor([[letter, end, letter]] * len(input_ids))], dim=1)

    monkeypatch.setattr(resident.model, "generate", writing_on)
    (answer,) = mt_bench.generate_answers(resident, QUESTIONS[:1], "m", SETTINGS)
    assert answer["choices"][0]["turns"] == ["h", "h"]
    assert answer["generation"]["stop"] == [TURN_END]
    assert not answer["generation"]["turns"][0]["limit_reached"]


@pytest.mark.toolkit("main")
def test_all_real_questions_are_answered(resident):
    questions = read_questions(shared("datasets/mt_bench/question.jsonl"))
    answers = mt_bench.generate_answers(resident, questions, "m", replace(SETTINGS, temperatures="greedy"))
    assert [answer["question_id"] for answer in answers] == list(range(81, 161))
    assert any(turn["prompt_cut"] for answer in answers for turn in answer["generation"]["turns"])
