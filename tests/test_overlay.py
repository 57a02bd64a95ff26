"""`my/` over `config/`: entries and studies of one's own, without an edit of a tracked file."""

import shutil
import subprocess

import pytest
import yaml
from edge2giant import config
from edge2giant.errors import UserError
from edge2giant.plan import acquire, open_plan
from shared import ROOT

RUN = {"study": "mine", "batch": "suite", "results": "results", "figures": "paper_figures"}


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    write(tmp_path, "studies/mine", {"extends": "smoke", "title": "mine", "benchmarks": ["arc_challenge"]})
    return tmp_path


def write(root, name: str, content: object) -> None:
    path = root / "my" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def entry(root, file: str, *place: str) -> dict:
    """An entry of a tracked file, to be changed."""
    found = yaml.safe_load((root / f"config/{file}.yaml").read_text())
    for key in place:
        found = found[key]
    return found


def refused(root, where: str) -> str:
    with pytest.raises(UserError) as caught:
        config.load(root)
    assert str(caught.value).startswith(where)
    return str(caught.value)


def test_entries_are_added_and_replaced_and_all_others_stay(root):
    before = config.load(root)
    write(root, "models", {"mine": entry(root, "models", "tiny-2m") | {"name": "Mine"}})
    write(root, "benchmarks", {"benchmarks": {"gsm8k": entry(root, "benchmarks", "benchmarks", "gsm8k") | {"num_fewshot": 0}}})
    loaded = config.load(root)
    assert loaded.models == before.models | {"mine": loaded.models["mine"]} and loaded.models["mine"].name == "Mine"
    assert loaded.benchmarks["gsm8k"].num_fewshot == 0 and before.benchmarks["gsm8k"].num_fewshot == 5
    assert loaded.benchmarks | {"gsm8k": before.benchmarks["gsm8k"]} == before.benchmarks
    assert loaded.suites == before.suites
    assert [loaded.where("models", name) for name in ("mine", "tiny-2m")] == ["my/models.yaml", "config/models.yaml"]


def test_a_study_is_added_or_stands_in_the_place_of_another(root):
    write(root, "studies/edge", {"extends": "smoke", "title": "not the edge"})
    loaded = config.load(root)
    assert loaded.study("mine").benchmarks == ("arc_challenge",) and loaded.study("mine").file == "my/studies/mine.yaml"
    assert (loaded.study("edge").title, loaded.study("smoke").file) == ("not the edge", "config/studies/smoke.yaml")


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("studies/mine", "extends: smoke\nsauce: hub\n", "my/studies/mine.yaml: unknown key 'sauce'"),
        ("studies/mine", "extends: smoke\njudge: nobody\n", "my/studies/mine.yaml, judge: unknown judge 'nobody'"),
        (
            "studies/mine",
            "extends: smoke\nengine_settings: {no: 1}\n",
            "my/studies/mine.yaml, engine_settings",
        ),
        ("models", "mine: {name: Mine}\n", "my/models.yaml, mine: 'repo' is missing"),
        ("models", "[]\n", "my/models.yaml: should be a mapping"),
        ("models", "a: 1\na: 2\n", "my/models.yaml, line 2: 'a' is given twice"),
        ("models", "# nothing\n", "my/models.yaml: is empty"),
        (
            "benchmarks",
            "benchmarks: {mine: {label: Mine}}\n",
            "my/benchmarks.yaml, benchmarks.mine: 'suite' is missing",
        ),
        ("model", "{}\n", "my: unknown file of my/ 'model.yaml'"),
        ("published/claims", "{}\n", "my: unknown file of my/ 'published/claims.yaml'"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(root, name, content, where):
    write(root, name, content)
    assert "\n" not in refused(root, where)


def test_a_mistake_in_config_is_still_named_there(root):
    write(root, "models", {"mine": entry(root, "models", "tiny-2m")})
    path = root / "config/models.yaml"
    path.write_text(path.read_text().replace("gated: false", "gated: perhaps", 1))
    refused(root, "config/models.yaml, ")


def test_a_chat_template_lies_beside_the_file_of_its_entry(root):
    write(root, "models", {"mine": entry(root, "models", "tiny-2m") | {"chat_template": "mine.jinja"}})
    refused(root, "my/models.yaml, mine.chat_template: there is no my/mine.jinja")
    (root / "my/mine.jinja").write_text("{{ messages }}")
    assert config.load(root).chat_template("mine") == "{{ messages }}"


def test_what_a_study_of_my_fetches_is_locked_there(root, monkeypatch):
    monkeypatch.chdir(root)
    for study, locks in (("mine", "my/lock/hub"), ("smoke", None)):
        plan = open_plan(RUN | {"study": study}, root=root)
        written = yaml.safe_load((root / acquire.source(plan, None)).read_text())
        assert written.get("locks") == locks


def test_snakemake_reads_my_config_and_git_ignores_it(root):
    for name in ("workflow", "envs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", root)
    write(root, "config", {"study": "mine"})
    for options, study in (((), "mine"), (("--config", "study=smoke"), "smoke")):
        command = [ROOT / ".venv/bin/snakemake", "-n", "all", *options]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert run.returncode == 0 and f"paper_figures/{study}/table1.csv" in run.stdout, run.stderr
    assert not subprocess.run(["git", "check-ignore", "-q", "my/models.yaml"], cwd=ROOT).returncode
