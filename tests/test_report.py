"""The report as text: what stands in it, what must not, and what it refuses."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from edge2giant import pages, records
from edge2giant.errors import UserError
from edge2giant.pages import grids
from edge2giant.report import __main__ as cli
from edge2giant.report import gather, overview, site
from factories import make_cell, make_failure, write_records
from report_material import HOSTILE, answer, hostile_study, listing, paper_grid, statistics, with_samples
from shared import ROOT
from study_specs import PUBLISHED, options_of, spec_of

LIMIT = 5_000_000


class Elements(HTMLParser):
    """Collect the elements of a page with their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text, self._inside = [], [], None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text.append(data)

    def handle_endtag(self, tag):
        self._inside = None


def build(out, study, cells, *more):
    spec = spec_of(study) if isinstance(study, str) else study
    named = [*options_of(spec, out.parent / "specs"), "--published", str(PUBLISHED)]
    cli.main(["build", *named, "--cells", *cells, "--out", str(out), *more])
    return (out / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    paths = paper_grid(folder / "cells")
    more = ["--statistics", statistics(folder, paths)]
    return folder / "report", build(folder / "report", "paper", paths, *more, "--samples", "0")


@pytest.mark.slow
def test_the_paper_grid_stays_below_five_megabytes(whole):
    out, _ = whole
    assert (out / "index.html").stat().st_size < LIMIT
    assert len(list((out / "cells").rglob("*.html"))) == 636


@pytest.mark.slow
def test_the_first_page_holds_all_it_needs(whole):
    page = Elements(whole[1])
    loads = [
        (tag, at) for tag, at in page.tags if tag in ("link", "iframe", "object", "embed") or (tag == "script" and "src" in at)
    ]
    assert loads == []
    assert all(at["src"].startswith("data:") for tag, at in page.tags if tag == "img")
    assert not [at for _, at in page.tags if any(name.startswith("on") or name == "style" for name in at)]


@pytest.mark.slow
def test_links_stay_inside_the_report(whole):
    out, text = whole
    targets = {at["href"] for tag, at in Elements(text).tags if tag == "a"}
    local = {target for target in targets if not target.startswith("#")}
    assert len(local) == 636
    assert all((out / target).is_file() for target in local)
    for page in list((out / "cells").rglob("*.html"))[::50]:
        for tag, at in Elements(page.read_text(encoding="utf-8")).tags:
            target = at.get("href") or at.get("src")
            if tag in ("a", "link", "script") and target and not target.startswith("#"):
                assert (page.parent / target).resolve().is_file(), (page, target)


@pytest.mark.slow
def test_scripts_and_styles_are_those_that_the_policy_names(whole):
    policy = next(at["content"] for tag, at in Elements(whole[1]).tags if at.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", whole[1], flags=re.DOTALL)
        assert pages.fingerprint(content) in policy


@pytest.mark.slow
def test_every_section_is_there(whole):
    ids = {at.get("id") for _, at in Elements(whole[1]).tags}
    assert ids >= {
        "map",
        "tables",
        "figure2",
        "scores",
        "comparison",
        "statistics",
        "audit",
        "claims",
        "cost",
        "provenance",
        "failures",
    }
    assert ids >= {f"grid-table{number}" for number in (1, 2, 4, 5, 6, 7)}


def test_markup_in_records_stays_text(tmp_path):
    cells, failures = hostile_study(tmp_path / "in")
    both = ["arc_challenge", "gpqa"]
    spec = listing(
        "miniature", *(("mini-2m", m, b, both) for m, b in (("fp16", "w16a16"), ("awq", "w4a16"), ("smoothquant", "w8a8")))
    )
    spec = replace(spec, labels=replace(spec.labels, models={"mini-2m": HOSTILE}))
    claims = tmp_path / "claims.csv"
    claims.write_text(f'verdict,id,statement\nfails,"x","{HOSTILE.replace(chr(34), chr(34) * 2)}"\n', encoding="utf-8")
    build(tmp_path / "out", spec, cells, "--failures", *failures, "--claims", str(claims))
    pages = [tmp_path / "out" / "index.html", *(tmp_path / "out" / "cells").rglob("*.html")]
    assert len(pages) == 5
    for path in pages:
        page = Elements(path.read_text(encoding="utf-8"))
        assert sum(tag == "script" for tag, _ in page.tags) == 1
        assert not [tag for tag, at in page.tags if tag == "svg" or "onerror" in at or "onload" in at]
        assert "window.pwned=2" in "".join(page.text)


def test_answers_of_a_confidential_benchmark_are_not_shown(tmp_path):
    cells, _ = hostile_study(tmp_path / "in")
    build(tmp_path / "out", "miniature", cells)
    open_page, closed = (
        (tmp_path / f"out/cells/mini-2m/awq/w4a16/{name}.html").read_text(encoding="utf-8") for name in ("arc_challenge", "gpqa")
    )
    assert "SECRET" in open_page and "Confidential benchmark" not in open_page
    assert "SECRET" not in closed and "Confidential benchmark" in closed
    assert "lost" in closed and "SECRET" not in (tmp_path / "out/index.html").read_text(encoding="utf-8")


def test_a_cell_page_counts_flips_against_fp16(tmp_path):
    base = make_cell(parts=[make_cell()["parts"][0] | {"metric": "acc_norm"}])
    other = make_cell(method="awq", bits="w4a16", score=50.0, parts=[base["parts"][0] | {"normalised": 50.0}])
    rows = [answer(n, correct=n != 0) for n in range(8)]
    flipped = [answer(n, correct=n not in (1, 2), prediction="B") for n in range(8)]
    noise = [answer(n, correct=True, metric="acc") for n in range(8)]
    cells = [with_samples(tmp_path, base, rows + noise), with_samples(tmp_path, other, flipped + noise)]
    build(tmp_path / "out", "miniature", cells)
    text = " ".join(
        "".join(Elements((tmp_path / "out/cells/mini-2m/awq/w4a16/arc_challenge.html").read_text(encoding="utf-8")).text).split()
    )
    assert "3 of 8 outcomes differ from FP16: 2 lost, 1 gained, 0 with another value. All 8 are shown." in text
    asked = "results/miniature/cells/mini-2m/awq/w4a16/arc_challenge.json"
    assert f"snakemake --cores all --config study=miniature batch=benchmark -- {asked}" in text


def test_answers_to_other_questions_are_not_paired(tmp_path):
    cells = [
        with_samples(tmp_path, make_cell(), [answer(0, True)]),
        with_samples(tmp_path, make_cell(method="awq", bits="w4a16"), [answer(0, False, doc="other")]),
    ]
    build(tmp_path / "out", "miniature", cells)
    text = (tmp_path / "out/cells/mini-2m/awq/w4a16/arc_challenge.html").read_text(encoding="utf-8")
    assert "1 questions differ in their document" in text and "lost</td>" not in text
    assert str(tmp_path) not in text


def test_a_missing_samples_file_is_said_on_the_page(tmp_path):
    build(tmp_path / "out", "miniature", write_records(tmp_path / "in", [make_cell()]))
    text = (tmp_path / "out/cells/mini-2m/fp16/w16a16/arc_challenge.html").read_text(encoding="utf-8")
    assert "its per-sample table samples.parquet is missing" in text


def test_states_of_cells_are_told_apart(tmp_path):
    cells = write_records(tmp_path / "in", [make_cell()])
    failures = write_records(tmp_path / "failed", [make_failure(method="awq", bits="w4a16", reason="out of memory")])
    listed = [
        ("fp16", "w16a16", ["arc_challenge", "mmlu"]),
        ("awq", "w4a16", ["arc_challenge"]),
        ("fp8", "w8a8", ["arc_challenge"]),
    ]
    spec = listing("miniature", *(("mini-2m", *one) for one in listed))
    material = gather.read(spec, PUBLISHED, cells, failures)
    assert overview.states(material) == {"made": 1, "not run": 2, "failed": 1}
    assert material.state(("mini-2m", "awq", "w4a16", "mmlu")) == "not planned"
    assert "out of memory" in site.index(material)


def test_cells_stand_in_the_order_of_the_study_wherever_they_lie(tmp_path):
    made = [make_cell(method="awq", bits="w4a16"), make_cell(), make_cell(benchmark="mmlu"), make_cell(method="fp8", bits="w8a8")]
    spec = listing(
        "miniature", ("mini-2m", "fp16", "w16a16", ["mmlu", "arc_challenge"]), ("mini-2m", "awq", "w4a16", ["arc_challenge"])
    )
    cells = gather.read(spec, PUBLISHED, write_records(tmp_path, made)).cells
    assert [key[1:] for key in cells] == [
        ("fp16", "w16a16", "mmlu"),
        ("fp16", "w16a16", "arc_challenge"),
        ("awq", "w4a16", "arc_challenge"),
        ("fp8", "w8a8", "arc_challenge"),
    ]


def test_made_up_questions_are_named_on_every_page(tmp_path):
    cells = write_records(tmp_path / "in", [make_cell()])
    assert gather.MADE_UP in "".join(Elements(build(tmp_path / "out", "miniature", cells)).text)
    (page,) = (tmp_path / "out/cells").rglob("*.html")
    assert gather.MADE_UP in "".join(Elements(page.read_text(encoding="utf-8")).text)
    real = write_records(tmp_path / "in", [make_cell(study="paper")])
    text = build(tmp_path / "real", "paper", real, "--note", "a < b")
    assert gather.MADE_UP not in "".join(Elements(text).text) and "a &lt; b" in text


def test_no_cell_at_all_is_still_a_report(tmp_path):
    assert "of 0 cells made" in build(tmp_path / "out", listing("miniature"), [])


def test_the_same_input_gives_the_same_bytes(tmp_path):
    cells = write_records(tmp_path / "in", [make_cell(), make_cell(benchmark="mt_bench")])
    assert build(tmp_path / "a", "miniature", cells) == build(tmp_path / "b", "miniature", cells)


def test_pages_of_cells_that_are_gone_go_too(tmp_path):
    both = write_records(tmp_path / "in", [make_cell(), make_cell(benchmark="mmlu")])
    build(tmp_path / "out", "miniature", both)
    build(tmp_path / "out", "miniature", both[:1])
    assert [path.name for path in (tmp_path / "out/cells").rglob("*.html")] == ["arc_challenge.html"]


@pytest.mark.parametrize("model", ["../../up", ".hidden", "a/b", "a b"])
def test_a_name_cannot_lead_out_of_the_report(tmp_path, model):
    with pytest.raises(UserError):
        gather.page_of((model, "fp16", "w16a16", "mmlu"))


def test_cells_of_another_study_are_refused(tmp_path):
    cells = write_records(tmp_path / "in", [make_cell(study="other")])
    with pytest.raises(UserError, match="cell of study other"):
        build(tmp_path / "out", "miniature", cells)


def test_user_errors_are_one_line(tmp_path):
    named = [*options_of(spec_of("miniature"), tmp_path), "--published", str(PUBLISHED)]
    run = [sys.executable, "-m", "edge2giant.report", "build", *named, "--claims", "none.csv", "--out", str(tmp_path)]
    done = subprocess.run(
        run, cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": "workflow", "PATH": "/usr/bin"}, check=False
    )
    assert (done.returncode, done.stderr) == (2, "error: none.csv: is missing; make it first, or leave the option out\n")


@pytest.mark.parametrize(
    ("difference", "name"),
    [(None, ""), (0.2, "same"), (-0.25, "down-1"), (1.0, "up-2"), (-7.99, "down-3"), (-30.0, "down-4"), (8.0, "up-4")],
)
def test_heat_has_four_steps_each_way(difference, name):
    assert grids.heat(difference) == name


def test_numbers_without_value_sort_apart():
    assert grids.number(float("nan")).order == "" and grids.number(None).text == grids.NONE
    assert grids.number(-1234.5, 1).text == "\N{MINUS SIGN}1,234.5"
    assert grids.significant("0.00001234").text == "1.23e\N{MINUS SIGN}5"


@pytest.mark.parametrize(
    ("column", "raw", "text", "mark"),
    [
        (grids.Column("x"), None, grids.NONE, "soft"),
        (grids.Column("x"), "lost", "lost", ""),
        (grids.Column("x", "choice"), "lost", "lost", "mark bad"),
        (grids.Column("x", "long"), "a" * 601, "a" * 600 + " \N{HORIZONTAL ELLIPSIS} (1 more characters)", ""),
        (grids.Column("x", "count"), 1234.0, "1,234", ""),
        (grids.Column("x", "signed"), "0.5", "+0.50", ""),
        (grids.Column("x", "number", digits=None), "53.10", "53.10", ""),
        (grids.Column("x", "p"), "0.03125", "0.0312", ""),
    ],
)
def test_a_column_says_how_a_value_is_shown(column, raw, text, mark):
    assert (column.shown(raw).text, column.shown(raw).mark) == (text, mark)


def test_a_column_that_is_empty_is_left_out():
    columns = {name: grids.Column(name) for name in ("a", "b", "c")}
    grid = grids.of_records("x", "X", [{"a": "1", "b": ""}, {"a": "", "b": None}], columns)
    assert [column.name for column in grid.columns] == ["a"] and grid.rows == [["1"], [""]]


def test_claims_are_counted_once_however_many_parts_they_have(tmp_path):
    path = tmp_path / "claims.csv"
    records.write_csv(path, [{"id": name, "verdict": "holds", "part": part} for name, part in (("a", 1), ("a", 2), ("b", 1))])
    text = build(tmp_path / "out", listing("miniature"), [], "--claims", str(path))
    assert "2</b> claims hold on these cells" in text and '<p class="counts"><span><b>2</b> holds</span></p>' in text


def test_one_template_has_the_frame_of_every_page():
    templates = [path for path in (ROOT / "workflow").rglob("*.j2") if "<html" in path.read_text(encoding="utf-8")]
    assert [path.name for path in templates] == ["page.html.j2"]
