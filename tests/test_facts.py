"""Pages that are written from config/published/facts.yaml, and what they must list."""

import pytest
from edge2giant import config
from edge2giant.plan import facts
from shared import ROOT


@pytest.fixture(scope="module")
def found():
    return config.load()


@pytest.mark.parametrize("name", facts.PAGES)
def test_the_pages_are_those_of_the_facts(found, name):
    assert (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") == facts.PAGES[name](found), facts.COMMAND


@pytest.mark.parametrize("said", ["INT4", "256", "perplexity", "primary evaluator", "2.3 MT-Bench points", "less than 1.5%"])
def test_what_summaries_claim_is_listed(found, said):
    assert said in facts.summaries(found)


@pytest.mark.parametrize(
    "said", ["split of the few-shot examples", "AutoGPTQ is also used", "4.3, Figures 3 and 6", "GSM8K's filter", "Table 9"]
)
def test_what_the_paper_leaves_open_is_listed(found, said):
    assert said in facts.open_settings(found)


def test_claims_that_summaries_rest_on_are_judged(found):
    named = [place.removeprefix("claim ") for place in (one.place for one in found.facts.summaries) if place.startswith("claim ")]
    assert named and set(named) <= set(found.claims.claims)
