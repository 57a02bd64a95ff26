"""config/published/claims.yaml: the paper's findings as data."""

from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from edge2giant.config.entry import ConfigEntry, Settings, Text, listed, refusal
from edge2giant.jsonl import texts_in


class Lenient(ConfigEntry):
    """What a lenient reading changes."""

    predicate: Text | None = None
    with_: Settings = Field(alias="with", description="parameters of the predicate")


class ClaimPart(ConfigEntry):
    """A statement that numbers can decide."""

    says: Text = Field(default="", description="which part of the claim")
    predicate: Text = Field(description="function of claims/predicates.py")
    with_: Settings = Field(alias="with", description="parameters of the predicate")
    strictly: Text = Field(description="what the strict reading asks for")
    lenient: Lenient | None = None
    leniently: Text = Field(default="", description="what the lenient reading asks for")

    @model_validator(mode="after")
    def _lenient_has_its_text(self):
        if (self.lenient is None) != (self.leniently == ""):
            raise refusal("`lenient` and `leniently` go together")
        return self


class Claim(ConfigEntry):
    """A finding of the paper."""

    place: Text = Field(description="section of the paper, in quotes")
    statement: Text
    note: Text | None = None
    parts: listed(ClaimPart, min_length=1)


class Fact(ConfigEntry):
    """What is known without a number."""

    value: JsonValue
    source: Text


class Claims(ConfigEntry):
    """The whole file."""

    sets: dict[Text, Annotated[list[JsonValue], Field(min_length=1)]] = Field(description="named lists; @name stands for one")
    facts: dict[Text, Fact] = Field(default={})
    claims: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")], Claim], Field(min_length=1)]

    @model_validator(mode="after")
    def _named_lists_are_there(self):
        for name, claim in self.claims.items():
            for part in claim.parts:
                for text in texts_in([part.with_, part.lenient.with_ if part.lenient else {}]):
                    if text.startswith("@") and text[1:] not in self.sets:
                        known = f"choose one of: {', '.join(sorted(self.sets))}"
                        raise refusal(f"unknown set '{text[1:]}'", known, ("claims", name))
        return self
