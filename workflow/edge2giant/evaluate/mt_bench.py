"""MT-Bench answers: two turns for each question, by the language model that an evaluation batch has loaded.

The model is used through lm-eval's public interface alone, so that a Hugging Face model and a vLLM engine are treated alike.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge2giant import records
from edge2giant.engine.chat import turn_end
from edge2giant.errors import UserError
from edge2giant.mt_bench import temperature as fastchat_temperature
from edge2giant.specs.evaluate import GenerationSpec

RESULT_VERSION = 1

# Where a model is too short for a prompt and all the new tokens, answers are shortened in steps of this many tokens, so that
# engines which batch requests with equal generation settings still get batches.
STEP = 64
LEAST_NEW_TOKENS = 16


def generate_answers(lm, questions: Sequence[dict], model_id: str, generation: GenerationSpec) -> list[dict]:
    """Generate both turns of every question.

    All first turns go to the engine together, then all second turns, each prompt with the model's own chat template and its
    earlier answers. Sampled answers do not depend on how an engine batches: an engine that takes a seed with each request gets
    one; any other gets one question at a time after the global generators are seeded (as FastChat does).

    Parameters
    ----------
    lm : lm_eval.api.model.TemplateLM
        Resident model.
    model_id : str
        Name written into each answer.

    Returns
    -------
    list of dict
        One `records.mt_bench.Answer` a question, in the order of the questions.

    Raises
    ------
    UserError
        If the model has no chat template, or templated text would carry two BOS tokens.
    """
    stop = turn_end(lm)
    chats = [_Chat(question) for question in questions]
    for turn in (0, 1):
        for chat in chats:
            chat.messages.append({"role": "user", "content": chat.question["turns"][turn]})
        requests = [_request(lm, chat, generation, stop) for chat in chats]
        for chat, request, reply in zip(chats, requests, _generate(lm, requests, generation.seed), strict=True):
            text = reply.strip()
            chat.messages.append({"role": "assistant", "content": text})
            chat.notes.append(_turn_note(lm, request, text))
    return [_record(chat, model_id, generation, stop) for chat in chats]


@dataclass(frozen=True)
class _Chat:
    """A question with its messages so far, and a note on each answered turn."""

    question: dict
    messages: list[dict] = field(default_factory=list)
    notes: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class _Request:
    prompt: str
    prompt_tokens: int
    arguments: dict


def temperature_of(question: dict, generation: GenerationSpec) -> float:
    """Sampling temperature of a question's answers; 0 means greedy."""
    return 0.0 if generation.temperatures == "greedy" else fastchat_temperature(question["category"])


def _request(lm, chat: _Chat, generation: GenerationSpec, stop: list[str]) -> _Request:
    prompt = lm.apply_chat_template(chat.messages)
    tokens = lm.tok_encode(prompt)
    # a template that writes BOS and a tokenizer that adds another one change every answer; lm-eval's models avoid it
    bos = lm.tokenizer.bos_token_id
    if bos is not None and list(tokens[:2]) == [bos, bos]:
        raise UserError("templated prompts start with two BOS tokens", "mt_bench", "load the model without add_bos_token")
    temperature = temperature_of(chat.question, generation)
    limit = _new_tokens(lm.max_length - len(tokens), generation.max_new_tokens)
    arguments = {"until": list(stop), "max_gen_toks": limit, "temperature": temperature, "do_sample": temperature > 0}
    if temperature > 0:
        # the whole distribution, whatever a checkpoint's generation_config would cut from it
        arguments["top_p"] = 1.0
        arguments |= {"seed": generation.seed} if takes_seed(lm) else {"top_k": 0}
    return _Request(prompt, len(tokens), arguments)


def _new_tokens(room: int, wanted: int) -> int:
    """How many tokens may follow a prompt that leaves so much room in the model's window, without pushing its start out."""
    if wanted <= room:
        return wanted
    room = max(room, LEAST_NEW_TOKENS)
    return min(wanted, room if room < STEP else room // STEP * STEP)


def takes_seed(lm) -> bool:
    """Whether the generation arguments of an engine may have a `seed`."""
    return getattr(lm, "accepts_request_seed", False)


def _generate(lm, requests: list[_Request], seed: int) -> list[str]:
    alone = [] if takes_seed(lm) else [i for i, r in enumerate(requests) if r.arguments["do_sample"]]
    together = sorted(set(range(len(requests))) - set(alone))
    answers = dict(zip(together, _send(lm, [requests[i] for i in together]), strict=True)) if together else {}
    for index in alone:
        _seed_everything(seed)
        answers[index] = _send(lm, [requests[index]])[0]
    return [answers[i] for i in range(len(requests))]


def _send(lm, requests: list[_Request]) -> list[str]:
    from lm_eval.api.instance import Instance

    return lm.generate_until(
        [Instance("generate_until", {}, (r.prompt, r.arguments), at, ("mt_bench", at, 1)) for at, r in enumerate(requests)]
    )


def _seed_everything(seed: int) -> None:
    import transformers

    transformers.set_seed(seed)


def _turn_note(lm, request: _Request, answer: str) -> dict:
    limit = request.arguments["max_gen_toks"]
    tokens = len(lm.tok_encode(answer, add_special_tokens=False)) if answer else 0
    return {
        "prompt_tokens": request.prompt_tokens,
        "answer_tokens": tokens,
        "limit": limit,
        "limit_reached": tokens >= limit,
        "prompt_cut": request.prompt_tokens + limit > lm.max_length,
    }


def _record(chat: _Chat, model_id: str, generation: GenerationSpec, stop: list[str]) -> dict:
    question = chat.question
    turns = [message["content"] for message in chat.messages if message["role"] == "assistant"]
    identity = {"model": model_id, "question": question["question_id"], "turns": turns}
    return {
        "question_id": question["question_id"],
        "answer_id": records.digest(identity)[:22],
        "model_id": model_id,
        "choices": [{"index": 0, "turns": turns}],
        "tstamp": time.time(),
        "generation": {
            "category": question["category"],
            "temperature": temperature_of(question, generation),
            "seed": generation.seed,
            "stop": stop,
            "turns": chat.notes,
        },
    }
