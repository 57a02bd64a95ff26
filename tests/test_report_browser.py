"""The pages in a real browser: sorted, filtered, by keyboard, on a phone, light and dark, and without a word to any network.

Needs Chromium (Debian's package, or the one that EDGE2GIANT_CHROMIUM names). EDGE2GIANT_SCREENSHOTS=docs/images writes the
pictures of docs/report.md.
"""

import os
import shutil
from pathlib import Path

import judge_material
import pytest
from edge2giant import config
from edge2giant.audit import findings
from edge2giant.audit.report import html as audit_page
from edge2giant.claims import verdict
from edge2giant.claims.report import html as claims_page
from edge2giant.judge import inspection, material
from edge2giant.paper import render, tables
from edge2giant.plan.audit import audit_spec
from edge2giant.plan.study import claims_spec
from edge2giant.report import __main__ as cli
from report_material import hostile_study, paper_grid, statistics
from shared import ROOT
from study_specs import PUBLISHED, options_of, spec_of

pytestmark = pytest.mark.slow
CHROMIUM = os.environ.get("EDGE2GIANT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
LARGEST = 300_000
PLACES = [
    "index.html",
    "cells/llama-3.1-8b-it/awq/w4a16/mmlu.html",
    "audit.html",
    "claims.html",
    "table1.html",
    "inspection.html",
]
WATCH = """window.violations = [];
addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI));"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine (set EDGE2GIANT_CHROMIUM): the report was not opened in a browser")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class Visit:
    """A page with everything that it asked for, said or violated."""

    def __init__(self, browser, path: Path, **options):
        self.context = browser.new_context(offline=True, **({"viewport": {"width": 1280, "height": 900}} | options))
        self.page, self.asked, self.said = self.context.new_page(), [], []
        self.page.add_init_script(WATCH)
        self.page.on("request", self._asks)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            self.page.wait_for_selector("table.grid:not(.dataTable)", state="detached")

    def _asks(self, request) -> None:
        if not request.url.startswith("blob:"):  # text that the page itself holds
            self.asked.append(request.url)

    def column(self, grid: str, name: str) -> list[str]:
        """Texts of a column on the page of the table that is shown."""
        heads = self.page.locator(f"#grid-{grid} thead th .dt-column-title").all_text_contents()
        return self.page.locator(f"#grid-{grid} tbody tr td:nth-child({heads.index(name) + 1})").all_inner_texts()

    def button(self, grid: str, label: str):
        return self.page.locator(f"#grid-{grid} thead").get_by_role("button", name=label, exact=True)

    def clean(self) -> bool:
        """Whether nothing was complained of."""
        return self.said == [] and self.page.evaluate("violations.length") == 0


def build(out: Path, study: str, cells: list[str], *more: str) -> Path:
    named = [*options_of(spec_of(study), out.parent / "specs"), "--published", str(PUBLISHED)]
    cli.main(["build", *named, "--cells", *cells, "--out", str(out), *more])
    return out


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    paths = paper_grid(folder / "cells")
    out = build(folder / "out", "paper", paths, "--statistics", statistics(folder, paths), "--samples", "0")
    loaded = config.load(ROOT)
    judged = [row | {"judgment": "[[5]]"} for row in judge_material.judgments([[[5], [6]]] * 80)]
    side = inspection.Side({one["question_id"]: judge_material.answer(one) for one in judge_material.questions()}, judged)
    bench = material.load_bench(judge_material.bench(folder / "bench"))
    for name, page in (
        ("audit", audit_page(findings.run(audit_spec(loaded), PUBLISHED, []))),
        ("claims", claims_page(verdict.run(claims_spec(loaded), PUBLISHED), "published")),
        ("table1", render.text(tables.published(spec_of("paper"), 1, PUBLISHED), "html")),
        ("inspection", inspection.render(bench, side, side)),
    ):
        (out / f"{name}.html").write_text(page, encoding="utf-8")
    return out


@pytest.fixture
def index(browser, report):
    visit = Visit(browser, report / "index.html")
    yield visit
    visit.context.close()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")) for text in texts]


@pytest.mark.parametrize("place", [place for place in PLACES if "/" not in place])
def test_a_page_asks_for_itself_alone_and_breaks_no_policy(browser, report, place):
    visit = Visit(browser, report / place)
    assert visit.asked == [(report / place).as_uri()]
    assert visit.clean(), visit.said


def test_a_cell_page_asks_for_the_report_s_own_files_alone(browser, report):
    visit = Visit(browser, report / "cells/llama-3.1-8b-it/awq/w4a16/mmlu.html")
    shared = [(report / "assets" / name).as_uri() for name in ("style.css", "tables.js")]
    assert sorted(visit.asked) == sorted([visit.page.url, *shared])
    assert visit.clean(), visit.said


def test_a_column_sorts_both_ways_as_numbers(index):
    index.button("scores", "Sort by Score").click()
    up = numbers(index.column("scores", "Score"))
    assert up == sorted(up) and up[0] < 2
    index.button("scores", "Sort by Score").click()
    down = numbers(index.column("scores", "Score"))
    assert down == sorted(down, reverse=True) and down[0] > 90


def test_missing_numbers_sort_below_all_others(index):
    index.button("scores", "Sort by against FP16").click()
    index.button("scores", "Sort by against FP16").click()
    shown = numbers(index.column("scores", "against FP16"))
    assert shown == sorted(shown, reverse=True) and shown[0] > 0


def test_the_search_field_filters(index):
    index.page.get_by_label("Search: Every cell").fill("smoothquant winogrande")
    assert set(index.column("scores", "Method")) == {"SmoothQuant 8/8"}
    assert set(index.column("scores", "Benchmark")) == {"Winogrande"}
    assert "of 5 entries" in index.page.locator("#grid-scores_info").inner_text()


def test_a_list_of_values_filters(index):
    index.button("scores", "Filter by Benchmark").click()
    index.page.locator(".dtcc-dropdown").get_by_role("button", name="IFEval", exact=True).click()
    assert set(index.column("scores", "Benchmark")) == {"IFEval"}
    assert "of 50 entries" in index.page.locator("#grid-scores_info").inner_text()


def test_a_number_filters(index):
    index.button("scores", "Filter by against FP16").click()
    dropdown = index.page.locator(".dtcc-dropdown")
    dropdown.locator("select").select_option("less")
    dropdown.locator("input").fill("-10")
    index.page.locator("#grid-scores_info", has_text="filtered").wait_for()
    shown = numbers(index.column("scores", "against FP16"))
    assert shown and max(shown) < -10


def test_the_keyboard_reaches_and_works_everything(index):
    index.page.keyboard.press("Tab")
    assert index.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    index.button("scores", "Sort by Score").focus()
    index.page.keyboard.press("Enter")
    shown = numbers(index.column("scores", "Score"))
    assert shown == sorted(shown)
    index.page.get_by_role("radio", name="difference from FP16").focus()
    index.page.keyboard.press("ArrowDown")
    assert index.page.get_by_role("radio", name="difference from the paper").is_checked()
    assert index.page.locator(".map td.made .p").first.is_visible()
    assert not index.page.locator(".map td.made .f").first.is_visible()


@pytest.mark.parametrize("place", PLACES)
def test_every_control_has_a_name(browser, report, place):
    nameless = """[...document.querySelectorAll('button, input, select, a, img')].filter((e) => e.checkVisibility()).filter((e) =>
        !(e.textContent.trim() || e.ariaLabel || e.alt || e.labels?.length || e.title)).map((e) => e.outerHTML.slice(0, 200))"""
    assert Visit(browser, report / place).page.evaluate(nameless) == []


def test_the_map_leads_to_a_cell_and_back(index, report):
    index.page.locator(".map td.made a").nth(20).click()
    assert "/cells/" in index.page.url and index.page.get_by_role("heading", level=1).is_visible()
    index.page.locator(".brand a").click()
    assert index.page.url == (report / "index.html").as_uri()


def test_a_claim_leads_to_its_numbers(browser, report):
    visit = Visit(browser, report / "claims.html")
    visit.page.get_by_label("Search: All claims").fill("consistently beats GPTQ")
    (claim,) = visit.column("all", "Claim")
    visit.page.locator("#grid-all").get_by_role("link", name=claim).click()
    assert visit.page.url.endswith(f"#{claim}")
    visit.page.locator(f"#{claim} summary").click()
    assert set(visit.column(claim, "Speaks")) == {"for", "against"}


def test_it_reads_without_scripts(browser, report):
    visit = Visit(browser, report / "index.html", java_script_enabled=False)
    assert visit.page.locator("#grid-scores tbody tr").count() == 636
    assert visit.page.locator("#grid-table1 tbody tr").first.is_visible()


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("place", PLACES)
def test_a_phone_scrolls_down_only(browser, report, width, place):
    visit = Visit(browser, report / place, viewport={"width": width, "height": 800}, is_mobile=True, has_touch=True)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const texts = 'h1, h2, h3, h4, p, li, b, nav a, th, td, small, .delta, .legend *, .map td span, summary, dd, pre, label, .tag';
  let worst = [99, ''];
  for (const e of document.querySelectorAll(texts)) {
    if (!e.checkVisibility() || !e.textContent.trim()) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 160)];
  }
  return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_text_is_readable_light_and_dark(browser, report, scheme, place):
    visit = Visit(browser, report / place, color_scheme=scheme)
    ratio, where = visit.page.evaluate(CONTRAST)
    assert ratio >= 4.5, where
    dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 29)"
    assert dark == (scheme == "dark")


def test_hostile_text_never_runs(browser, tmp_path):
    cells, failures = hostile_study(tmp_path / "in")
    out = build(tmp_path / "out", "miniature", cells, "--failures", *failures)
    for path in [out / "index.html", *sorted((out / "cells").rglob("*.html"))]:
        visit = Visit(browser, path)
        visit.page.evaluate("document.querySelectorAll('details').forEach((e) => e.open = true)")
        for filter_button in visit.page.locator("button.dtcc-button_dropdown:visible").all():
            filter_button.click()
            visit.page.keyboard.press("Escape")
        for field in visit.page.locator("input[type=search]:visible").all():
            field.fill("pwned")
        assert visit.page.evaluate("window.pwned") is None
        assert visit.clean(), (path, visit.said)
        assert {url for url in visit.asked if not url.startswith(out.as_uri())} == set()
        visit.context.close()


MADE_UP = "These scores are made up for a test, near the printed ones. They are no result."


def _shown_study(folder: Path) -> tuple[str, list[str]]:
    """What the pictures show: a study that was run to its end here, else the paper's grid with made-up scores that say so."""
    for study in ("miniature", "smoke"):
        results = ROOT / "results" / study
        cells = sorted(str(path) for path in results.glob("cells/*/*/*/*.json"))
        if cells and len(cells) == sum(len(entry.benchmarks) for entry in spec_of(study).variants):
            return study, [*cells, *_analyses(study)]
    paths = paper_grid(folder / "cells")
    more = ["--statistics", statistics(folder, paths), "--note", MADE_UP]
    return "paper", [*paths, *more, *_analyses("none")]


def _analyses(study: str) -> list[str]:
    figures = ROOT / "paper_figures"
    files = {f"--{name}": figures / study / f"{name}.csv" for name in ("comparison", "statistics", "claims")}
    files["--printed"] = figures / "published" if (figures / "published/audit.csv").is_file() else Path("absent")
    return [text for option, path in files.items() if path.exists() for text in (option, str(path))]


def _picture(page, name: str, folder: Path) -> None:
    """Take a picture, as a palette image so that it stays small."""
    from PIL import Image

    path = folder / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    assert path.stat().st_size < LARGEST


def test_screenshots(browser, tmp_path):
    study, given = _shown_study(tmp_path)
    out = build(tmp_path / "out", study, given)
    asked = os.environ.get("EDGE2GIANT_SCREENSHOTS")
    pictures = ROOT / asked if asked else tmp_path
    pictures.mkdir(parents=True, exist_ok=True)
    quantized = next(p for p in sorted((out / "cells").rglob("arc_challenge.html")) if "fp16" not in p.parts)
    for scheme in ("light", "dark"):
        visit = Visit(browser, out / "index.html", color_scheme=scheme, viewport={"width": 1280, "height": 1000})
        _picture(visit.page, f"report-{scheme}", pictures)
        visit.page.locator("#tables").scroll_into_view_if_needed()
        visit.page.evaluate("document.getElementById('tables').scrollIntoView({behavior: 'instant'})")
        _picture(visit.page, f"report-tables-{scheme}", pictures)
        cell = Visit(browser, quantized, color_scheme=scheme, viewport={"width": 1280, "height": 1000})
        _picture(cell.page, f"report-cell-{scheme}", pictures)
        phone = Visit(browser, out / "index.html", color_scheme=scheme, viewport={"width": 390, "height": 844}, is_mobile=True)
        _picture(phone.page, f"report-phone-{scheme}", pictures)
        for one in (visit, cell, phone):
            assert one.clean(), one.said
            one.context.close()
