"""A study of one's own: no judge, no printed number, no claim of the paper; a part of the questions is said to be one."""

import shutil
from types import SimpleNamespace

import factories
import pytest
import yaml
from edge2giant import config, plan, records
from edge2giant.cluster import forecast, partial
from edge2giant.paper import frames, render, tables, views
from edge2giant.plan import evaluate, score, targets
from edge2giant.plan import study as studies
from edge2giant.report import exports, gather, site
from shared import ROOT
from study_specs import PUBLISHED

OWN = {
    "title": "Mine",
    "source": "hub",
    "protocol": "leaderboard",
    "stack": "cpu",
    "limit": 20,
    "limits": {"divergence": 98},
    "benchmarks": ["gsm8k", "mmlu", "ifeval", "wikitext", "divergence"],
    "models": {"llama-3.1-8b-it": {"variants": ["fp16/w16a16", "rtn/w4a16"]}},
}


def opened(folder, **changes) -> plan.Plan:
    """The plan of a copy of the configuration with a study of `my/`."""
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "my/studies").mkdir(parents=True)
    (folder / "my/studies/own.yaml").write_text(yaml.safe_dump(OWN | changes))
    run = SimpleNamespace(study="own", results="results", figures="paper_figures", batch="suite", mirror=None, token_file=None)
    return plan.Plan(config.load(folder), run)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("own"))


def job(**names) -> SimpleNamespace:
    return SimpleNamespace(study="own", **names)


def cells(own) -> list:
    made = {"wikitext": "perplexity", "divergence": "nats"}
    return [
        factories.cell_record(
            study="own", **vars(cell.variant), benchmark=cell.benchmark, score=50.0, unit=made.get(cell.benchmark, "percent")
        )
        for cell in own.study.cells
    ]


def test_only_what_its_benchmarks_give_is_planned(own, tmp_path):
    names = {path.rpartition("/")[2] for path in studies.tables(own)}
    assert names == {f"table{number}.{form}" for number in (1, 2, 10) for form in ("csv", "tex", "html", "md")}
    assert {path.rpartition("/")[2] for path in studies.analysis(own)} == {"differences.svg", "statistics.csv", "tradeoffs"}
    assert studies.figure2(own.study) == targets.noise(own) == targets.inspections(own) == []
    assert set(studies.report_input(own, job())) == {"statistics"}
    perplexity = opened(tmp_path, benchmarks=["wikitext"], limits={})
    assert studies.tables(perplexity, [1]) == [] and len(studies.tables(perplexity)) == 4
    analysis = sorted(studies.analysis(perplexity))
    assert analysis == ["<figures>/own/differences.svg", "<figures>/own/statistics.csv"] and studies.fidelity(perplexity)


def test_a_study_that_regenerates_the_paper_keeps_all_of_it(own):
    loaded = plan.Plan(own.config, SimpleNamespace(**vars(own.run) | {"study": "paper2024"}))
    names = {path.rpartition("/")[2] for path in studies.analysis(loaded)}
    assert {"comparison.csv", "claims.html", "statistics.csv", "tradeoffs", "figure2_all.svg"} <= names
    assert set(studies.report_input(loaded, SimpleNamespace(study="paper2024"))) == {
        "audit", "printed", "statistics", "comparison", "claims",
    }  # fmt: skip


def test_columns_and_averages_are_those_of_the_study(own):
    spec = studies.spec(own, job())
    assert [(layout.number, layout.columns[:3]) for layout in spec.tables if layout.variants] == [
        (1, ("gsm8k", "mmlu", "average")),
        (2, ("ifeval",)),
        (10, ("wikitext", "wikitext/byte_perplexity", "wikitext/token_perplexity")),
    ]
    made = render.text(tables.regenerated(spec, 1, cells(own), PUBLISHED), "md")
    assert "Average: of these 2 columns; Open LLM Leaderboard v1 has 4 more." in made
    assert "A quick look, not whole benchmarks: GSM8K 20 questions of each task, MMLU 20 questions of each task." in made
    assert "printed" not in made and "paper" not in made


def test_a_limit_is_in_the_spec_and_in_the_forecast(own):
    batch = evaluate.spec(own, job(model="llama-3.1-8b-it", method="rtn", bits="w4a16", batch="all"))
    asked = {one.name: (one.tasks or one.divergence).limit for one in batch.benchmarks}
    assert asked == {"gsm8k": 20, "mmlu": 20, "ifeval": 20, "wikitext": 20, "divergence": 98}
    expected = forecast.Forecast(own.config, own.study, own.config.cluster(None), "suite")
    tokens = own.config.workload.tokens
    assert expected.tokens("gsm8k") == (20 * tokens["gsm8k"].prefill, 20 * tokens["gsm8k"].new)
    assert expected.tokens("mmlu")[0] == 57 * 20 * tokens["mmlu"].prefill
    assert expected.tokens("divergence")[0] == 98 * 512


def test_its_report_speaks_of_no_paper(own, tmp_path):
    spec, paths = studies.spec(own, job()), []
    for cell in cells(own):
        paths.append(tmp_path / f"{cell.cell.variant.path.replace('/', '-')}-{cell.cell.benchmark}.json")
        records.write(paths[-1], cell)
    pages = site.write(gather.read(spec, PUBLISHED, map(str, paths)), tmp_path / "report", limit=0)
    texts = [path.read_text() for path in pages]
    assert "A quick look, not whole benchmarks" in texts[0] and "Paired statistics" in texts[0]
    for word in ("the paper", "printed", "Lee et al.", "MT-Bench", "Figure 2", "Claims", "Audit"):
        assert not any(word.lower() in text.lower().partition("<body")[2].partition("<script")[0] for text in texts), word


def test_what_there_is_of_it_is_rendered(own, tmp_path):
    for cell in cells(own)[:3]:
        path = tmp_path / f"own/cells/{cell.cell.variant.path}/{cell.cell.benchmark}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write(path, cell)
    assert partial.render(own.config, own.study, tmp_path, tmp_path, tmp_path / "out").startswith("3 of 10 cells")
    assert {path.name for path in (tmp_path / "out").glob("*.md")} == {"table1.md", "table2.md", "table10.md"}


def test_views_and_exports_end_well_without_an_average(tmp_path):
    perplexity = opened(tmp_path, benchmarks=["wikitext"], limits={})
    spec, made = studies.spec(perplexity, job()), cells(perplexity)
    scores = frames.with_average(frames.scores_of(made), spec.averaged)
    assert {path.suffix for path in views.write(scores, spec, tmp_path / "views")} == {".svg", ".png", ".csv"}
    paths = [tmp_path / f"{number}.json" for number in range(len(made))]
    for path, cell in zip(paths, made, strict=True):
        records.write(path, cell)
    assert exports.write(spec, paths, tmp_path / "exports")


def test_its_cells_carry_no_printed_value(own):
    asked = job(model="llama-3.1-8b-it", method="fp16", bits="w16a16", benchmark="gsm8k")
    assert score.spec(own, asked).printed is None
    assert score.spec(own, SimpleNamespace(**vars(asked) | {"study": "paper"})).printed is not None
