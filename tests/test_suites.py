"""A benchmark and a suite that a user adds to config/benchmarks.yaml and a study, and a benchmark with two data sets."""

import dataclasses
import shutil
from types import SimpleNamespace

import factories
import pytest
from edge2giant import config, plan, records
from edge2giant.cluster import forecast
from edge2giant.errors import UserError
from edge2giant.paper import render, tables
from edge2giant.plan import acquire, evaluate, overview, score
from edge2giant.plan import study as studies
from edge2giant.records.cell import CellRecord
from edge2giant.report import gather
from edge2giant.report import overview as first_page
from edge2giant.specs.variant import Variant
from shared import ROOT

PUBLISHED = ROOT / "config/published"
BOOLQ = """
  boolq:
    label: BoolQ
    suite: leaderboard_v1
    folder: super_glue/boolq
    datasets: {google/boolq: 35b264d03638db9f4ce671b711558bf7ff0f80d5}
    tasks: {boolq: 2}
    metrics: [{name: acc, filter: none}]
    documents: 3270
"""
SUITE = """
  reading:
    label: Reading comprehension
    tables: [{number: 8, title: Reading}]

"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = [*factories.SUITES["leaderboard_v1"], "boolq", "mt_bench"]


def opened(folder, study: str, *changes: tuple[str, str]) -> plan.Plan:
    """The plan of a copy of the configuration with a study `more`, after changes of the text of benchmarks.yaml."""
    shutil.copytree(ROOT / "config", folder / "config")
    file = folder / "config/benchmarks.yaml"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)
    (folder / "config/studies/more.yaml").write_text(f"extends: miniature\ntitle: more\n{study}")
    run = SimpleNamespace(study="more", results="results", figures="paper_figures", batch="suite", mirror=None, token_file=None)
    return plan.Plan(config.load(folder), run)


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """BoolQ added to the suite of Table 1 and to a study."""
    study = f"benchmarks: [{', '.join(NAMES)}]\n"
    return opened(tmp_path_factory.mktemp("more"), study, ("  bbh:\n", f"{BOOLQ[1:]}\n  bbh:\n"))


def job(**names) -> SimpleNamespace:
    return SimpleNamespace(study="more", **names)


def cells_of(study, *without: str) -> list[CellRecord]:
    return [
        factories.cell_record(study="more", **dataclasses.asdict(cell.variant), benchmark=cell.benchmark, score=score)
        for cell in study.cells
        if (score := 6.0 if cell.benchmark == "mt_bench" else 59.5 if cell.benchmark == "boolq" else 50.0)
        and cell.benchmark not in without
    ]


def test_a_users_benchmark_has_its_column_and_takes_part_in_the_average(more):
    spec, study = studies.spec(more, job()), more.config.study("more")
    assert spec.table(1).columns == (*NAMES[:-1], "average") and not spec.table(1).printed
    row = tables.regenerated(spec, 1, cells_of(study), PUBLISHED).rows[0]
    assert [entry.score.text for entry in row.entries[-2:]] == ["59.50", "51.36"]
    row = tables.regenerated(spec, 1, cells_of(study, "boolq"), PUBLISHED).rows[0]
    assert [entry.state for entry in row.entries[-2:]] == ["not run", "incomplete"]
    assert any("/boolq.json" in cell for cell in studies.cells_of_table(more, job(number="1")))


def variants_of(study) -> list[tuple[str, str, str]]:
    return [dataclasses.astuple(variant) for variant in study.variants]


def test_tables_of_other_studies_keep_the_printed_columns(more):
    table = studies.study_spec(more.config, "paper").table(1)
    assert table.printed and table.columns == (*factories.SUITES["leaderboard_v1"], "average")


def test_a_users_benchmark_is_in_report_statistics_plan_and_forecast(more, tmp_path):
    study = more.config.study("more")
    paths = []
    for cell in cells_of(study):
        name = "-".join((*dataclasses.astuple(cell.cell.variant), cell.cell.benchmark))
        paths.append(tmp_path / f"{name}.json")
        records.write(paths[-1], cell)
    material = gather.read(studies.spec(more, job()), PUBLISHED, map(str, paths))
    assert {first_page.place(material, (*key, "boolq")).score.text for key in variants_of(study)} == {"59.50"}
    assert set(material.benchmarks) == set(NAMES)
    assert score.statistics(more, job()).suites["leaderboard_v1"] == tuple(NAMES[:-1])
    (line,) = [
        line
        for line in overview.Overview(more.config, study, more.config.cluster(None)).counts()
        if line["model"] == study.variants[0].model
    ]
    variants = [one for one in study.variants if one.model == line["model"]]
    assert line["v1 cells"] == 7 * len(variants) and "v2 cells" not in line
    expected, cluster = more.config.workload.other_tokens, more.config.clusters["paper-two-h100"]
    found = forecast.Forecast(more.config, study, cluster, "suite").lines()
    assert {line.place for line in found if line.benchmark == "boolq"} == {"Table 1"}
    whole = forecast.Forecast(more.config, more.config.study("paper"), cluster, "suite")
    assert whole.tokens("boolq") == (3270 * expected.prefill, 3270 * expected.new)


def test_a_users_suite_has_a_table_of_its_own(tmp_path):
    study = "benchmarks: [boolq, arc_challenge]\ntables: [1, 8]\n"
    benchmark = BOOLQ.replace("leaderboard_v1", "reading")
    more = opened(tmp_path, study, ("\n  mt_bench:\n", f"{SUITE}  mt_bench:\n"), ("\n  bbh:\n", f"{benchmark}\n  bbh:\n"))
    spec, study = studies.spec(more, job()), more.config.study("more")
    assert studies.tables(more)[-1] == "<figures>/more/table8.md"
    table = tables.regenerated(spec, 8, cells_of(study), PUBLISHED)
    assert table.caption == "Table 8. Reading. Study more." and len(table.rows) == len(study.variants)
    assert render.text(table, "csv").splitlines()[0].startswith("model,method,w/a,storage_gb,storage_measured_gb,boolq,")
    variant = dataclasses.asdict(study.variants[0])
    assert [one.name for one in evaluate.spec(more, job(**variant, batch="reading")).benchmarks] == ["boolq"]
    assert studies.printed_tables(more) == [1, 2, 4, 5, 6, 7]
    with pytest.raises(UserError, match="unknown table '8'"):
        studies.study_spec(more.config, "paper").table(8)


def test_every_data_set_of_a_benchmark_is_fetched_and_locked(tmp_path):
    two = ("google/boolq: 35b264d03638db9f4ce671b711558bf7ff0f80d5", f"a/b: {COMMIT}, c/d: {COMMIT[::-1]}")
    study = "source: hub\nbenchmarks: [boolq, ifeval]\n"
    more = opened(tmp_path, study, ("\n  bbh:\n", f"{BOOLQ.replace(*two)}\n  bbh:\n"))
    locks = ["datasets/boolq.lock.json", "datasets/boolq-2.lock.json", "datasets/ifeval.lock.json", "nltk.lock.json"]
    assert [one.lock for one in acquire.pieces(more, "more") if one.kind in ("dataset", "nltk")] == locks
    second = acquire.dataset(more, SimpleNamespace(data="boolq-2"))
    assert (second.repo, second.revision, second.folder, second.lock) == ("c/d", COMMIT[::-1], "datasets/c/d", locks[1])
    wanted = job(**dataclasses.asdict(Variant("tiny-2m", "fp16", "w16a16")), batch="all")
    assert evaluate.datasets(more, wanted) == [f"<results>/store/hub/{lock}" for lock in locks]
    assert [one.locks for one in evaluate.spec(more, wanted).benchmarks] == [tuple(locks[:2]), tuple(locks[2:])]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("printed: [bbh, ", "printed: [bhb, ", "suites.leaderboard_v2.printed: 'bhb' is no benchmark of the suite"),
        ("number: 4,", "number: 1,", "table 1 is given twice"),
        ("parts: {turn 1", "models: [gemma-2b-it]  # {turn 1", "table 7: `parts` are for judged suites"),
        ("models: [vicuna-7b-v1.3,", "models: [vicuna,", "models[0]: unknown model 'vicuna'"),
        (
            "    suite: leaderboard_v2\n    folder: leaderboard/musr",
            "    suite: mt_bench\n    folder: leaderboard/musr",
            "are judged",
        ),
    ],
)
def test_mistakes_in_suites_are_one_line(tmp_path, old, new, message):
    with pytest.raises(UserError) as error:
        opened(tmp_path, "", (old, new))
    assert message in str(error.value)
