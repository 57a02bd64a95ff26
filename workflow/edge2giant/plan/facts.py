"""``python -m edge2giant.plan.facts``: write docs/open_settings.md and docs/summaries.md from config/published/facts.yaml."""

import sys
from collections.abc import Sequence

from edge2giant import ROOT, config, errors, records

COMMAND = "workflow/in-env workflow python -m edge2giant.plan.facts"


def open_settings(found: config.Config) -> str:
    """The page of settings that the paper leaves open."""
    lead = "What the paper leaves open or says twice, and what is done here."
    rows = [(one.setting, one.place, one.says, one.choice) for one in found.facts.open]
    return _page("Settings that the paper leaves open", lead, ("setting", "place", "the paper says", "here"), rows)


def summaries(found: config.Config) -> str:
    """The page of what summaries claim."""
    lead = "What summaries of the paper claim and version 6 does not say."
    rows = [(one.claim, one.source, one.paper, one.place) for one in found.facts.summaries]
    return _page("What summaries claim and the paper does not", lead, ("claim", "summary", "the paper has", "place"), rows)


def _page(title: str, lead: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    source = f"The source is `config/published/facts.yaml`; after a change of it, write this page again:\n\n```\n{COMMAND}\n```"
    return f"# {title}\n\n{lead} {source}\n\n{table}\n"


PAGES = {"open_settings": open_settings, "summaries": summaries}


def main() -> None:
    found = config.load()
    for name, page in PAGES.items():
        records.write_text(ROOT / f"docs/{name}.md", page(found))


if __name__ == "__main__":
    sys.exit(errors.run(main))
