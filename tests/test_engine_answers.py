"""What the Hugging Face engine answers: finite numbers, argmax, the same at every batch size, to the end of the turn."""

import json
import types

import pytest
from edge2giant.engine import describe, open_engine
from edge2giant.engine.checks import NotFiniteError
from edge2giant.errors import UserError
from tiny_answers import TURN_END, broken, tiny_model

pytestmark = pytest.mark.toolkit("main")
SETTINGS = {"dtype": "float32", "device": "cpu", "batch_size": 4, "max_model_len": 128}


def request(*texts, **more):
    return types.SimpleNamespace(args=(*texts, *more.values()), task_name="arc", doc_id=7)


def asked(prompts, until=(), **more):
    arguments = {"until": list(until), "max_gen_toks": 12, "do_sample": False, "temperature": 0.0, **more}
    return [request(prompt, arguments=arguments) for prompt in prompts]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


PROMPTS = ["one two", "a b c d e f", "x", "the rain fell on the hill", "zz", "why", "the end of it"]


def test_a_model_that_computes_no_numbers_is_refused(model, tmp_path):
    with open_engine("hf", broken(model, tmp_path / "infinite", float("inf")), SETTINGS) as lm:
        with pytest.raises(NotFiniteError, match=r"^3 of 3 log-likelihoods are not finite; set dtype to bfloat16"):
            lm.loglikelihood([request("one two", " three"), request("a", " b"), request("", "c d")])
        with pytest.raises(NotFiniteError, match="1 of 1 log-likelihoods"):
            lm.loglikelihood_rolling([request("one two three")])
        for sampled in ({}, {"do_sample": True, "temperature": 0.7}):
            with pytest.raises(NotFiniteError, match="logits of 4 of 4 answers are not finite"):
                lm.generate_until(asked(PROMPTS[:4], **sampled))


def test_numbers_that_do_not_fit_the_data_type_are_refused(model, tmp_path):
    wide = broken(model, tmp_path / "wide", 3e38)
    with open_engine("hf", wide, {**SETTINGS, "dtype": "bfloat16"}) as lm:
        lm.loglikelihood([request("one two", " three")])
    with open_engine("hf", wide, {**SETTINGS, "dtype": "float16"}) as lm, pytest.raises(NotFiniteError):
        lm.loglikelihood([request("one two", " three")])


def answers(model, settings=None, prompts=PROMPTS, chats=False, **more):
    with open_engine("hf", model, SETTINGS | (settings or {})) as lm:
        lm.answers_turns = chats
        return lm.generate_until(asked(prompts, **more)), describe(lm)["prompting"]


GREEDILY_WRONG = {
    "repetition_penalty": 1.8, "no_repeat_ngram_size": 1, "min_new_tokens": 12, "do_sample": True, "temperature": 3.0, "top_k": 3,
    "top_p": 0.5, "suppress_tokens": [40, 41, 42], "begin_suppress_tokens": [43], "bad_words_ids": [[44], [45]], "num_beams": 3,
    "forced_bos_token_id": 5, "forced_eos_token_id": 6, "sequence_bias": [[[46], -9.0]], "penalty_alpha": 0.6, "typical_p": 0.4,
    "exponential_decay_length_penalty": [1, 2.0], "renormalize_logits": True, "encoder_repetition_penalty": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("key", [*GREEDILY_WRONG, None])
def test_greedy_is_argmax_whatever_generation_config_says(model, tmp_path, key):
    import shutil

    changed = shutil.copytree(model, tmp_path / "changed")
    extra = {key: GREEDILY_WRONG[key]} if key else {"repetition_penalty": 1.8, "no_repeat_ngram_size": 1}
    path = changed / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **extra}))
    found, prompting = answers(changed)
    expected, plain = answers(model)
    assert found == expected
    assert prompting["generation_config_ignored"] == plain["generation_config_ignored"] | extra


@pytest.mark.parametrize("chats", [False, True])
def test_answers_do_not_depend_on_the_batch(model, chats):
    found = [answers(model, {"batch_size": size}, PROMPTS * 3, chats)[0] for size in (1, 7, 64)]
    assert found[0] == found[1] == found[2]


def test_an_answer_ends_with_the_turn_and_at_stop_texts_that_are_tokens(model):
    with open_engine("hf", model, SETTINGS) as lm:
        import torch

        text = lm.tokenizer.encode("hi", add_special_tokens=False)
        end, eos = lm.tokenizer.convert_tokens_to_ids(TURN_END), lm.tokenizer.eos_token_id
        writes = torch.tensor([[*text, end, *text, *text], [*text, *text, *text, eos]])

        def writing(input_ids, **_):  # what a batch writes until all its rows have ended
            return torch.cat([input_ids, writes], dim=1)

        lm.model.generate = writing
        lm.answers_turns = True
        assert lm.generate_until(asked(["a", "b"])) == ["hi", "hihihi"]
        assert end in lm.stop_ids() and eos in lm.stop_ids()
        lm.answers_turns = False
        assert end not in lm.stop_ids()
        assert lm.generate_until(asked(["a", "b"], until=[TURN_END])) == ["hi", "hihihi"]


def test_ends_named_by_either_config_end_an_answer(model, tmp_path):
    import shutil

    changed = shutil.copytree(model, tmp_path / "ends")
    for name, ends in (("generation_config.json", [30, 31]), ("config.json", 32)):
        path = changed / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": ends}))
    with open_engine("hf", changed, SETTINGS) as lm:
        assert {30, 31, 32, lm.tokenizer.eos_token_id} == set(lm.stop_ids())


def test_a_request_without_text_names_task_and_document(model):
    with open_engine("hf", model, SETTINGS) as lm:
        for empty in (request("one", ""), request("", "")):
            with pytest.raises(UserError, match="task arc, document 7: its continuation is empty"):
                lm.loglikelihood([request("a", " b"), empty])
        with pytest.raises(UserError, match="task arc, document 7: its prompt is empty"):
            lm.generate_until(asked([""]))
        with pytest.raises(UserError, match=r"task arc, document 7: its continuation has .* tokens, the model takes 126"):
            lm.loglikelihood([request("a", " word" * 80)])
        with pytest.raises(UserError, match="task arc, document 7: its continuation has no token"):
            lm.loglikelihood([request("", lm.tokenizer.bos_token)])


def test_two_days_give_one_prompt(model):
    chat = [{"role": "user", "content": "hi"}]
    template = "{{ strftime_now('%d %b %Y') }} {{ enable_thinking }} {{ messages[0].content }}"
    settings = {"chat_template": template, "chat_template_kwargs": {"enable_thinking": False}, "date": "2024-07-26"}
    with open_engine("hf", model, SETTINGS | settings) as lm:
        assert lm.apply_chat_template(chat) == "26 Jul 2024 False hi"
        assert describe(lm)["prompting"]["date"] == "2024-07-26"


def test_a_model_without_a_template_is_one_line(model):
    with open_engine("hf", model, SETTINGS) as lm:
        lm.tokenizer.chat_template = None
        with pytest.raises(UserError, match=r"^the model has no chat template; give the model's entry"):
            lm.apply_chat_template([{"role": "user", "content": "hi"}])
