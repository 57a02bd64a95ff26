"""Every command that the docs show is one that works: targets resolve, options exist, files are there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from shared import ROOT
from test_workflow import clone  # noqa: F401

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:\.venv/bin/)?(snakemake|make|python|workflow/in-env|bash) .*")
LINK = re.compile(r"\]\(([^)#:]+?)(?:#[^)]*)?\)")
# What a dry run cannot do: acquisition asks the hub what it holds, environments are built.
NO_DRY_RUN = ("--conda-create-envs-only",)
RUN = ROOT / "workflow/in-env"


def commands(page: Path) -> list[str]:
    """Command lines in the fenced blocks of a page, without prompts and comments, continued lines joined."""
    found = []
    for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        lines = re.sub(r"\\\n\s*", " ", block).splitlines()
        shown = (line.strip().replace("workflow/in-env workflow snakemake", "snakemake") for line in lines)
        found += [re.split(r"\s+#\s", line)[0] for line in shown if COMMAND.match(line)]
    return found


# tests/test_extending.py runs the commands of docs/extending.md.
SHOWN = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES if page.stem != "extending" for line in commands(page)]


def of_kind(name: str) -> list:
    return [pytest.param(line, id=f"{page}: {line}") for page, line in SHOWN if COMMAND.match(line)[1] == name]


@pytest.mark.e2e
@pytest.mark.parametrize("line", of_kind("snakemake"))
def test_a_snakemake_command_plans(clone, line):  # noqa: F811
    words = [word for word in shlex.split(line)[1:] if word not in ("-n", *NO_DRY_RUN)]
    if "--sdm" in words:
        del words[words.index("--sdm") : words.index("--sdm") + 2]
    after_config = words[words.index("--config") + 1 :] if "--config" in words else []
    targets = [word for word in after_config if "=" not in word and not word.startswith("-")]
    assert not targets or "--" in after_config, "--config takes the target for a setting; put the target first, or -- before it"
    if "acquire" in words:
        words[words.index("acquire")] = "verify"  # the same rules; acquire asks the hub even in a dry run
    found = os.environ | {"PYTHONPATH": str(clone / "workflow")}  # as workflow/in-env sets it
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "-n", *words]
    run = subprocess.run(command, cwd=clone, env=found, capture_output=True, text=True)
    assert run.returncode == 0, (run.stdout + run.stderr)[-2000:]


@pytest.mark.parametrize("line", of_kind("make"))
def test_a_make_command_has_its_target(line):
    run = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_no_python_line_is_shown_that_fails_as_pasted():
    assert not of_kind("python"), "write: workflow/in-env workflow python ..."


@pytest.mark.parametrize("line", of_kind("bash"))
def test_a_script_is_there(line):
    assert (ROOT / shlex.split(line)[1]).is_file()


@pytest.mark.parametrize("line", of_kind("workflow/in-env"))
def test_a_command_of_the_package_has_its_options(line):
    words = [word for word in line.split()[2:] if word != "..."]
    if words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), line
        return
    assert words[:2] == ["python", "-m"], line
    module, rest = words[2], words[3:]
    subcommand = [rest[0]] if rest and re.fullmatch(r"[a-z][a-z0-9-]*", rest[0]) else []
    done = subprocess.run([RUN, "workflow", "python", "-m", module, *subcommand, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = {word.strip("[]").split("=")[0] for word in rest if word.strip("[").startswith("--")} - {"--help"}
    shown = set(re.findall(r"--[a-z][a-z0-9-]*", done.stdout))
    assert options <= shown, f"{module} {' '.join(subcommand)} has no {', '.join(sorted(options - shown))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_paths_of_the_repository_that_the_docs_name_exist():
    named = re.compile(r"`((?:workflow|config|envs|profiles|tests|bench|docs)/[\w./-]+)`")
    for page in PAGES:
        for path in named.findall(page.read_text(encoding="utf-8")):
            if not path.startswith("config/lock/hub") and not path.endswith("NAME"):  # made by the first acquire; a placeholder
                assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_there_are_commands_to_check():
    assert len(SHOWN) > 30
