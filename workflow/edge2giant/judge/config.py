"""config/judges.yaml: who rates answers, at what price and within which limits."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from edge2giant import records
from edge2giant.errors import UserError


@dataclass(frozen=True)
class Judge:
    """One entry of judges.yaml, with the defaults filled in (see docs/mt_bench.md for each key)."""

    name: str
    title: str
    kind: str
    model: str
    base_url: str
    price_usd_per_1k_tokens: dict
    limit_usd: float | None
    repeats: int
    concurrency: int
    model_choice: str | None = None
    key_file: str | None = None
    key_env: str | None = None
    serve: tuple[str, ...] = ()
    ready_timeout_s: float = 900.0
    price_source: str | None = None
    timeout_s: float = 180.0
    attempts: int = 8
    longest_wait_s: float = 60.0
    give_up_after: int = 8
    temperature: float | None = 0.0
    max_tokens: int = 2048
    gpus: int = 0
    token_limit_parameter: str = "max_tokens"
    extra_body: dict = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Say whether no token costs anything."""
        return not any(self.price_usd_per_1k_tokens.values())

    def usd(self, tokens_in: int, tokens_out: int) -> float:
        """Return the price of so many prompt and completion tokens, in USD."""
        price = self.price_usd_per_1k_tokens
        return (tokens_in * price["prompt"] + tokens_out * price["completion"]) / 1000

    def changed(self, **options) -> "Judge":
        """Return a copy in which every option that is not None replaces the entry's value."""
        return replace(self, **{key: value for key, value in options.items() if value is not None})


def load(path: str | Path, name: str) -> Judge:
    """Read one entry of judges.yaml.

    Raises
    ------
    UserError
        If the file cannot be read, does not fit its schema or has no such entry.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"cannot be read ({error})", path, "mend the file") from None
    if wrong := records.problem(document, "judges"):
        raise UserError(wrong, path, "docs/mt_bench.md lists the keys of an entry")
    if name not in document:
        raise UserError(f"has no judge {name!r}", path, f"choose one of: {', '.join(sorted(document))}")
    entry = dict(document[name], serve=tuple(document[name].get("serve", ())))
    return Judge(name=name, **entry)


def api_key(judge: Judge, key_file: str | None = None) -> str:
    """Return the judge's API key, or a placeholder for an endpoint that asks for none.

    The first line of `key_file` (the option, else the entry's) counts; where that file is missing, the
    environment variable that the entry names.

    Raises
    ------
    UserError
        If the entry names a place for the key and none is there. The message never holds a key.
    """
    file = key_file or judge.key_file
    if file and (path := Path(file).expanduser()).is_file():
        if key := _first_line(path):
            return key
        raise UserError("holds no key on its first line", file, "write the key there")
    if key_file:
        raise UserError("is missing", key_file, "check --key-file")
    if judge.key_env and (key := os.environ.get(judge.key_env, "").strip()):
        return key
    if not judge.key_file and not judge.key_env:
        return "no-key-needed"
    places = [p for p in (judge.key_file, judge.key_env and f"${judge.key_env}") if p]
    hint = "put it there or give --key-file"
    raise UserError(f"no API key in {' or '.join(places)}", f"judge {judge.name}", hint)


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({type(error).__name__})", path, "mend its rights") from None
    return lines[0].strip() if lines else ""
