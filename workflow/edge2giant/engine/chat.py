"""Chats: how every engine renders them, and which tokens end an answer.

A template gets the arguments and the date of the protocol, so that two days give the same prompts.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from edge2giant.errors import UserError
from edge2giant.specs.engine import NO_TEMPLATE

MARK = "edge2giant-mark"
GENERATION = "generation_config.json"
# Keys of generation_config.json that change no token that is chosen.
NOT_SAMPLING = {
    "bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "use_cache",
    "cache_implementation", "max_length", "max_new_tokens",
}  # fmt: skip


@dataclass(frozen=True)
class ChatSettings:
    """What protocol and model decide of a chat's text.

    Parameters
    ----------
    template : str or None
        Jinja text in place of the tokenizer's own template.
    arguments : dict
        Variables of the template, such as `enable_thinking`.
    date : str or None
        What the template takes for today, as `2024-07-26`; None for the clock's.
    """

    template: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    date: str | None = None

    def variables(self) -> dict[str, Any]:
        """What the template is rendered with, beside the chat."""
        if self.date is None:
            return self.arguments
        # transformers makes `strftime_now` a global of the template; a variable of this name goes before it
        return {"strftime_now": datetime.fromisoformat(self.date).strftime, **self.arguments}


def split(settings: Mapping[str, Any]) -> tuple[ChatSettings, dict[str, Any]]:
    """Take the settings of chats out of an engine's."""
    names = {"chat_template": "template", "chat_template_kwargs": "arguments", "date": "date"}
    chosen = {name: settings[key] for key, name in names.items() if settings.get(key) is not None}
    return ChatSettings(**chosen), {key: value for key, value in settings.items() if key not in names}


class Chat:
    """Renders chats and knows the tokens that end an answer; goes before lm-eval's class among the bases."""

    answers_turns = False
    """Whether prompts are chats, whose answers also end where the template ends a turn."""
    chat = ChatSettings()
    _ends: tuple[int, ...] = ()
    _ignored: Mapping[str, Any] = {}

    def use_chats(self, checkpoint: Path, chat: ChatSettings) -> None:
        """Take the settings of chats and the end tokens that the checkpoint's files name."""
        self.chat, self._stops = chat, {}
        self._ignored = {key: value for key, value in _json(checkpoint / GENERATION).items() if key not in NOT_SAMPLING}
        if chat.template is not None:
            self.tokenizer.chat_template = chat.template
        self._ends = tuple(sorted({*end_ids(checkpoint), *_some(self.tokenizer.eos_token_id)}))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render a chat; a template that refuses a system message gets the chat without it, as in lm-eval.

        Raises
        ------
        UserError
            If there is no template, or it refuses the chat.
        """
        if not getattr(self.tokenizer, "chat_template", True):
            raise UserError("the model has no chat template", hint=NO_TEMPLATE)
        try:
            return self._render(chat_history, add_generation_prompt)
        except jinja2.exceptions.TemplateError:
            rest = [message for message in chat_history if message["role"] != "system"]
        try:
            return self._render(rest, add_generation_prompt)
        except jinja2.exceptions.TemplateError as error:
            raise UserError(f"the chat template refuses a chat ({error})", hint=NO_TEMPLATE) from None

    def _render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        return self.tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **self.chat.variables(),
        )

    def stop_ids(self, until: Iterable[str] = ()) -> list[int]:
        """Tokens that end an answer: the checkpoint's, the template's for a chat, and stop texts that are one token."""
        asked = (frozenset(until), self.answers_turns)
        if asked not in self._stops:
            texts = {*until, *(turn_end(self) if self.answers_turns else ())}
            named = (number for number, text in added_tokens(self.tokenizer).items() if text in texts)
            self._stops[asked] = sorted({*self._ends, *named})
        return list(self._stops[asked])

    def prompting(self) -> dict[str, Any]:
        """How prompts and answers begin and end, as executed: part of the `engine` block of a cell."""
        bos, ids = self.tokenizer.bos_token_id, list(self.tok_encode("a"))
        return {
            "bos": bos is not None and ids[:1] == [bos],
            "stop_tokens": {str(self.tokenizer.convert_ids_to_tokens(one)): one for one in self.stop_ids()},
            "generation": "argmax, or as the request says",
            "generation_config_ignored": dict(self._ignored),
            "chat_template_kwargs": self.chat.arguments,
            "date": self.chat.date,
        }


def turn_end(lm: Any) -> list[str]:
    """Return the text of the token that ends an assistant's turn in the chat template, as a list of none or one.

    Engines stop at the tokenizer's EOS, but in some templates (Gemma) a turn ends with another token; a
    model that does not stop there goes on to write the user's part.

    Raises
    ------
    UserError
        If the model has no chat template.
    """
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": MARK},
        {"role": "user", "content": "b"},
    ]
    after = lm.apply_chat_template(chat).partition(MARK)[2].lstrip()
    known = [text for text in added_tokens(getattr(lm, "tokenizer", None)).values() if text and after.startswith(text)]
    if known:
        return [max(known, key=len)]
    found = re.match(r"<[^<>\s]+>", after)
    return [found.group()] if found else []


def added_tokens(tokenizer: Any) -> dict[int, str]:
    """Tokens that stand for themselves in every text, by id."""
    return {number: str(token) for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}


def end_ids(checkpoint: Path) -> set[int]:
    """The `eos_token_id` of generation_config.json and config.json."""
    found: set[int] = set()
    for name in (GENERATION, "config.json"):
        config = _json(checkpoint / name)
        for part in (config, config.get("text_config") or {}):
            found.update(_some(part.get("eos_token_id")))
    return found


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _some(ids: int | list[int] | None) -> list[int]:
    return ids if isinstance(ids, list) else [] if ids is None else [ids]
