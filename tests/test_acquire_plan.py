"""The plan: what a study needs, how much it will fetch, and everything that cannot be had, before anything is fetched."""

from types import SimpleNamespace

import pytest
from acquire_cli import MODEL, hub_of_a_test, piece
from edge2giant import records, specs
from edge2giant.errors import UserError
from edge2giant.plan import acquire as fetching
from edge2giant.plan import open_plan
from edge2giant.records.lock import FileDigest, Lock
from edge2giant.specs.acquire import FetchSpec, SourceService
from edge2giant.store import __main__ as cli
from edge2giant.store import acquire, sources, survey

RUN = {"study": "paper", "batch": "suite", "results": "results", "figures": "paper_figures"}


@pytest.fixture
def server(monkeypatch):
    yield from hub_of_a_test(monkeypatch)


@pytest.fixture(scope="module")
def opened():
    return open_plan(RUN | {"token_file": "~/my keys/hub token"})


def need(name: str) -> FetchSpec:
    return piece("model", f"org/{name}")


def surveyed(wanted):
    return survey.survey(wanted, sources.choose(SourceService()))


def test_the_paper_study_needs_what_the_paper_used(opened):
    wanted = fetching.pieces(opened, "paper")
    kinds = {
        kind: [one.name for one in wanted if one.kind == kind] for kind in ("model", "dataset", "calibration", "mt-bench", "nltk")
    }
    assert len(kinds["model"]) == 12 and len(kinds["dataset"]) == 12
    assert kinds["mt-bench"] == ["mt_bench"] and kinds["nltk"] == ["nltk"]
    assert "random-256x8192" not in kinds["calibration"] and "pile-val-128x512" in kinds["calibration"]
    assert all(one.revision for one in wanted if one.kind in ("dataset", "mt-bench", "nltk")), "a data set without its commit"
    assert len({one.lock for one in wanted}) == len(wanted)


def test_sizes_are_summed_and_nothing_is_fetched(server, tmp_path, capsys):
    server.add("model", "org/a", MODEL)
    server.add("model", "org/b", MODEL)
    items, wrong = surveyed([need("a"), need("b")])
    assert not wrong
    size = sum(len(MODEL[name]) for name in ("model.safetensors", "config.json", "tokenizer.json", "README.md"))
    assert [item.bytes for item in items] == [size, size]
    assert "study s: 2 to fetch, 23.7 kB; free on the disk" in survey.text("s", items, tmp_path)
    assert survey.record("s", items)["bytes"] == 2 * size
    assert not server.requests("/resolve/")


def test_everything_that_cannot_be_had_is_named_at_once_access_first(server, tmp_path):
    server.add("model", "org/open", MODEL)
    server.add("model", "org/gated", MODEL, gated=True)
    server.add("model", "org/gated2", MODEL, gated=True)
    server.add("model", "org/pickled", {"pytorch_model.bin": b"x"})
    items, wrong = surveyed([need(name) for name in ("pickled", "open", "gated", "none", "gated2")])
    assert [line.split(":")[0] for line in wrong] == ["org/gated", "org/none", "org/gated2", "org/pickled"]
    assert [item.piece.name for item in items] == ["open"]
    with pytest.raises(UserError, match=r"study s: 4 of its sources cannot be fetched: org/gated: is gated.*nothing was fetched"):
        survey.refuse("s", wrong, items, tmp_path)


def test_the_disk_must_hold_all_of_it_together(server, tmp_path, monkeypatch):
    server.add("model", "org/a", MODEL)
    server.add("model", "org/b", MODEL)
    items, _ = surveyed([need("a"), need("b")])
    monkeypatch.setattr(acquire, "free_bytes", lambda folder: items[0].bytes + acquire.SPARE + 10)
    survey.refuse("s", [], items[:1], tmp_path)
    with pytest.raises(UserError, match=r"needs 23\.7 kB"):
        survey.refuse("s", [], items, tmp_path)


def test_what_is_in_the_store_is_not_fetched_again(opened, tmp_path):
    spec = fetching.spec(opened, SimpleNamespace(study="paper"))
    path = tmp_path / spec.pieces[0].lock
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert survey.pending(spec, tmp_path) == list(spec.pieces[1:])
    miniature = fetching.spec(opened, SimpleNamespace(study="miniature"))
    assert miniature.pieces == (), "the miniature's material is made, not fetched"


def test_a_committed_lock_decides_the_revision(tmp_path):
    lock = Lock(("org/a",), "hub", "a" * 40, {"a/x": FileDigest(1, "0" * 64)})
    records.write(tmp_path / "models/a.lock.json", lock)
    assert acquire.agreed_revision(need("a"), tmp_path) == "a" * 40
    assert acquire.agreed_revision(need("b"), tmp_path) is None


def test_the_spec_of_a_fetch_says_all_that_decides_it(opened):
    class Wildcards:
        model, data, name = "llama-3.1-8b-it", "gsm8k", "pile-val-128x512"

    model = fetching.model(opened, Wildcards)
    assert (model.repo, model.lock) == ("meta-llama/Llama-3.1-8B-Instruct", "models/llama-3.1-8b-it.lock.json")
    assert fetching.dataset(opened, Wildcards).folder == "datasets/openai/gsm8k"
    calibration = fetching.calibration(opened, Wildcards)
    assert (calibration.field, calibration.patterns) == ("text", ("val.jsonl.zst",))


def test_another_mirror_or_token_makes_no_job_run_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths, texts = set(), set()
    for changed in ({}, {"mirror": "/mnt/hub"}, {"token_file": "~/my keys/hub token"}):
        path = fetching.source(open_plan(RUN | changed), None)
        paths.add(path)
        texts.add((tmp_path / path).read_text())
    assert paths == {"results/services/acquire.json"} and len(texts) == 3


def test_the_command_prints_the_survey_and_writes_it(opened, server, tmp_path):
    def options(study: str) -> list[str]:
        digest = specs.write(fetching.spec(opened, SimpleNamespace(study=study)), tmp_path)
        return ["survey", "--spec", str(specs.path(tmp_path, digest)), "--spec-digest", digest]

    rest = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "plan.json")]
    cli.main([*options("miniature"), *rest])
    assert records.read_json(tmp_path / "plan.json") == {"study": "miniature", "bytes": 0, "materials": []}
    with pytest.raises(UserError, match="of its sources cannot be fetched"):
        cli.main([*options("paper"), *rest])
    assert not (tmp_path / "store").exists()
