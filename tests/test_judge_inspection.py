"""The page that shows two models side by side: hostile text stays text, filters and links work."""

import html.parser
import json
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import judge_material as material
import pytest
from edge2giant import errors, pages
from edge2giant.judge import __main__ as cli
from edge2giant.judge import inspection

HOSTILE = [
    "<script>document.title='PWNED'</script>",
    "</pre></article><script>document.title='PWNED'</script>",
    "<img src=x onerror=\"document.title='PWNED'\"><svg onload=\"document.title='PWNED'\">",
    "\"><body onpageshow=document.title='PWNED'> ' onmouseover='x' \" onfocus=\"x\" autofocus",
    "[click](javascript:document.title='PWNED') <a href=\"javascript:document.title='PWNED'\">x</a>",
    "<iframe srcdoc=\"<script>parent.document.title='PWNED'</script>\"></iframe><style>*{display:none}</style>",
    '<meta http-equiv="refresh" content="0; url={url}/refresh"><base href="{url}/"><link rel=stylesheet href={url}/css>',
    '<img src="{url}/img"><object data="{url}/object"></object><video src="{url}/video" autoplay></video>',
    "\x00\x01\x07\x08\x0b\x0c\x1b[31m\x7f\x85\u2028\u2029\ufeff\ufffe \u202egnp.exe\u202c \u2066x\u2069 a\u200bb",
    "x" * 100_000,
    "&lt;script&gt; &amp; &#60;script&#62; {{ 7 * 7 }} {% raw %} ${7*7} <!-- <![CDATA[ ]]> -->",
    "\n\n  leading lines\r\nwindows line\rmac line\ttab\n",
    "",
    "ＦＵＬＬ ＷＩＤＴＨ 🙂 ‮ עברית العربية 漢字 a\u0301" + "\u0300" * 500,
]
TITLE = 'MT-Bench: A <b>bold</b> and B "quoted" \''
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Page(html.parser.HTMLParser):
    """Elements, attributes and the texts of the answers of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.answers, self.title, self.shown = [], [], [], "", []
        self._open, self._sink = None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "article" and "hidden" not in given:
            self.shown.append(given["id"])
        if tag == "pre" and given.get("class") == "answer":
            self.answers.append("")
            self._sink = "answer"
        elif tag == "title":
            self._sink = "title"

    def handle_endtag(self, tag):
        if tag in ("pre", "title"):
            self._sink = None

    def handle_data(self, data):
        if self._sink == "answer":
            self.answers[-1] += data
        elif self._sink == "title":
            self.title += data


@contextmanager
def bait():
    """A loopback server that remembers every request."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()
    thread.join()


def hostile_answers(path, url):
    rows = []
    for i, question in enumerate(material.questions(2)):
        row = material.answer(question, model='B "quoted" \'')
        texts = [HOSTILE[(2 * i + t) % len(HOSTILE)].replace("{url}", url) for t in (0, 1)]
        row["choices"][0]["turns"] = texts
        rows.append(row)
    return material.lines(path, rows)


def judged(room, name):
    files = ["--answers", str(room / f"{name}.jsonl"), "--out", str(room / f"{name}.judgments.jsonl")]
    assert errors.run(lambda: cli.main(material.rating(room, *files, **material.RULE_JUDGE))) == 0


def change_ratings(room):
    """Give B ratings that move by known steps: question 81 + i by i / 2 - 2, and one question none."""
    for name in ("a", "b"):
        path = room / f"{name}.judgments.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            i = row["question_id"] - 81
            row["rating"] = 5.0 if name == "a" else max(1.0, min(10.0, 5.0 + i / 2 - 2))
            if i == 15 and name == "b":
                row.update(rating=None, status="unparsed", judgment=HOSTILE[0])
            if i == 14 and name == "b":
                row["last_rating"] = 1.0
        material.lines(path, rows)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    room = tmp_path_factory.mktemp("inspection")
    with bait() as (url, seen):
        material.bench(room / "data", 2)
        material.answers(room / "a.jsonl", 2, model="A <b>bold</b>")
        hostile_answers(room / "b.jsonl", url)
        judged(room, "a")
        judged(room, "b")
        change_ratings(room)
        assert inspect(room) == 0
        yield Room(room, seen)


class Room:
    """The folder with the page, and what the bait server has seen."""

    def __init__(self, folder, seen):
        self.folder, self.seen = folder, seen
        self.page = folder / "page.html"


def inspect(folder, *more):
    sides = [f"--{kind}-{side}" for side in "ab" for kind in ("answers", "judgments")]
    files = [folder / f"{side}{end}" for side in "ab" for end in (".jsonl", ".judgments.jsonl")]
    pairs = [str(word) for pair in zip(sides, files, strict=True) for word in pair]
    command = ["inspect", "--data", str(folder / "data"), *pairs, "--out", str(folder / "page.html"), *more]
    return errors.run(lambda: cli.main(command))


def expected_answers(folder):
    texts = []
    rows = [[json.loads(line) for line in (folder / f"{s}.jsonl").read_text().splitlines()] for s in "ab"]
    for a, b in zip(*rows, strict=True):
        for turn in (0, 1):
            texts += [inspection.visible(row["choices"][0]["turns"][turn]) for row in (a, b)]
    return texts


KNOWN_TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "table", "thead", "tr", "th", "tbody",
    "td",
    "form", "label", "select", "option", "input", "output", "main", "article", "h2", "a", "span", "section",
    "h3",
    "pre", "details", "summary", "p", "div", "h4", "script", "b", "footer",
}  # fmt: skip


def check(page):
    assert set(page.tags) <= KNOWN_TAGS
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert page.title == TITLE
    for tag, name, value in page.attributes:
        assert not name.startswith("on") and name not in ("src", "srcdoc", "style", "action")
        assert name != "href" or (tag == "a" and re.fullmatch(r"#q\d+|#main", value))
    assert len(page.answers) == 64


def test_hostile_text_is_text_in_the_page(room):
    page = Page(room.page.read_text(encoding="utf-8"))
    check(page)
    # the file begins each text with the newline that browsers drop after <pre>
    assert [text.removeprefix("\n") for text in page.answers] == expected_answers(room.folder)


def test_a_judgment_with_two_ratings_shows_both(room):
    text = room.page.read_text(encoding="utf-8")
    assert text.count("the text ends with another, 1<") == 2
    assert re.search(r"B: .*<td class=\"number\">2</td></tr>", text)


def test_the_policy_names_the_pages_own_two_pieces():
    policy = pages.policy(pages.fingerprint("a"), pages.fingerprint("b"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert "http" not in policy and "form-action 'none'" in policy and "base-uri 'none'" in policy


def test_characters_that_hide_are_made_visible():
    shown = inspection.visible("a\x00b\x1b\u202ec\r\nd\re\tf\n\ud83d")
    assert shown == "a⟨U+0000⟩b⟨U+001B⟩⟨U+202E⟩c\nd⟨U+000D⟩e\tf\n⟨U+D83D⟩"
    assert inspection.visible("plain ünïcödé 漢字 🙂") == "plain ünïcödé 漢字 🙂"


def test_judgments_of_other_answers_are_refused(room, capsys, tmp_path):
    for name in ("a.jsonl", "b.jsonl", "a.judgments.jsonl"):
        shutil.copy(room.folder / name, tmp_path)
    shutil.copytree(room.folder / "data", tmp_path / "data")
    shutil.copy(room.folder / "a.judgments.jsonl", tmp_path / "b.judgments.jsonl")
    assert inspect(tmp_path) == 2
    assert "is of another answer" in capsys.readouterr().err


@pytest.fixture
def browse(tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium runs the browser tests")

    def browse(path, fragment="", *more):
        profile = tmp_path / "profile"
        command = [
            chromium,
            *FLAGS,
            f"--user-data-dir={profile}",
            *more,
            "--dump-dom",
            f"file://{path}{fragment}",
        ]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        return Page(done.stdout.decode("utf-8"))

    return browse


@pytest.mark.slow
def test_in_a_browser_nothing_hostile_runs_or_loads(room, browse):
    page = browse(room.page)
    check(page)
    assert page.answers == expected_answers(room.folder)
    assert len(page.shown) == 16 and room.seen == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fragment", "shown"),
    [
        ("", range(81, 97)),
        ("#category=math", [87, 88]),
        ("#change=down", [81, 82, 83, 84]),
        ("#change=down&least=1.5", [81, 82]),
        ("#change=same", [85]),
        ("#change=none", [96]),
        ("#change=up&category=writing", []),
        ("#change=moved&least=4.5", [94, 95]),
        ("#category=nonsense", range(81, 97)),
        ("#q90", range(81, 97)),
        ("#q99999", range(81, 97)),
        ("#<script>document.title='PWNED'</script>", range(81, 97)),
    ],
)
def test_filters_and_links_of_the_address(room, browse, fragment, shown):
    page = browse(room.page, fragment)
    assert page.shown == [f"q{key}" for key in shown]
    assert page.title == TITLE


def with_script(room, name, script):
    """A copy of the page without its policy and with a script that plays the user."""
    text = room.page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text, count=1)
    path = room.folder / name
    path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_user_filters_orders_and_follows_a_link_out_of_the_filter(room, browse):
    play = """
      const byId = (id) => document.getElementById(id);
      const set = (id, value) => { byId(id).value = value; byId(id).dispatchEvent(new Event('input')); };
      set('category', 'writing'); set('change', 'down'); set('order', 'change');
      const first = location.hash + ' ' + byId('count').textContent;
      location.hash = '#q95';
      addEventListener('hashchange', () => { document.title = first + ' ' + byId('q95').hidden; });
    """
    page = browse(with_script(room, "played.html", play), "", "--virtual-time-budget=2000")
    assert page.title == "#category=writing&change=down&order=change 2 of 16 questions false"
    assert page.shown == ["q81", "q82", "q95"]


@pytest.mark.slow
def test_long_lines_do_not_widen_the_page(room, browse):
    measure = "document.title = document.documentElement.scrollWidth - document.documentElement.clientWidth;"
    assert browse(with_script(room, "measured.html", measure)).title == "0"


@pytest.mark.slow
def test_without_scripts_all_is_shown(room, browse):
    text = re.sub(r"<script>.*?</script>", "", room.page.read_text(encoding="utf-8"), flags=re.DOTALL)
    (room.folder / "plain.html").write_text(text, encoding="utf-8")
    page = browse(room.folder / "plain.html")
    assert len(page.shown) == 16 and page.answers == expected_answers(room.folder)


def test_answers_without_a_judge_are_shown_and_said_to_be_unrated(room, tmp_path):
    page = tmp_path / "page.html"
    files = ["--answers-a", str(room.folder / "a.jsonl"), "--answers-b", str(room.folder / "b.jsonl")]
    none = ["--judgments-a", "--judgments-b"]  # as the rule writes them where there are no ratings
    assert errors.run(lambda: cli.main(["inspect", "--data", str(room.folder / "data"), *files, *none, "--out", str(page)])) == 0
    text = page.read_text(encoding="utf-8")
    assert "No judge rated them" in text and "change not known" in text
    assert "B − A: " not in text
