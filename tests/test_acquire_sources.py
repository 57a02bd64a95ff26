"""Mirror folders, plain web files, calibration text, nltk's tables, and the plan."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from acquire_cli import MODEL, WEIGHTS, command, fetching, hub_of_a_test, piece, refused
from edge2giant import records, store
from edge2giant.records.lock import Lock
from edge2giant.store import __main__ as cli
from edge2giant.store import mt_bench, punkt, retries, selection, texts
from hub_server import Fault

COMMIT = "0e6d3e4beaab66f4d3f93db72541a4abab8af28d"


@pytest.fixture
def server(monkeypatch):
    yield from hub_of_a_test(monkeypatch)


@pytest.fixture
def mirror(tmp_path) -> Path:
    return fill(tmp_path / "mirror", "org/tiny", MODEL)


def fill(mirror: Path, repo: str, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = mirror / repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return mirror


def tables() -> dict[str, bytes]:
    return {f"punkt_tab/english/{name}": name.encode() for name in punkt.NEEDED}


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


# --- mirror ------------------------------------------------------------------------------------------------------------


def test_a_mirror_gives_what_the_hub_gives(server, mirror, tmp_path):
    server.add("model", "org/tiny", MODEL)
    cli.main(command("model", "org/tiny", tmp_path / "a"))
    cli.main(command("model", "org/tiny", tmp_path / "b", mirror=mirror))
    a, b = (records.read(tmp_path / side / "models/tiny.lock.json", Lock) for side in "ab")
    assert a.files == b.files
    assert b.source == "mirror" and len(b.revision) == 64


def test_a_committed_lock_lends_a_mirror_its_commit(server, mirror, tmp_path):
    commit = server.add("model", "org/tiny", MODEL).main
    pin = tmp_path / "lock"
    cli.main(command("model", "org/tiny", tmp_path / "a", "--pins", pin))
    cli.main(command("model", "org/tiny", tmp_path / "b", "--pins", pin, mirror=mirror))
    assert records.read(tmp_path / "b/models/tiny.lock.json", Lock).revision == commit
    (mirror / "org/tiny/config.json").write_text("{}")
    assert "config.json differs" in refused(command("model", "org/tiny", tmp_path / "c", "--pins", pin, mirror=mirror))


@pytest.mark.parametrize("repo", ["../outside", "org/../../outside", "/outside"])
def test_a_repository_cannot_lead_out_of_the_mirror(tmp_path, mirror, repo):
    fill(tmp_path, "outside", MODEL)
    arguments = fetching(piece("model", repo, folder="out", lock="out.lock.json"), tmp_path, mirror=mirror)
    assert "leads out of the mirror" in refused(arguments) or "is not in the mirror" in refused(arguments)
    assert not (tmp_path / "out").exists()


def test_a_link_to_a_folder_outside_is_refused(tmp_path, mirror):
    fill(tmp_path, "outside", MODEL)
    (mirror / "org/linked").symlink_to(tmp_path / "outside")
    assert "leads out of the mirror" in refused(command("model", "org/linked", tmp_path, mirror=mirror))


def test_a_link_to_a_file_outside_is_refused(tmp_path, mirror):
    (tmp_path / "secret.json").write_text("{}")
    (mirror / "org/tiny/special.json").symlink_to(tmp_path / "secret.json")
    assert "is a link that leads out of the mirror" in refused(command("model", "org/tiny", tmp_path, mirror=mirror))


def test_a_link_to_nothing_is_refused(tmp_path, mirror):
    (mirror / "org/tiny/special.json").symlink_to(mirror / "nothing")
    assert "is a link to nothing" in refused(command("model", "org/tiny", tmp_path, mirror=mirror))


def test_a_link_within_the_mirror_is_copied_as_a_file(tmp_path, mirror):
    (mirror / "blobs").mkdir()
    (mirror / "blobs/w").write_bytes(WEIGHTS)
    (mirror / "org/tiny/model.safetensors").unlink()
    (mirror / "org/tiny/model.safetensors").symlink_to(mirror / "blobs/w")
    cli.main(command("model", "org/tiny", tmp_path, mirror=mirror))
    copy = tmp_path / "models/tiny/model.safetensors"
    assert copy.read_bytes() == WEIGHTS and not copy.is_symlink()


def test_a_mirror_without_the_repository_names_the_place(tmp_path, mirror):
    message = refused(command("model", "org/none", tmp_path, mirror=mirror))
    assert "is not in the mirror" in message and f"put it at {mirror / 'org/none'}" in message


# --- locks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\..\\b", ""])
def test_a_lock_cannot_name_files_outside_its_folder(tmp_path, name):
    entry = {"bytes": 1, "sha256": "0" * 64}
    lock = {"id": ["org/x"], "source": "hub", "revision": "r", "files": {name: entry}}
    (tmp_path / "x.lock.json").write_text(json.dumps(lock))
    with pytest.raises(store.UserError, match="outside its folder"):
        store.check(tmp_path / "x.lock.json", tmp_path)


def test_verify_names_every_file_that_fails(tmp_path, mirror, capsys):
    for name in ("a", "b", "c"):
        fill(mirror, f"org/{name}", MODEL)
        cli.main(command("model", f"org/{name}", tmp_path, mirror=mirror))
    locks = [str(tmp_path / f"models/{name}.lock.json") for name in ("a", "b", "c")]
    cli.main(["verify", *locks])
    assert capsys.readouterr().out.count("as locked") == 3
    (tmp_path / "models/a/config.json").unlink()
    (tmp_path / "models/c/config.json").write_text('{"model_type": "LLAMA"}')  # the size is the same
    message = refused(["verify", *locks])
    assert "2 of 3 fail" in message and "a/config.json: is missing" in message and "c/config.json: differs" in message
    assert "b.lock.json" in capsys.readouterr().out


def test_verify_holds_a_store_against_the_committed_locks(tmp_path, mirror):
    pins = tmp_path / "pins"
    cli.main(command("model", "org/tiny", tmp_path, "--pins", pins, mirror=mirror))
    arguments = ["verify", str(tmp_path / "models/tiny.lock.json"), "--pins", str(pins), "--store", str(tmp_path)]
    cli.main(arguments)
    (mirror / "org/tiny/config.json").write_text("{}")
    cli.main(command("model", "org/tiny", tmp_path, mirror=mirror))
    assert "config.json differs" in refused(arguments)


# --- plain web files -----------------------------------------------------------------------------------------------------


def mt_bench_command(folder: Path, *more: str) -> list[str]:
    spec = piece("mt-bench", "lm-sys/FastChat", revision=COMMIT, patterns=tuple(mt_bench.FILES))
    return fetching(spec, folder / "store", *more)


def serve_mt_bench(server) -> dict[str, bytes]:
    contents = {name: (name * 300).encode() for name in mt_bench.FILES}
    server.raw |= {f"lm-sys/FastChat/{COMMIT}/{name}": data for name, data in contents.items()}
    return contents


def test_mt_bench_is_fetched_under_the_names_of_the_store(server, tmp_path):
    contents = serve_mt_bench(server)
    cli.main(mt_bench_command(tmp_path))
    for name, kept in mt_bench.FILES.items():
        assert (tmp_path / "store/mt_bench" / kept).read_bytes() == contents[name]
    assert store.check(tmp_path / "store/mt_bench.lock.json", tmp_path / "store", hashes=True).revision == COMMIT
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["mt_bench", "mt_bench.lock.json", "told"]


def test_a_broken_web_download_goes_on_where_it_ended(server, tmp_path):
    contents = serve_mt_bench(server)
    server.faults.append(Fault("question.jsonl", "truncate", times=1, method="GET"))
    cli.main(mt_bench_command(tmp_path))
    name = next(iter(mt_bench.FILES))
    assert (tmp_path / "store/mt_bench/question.jsonl").read_bytes() == contents[name]
    ranges = [headers["range"] for _, _, headers in server.requests("question.jsonl", "GET") if "range" in headers]
    assert ranges == [f"bytes={len(contents[name]) // 2}-"]


def test_a_download_that_was_killed_goes_on_where_it_ended(server, tmp_path):
    contents = serve_mt_bench(server)
    name = next(iter(mt_bench.FILES))
    partial = tmp_path / "store/.mt_bench.partial" / f"{name}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(contents[name][:100])
    cli.main(mt_bench_command(tmp_path))
    assert (tmp_path / "store/mt_bench/question.jsonl").read_bytes() == contents[name]
    assert [h["range"] for _, _, h in server.requests("question.jsonl", "GET")] == ["bytes=100-"]


def test_web_files_that_differ_from_the_committed_lock_are_refused(server, tmp_path):
    serve_mt_bench(server)
    pin = tmp_path / "pin"
    cli.main(mt_bench_command(tmp_path / "a", "--pins", pin))
    server.faults.append(Fault("question.jsonl", "corrupt", method="GET"))
    assert "question.jsonl differs" in refused(mt_bench_command(tmp_path / "b", "--pins", pin))
    assert not (tmp_path / "b/store/mt_bench.lock.json").exists()


def test_a_commit_that_is_not_there_is_named(server, tmp_path):
    message = refused(mt_bench_command(tmp_path))
    assert "answers HTTP 404" in message and "config/benchmarks.yaml" in message


def test_a_web_server_that_stays_busy_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)
    serve_mt_bench(server)
    server.faults.append(Fault("/raw/", "status", status=429))
    assert "answers HTTP 429" in refused(mt_bench_command(tmp_path))
    assert len(server.requests("/raw/")) == retries.ATTEMPTS


# --- nltk ----------------------------------------------------------------------------------------------------------------


def nltk_command(folder: Path) -> list[str]:
    return fetching(piece("nltk", "nltk/nltk_data", revision=COMMIT, patterns=(punkt.ARCHIVE,)), folder / "store")


def serve_nltk(server, files: dict[str, bytes]) -> None:
    server.raw[f"nltk/nltk_data/{COMMIT}/{punkt.ARCHIVE}"] = zipped(files)


def test_nltk_tables_are_unpacked_english_only(server, tmp_path):
    serve_nltk(server, tables() | {"punkt_tab/german/ortho_context.tab": b"x", "punkt_tab/README": b"x"})
    cli.main(nltk_command(tmp_path))
    found = sorted(p.relative_to(tmp_path / "store/nltk").as_posix() for p in (tmp_path / "store/nltk").rglob("*") if p.is_file())
    assert found == [f"tokenizers/punkt_tab/english/{name}" for name in punkt.NEEDED]


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "punkt_tab/english/../../../evil"])
def test_an_archive_cannot_write_outside_its_folder(server, tmp_path, name):
    serve_nltk(server, tables() | {name: b"evil"})
    assert "outside its folder" in refused(nltk_command(tmp_path))
    assert not list(tmp_path.rglob("*evil*")) and not (tmp_path / "store/nltk").exists()


def test_an_archive_that_would_fill_the_disk_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(punkt, "LARGEST", 10)
    serve_nltk(server, tables())
    assert "bytes" in refused(nltk_command(tmp_path))


def test_an_archive_without_the_tables_is_refused(server, tmp_path):
    serve_nltk(server, {"punkt_tab/english/ortho_context.tab": b"x"})
    assert "lacks abbrev_types.txt" in refused(nltk_command(tmp_path))


def test_what_is_no_archive_is_refused(server, tmp_path):
    server.raw[f"nltk/nltk_data/{COMMIT}/{punkt.ARCHIVE}"] = b"<html>not found</html>"
    assert "cannot be unpacked" in refused(nltk_command(tmp_path))


# --- calibration ---------------------------------------------------------------------------------------------------------


def calibration_command(folder: Path, field: str, *patterns: str) -> list[str]:
    place = {"folder": "calibration/set", "lock": "calibration/set.lock.json"}
    given = {"field": field, "patterns": patterns or texts.patterns(None, "train")}
    return fetching(piece("calibration", "org/text", **place, **given), folder / "store")


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "store/calibration/set/text.jsonl").read_text().splitlines()]


def parquet(rows: list[dict]) -> bytes:
    import pyarrow
    from pyarrow import parquet as writer

    stream = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(rows), stream)
    return stream.getvalue()


def jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def zst(data: bytes) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


ROWS = [{"text": f"line {number} \u2028 with a break", "meta": number} for number in range(5)]


@pytest.mark.parametrize(
    "name, content",
    [
        ("data/train-00000-of-00001.parquet", parquet(ROWS)),
        ("train.jsonl", jsonl(ROWS)),
        ("train.jsonl.gz", gzip.compress(jsonl(ROWS))),
        ("train.jsonl.zst", zst(jsonl(ROWS))),
    ],
    ids=["parquet", "jsonl", "gzip", "zstd"],
)
def test_calibration_text_keeps_the_order_of_its_rows(server, tmp_path, name, content):
    server.add(
        "dataset",
        "org/text",
        {name: content, "data/test-00000-of-00001.parquet": parquet([{"text": "held out"}])},
    )
    cli.main(calibration_command(tmp_path, "text"))
    assert lines(tmp_path) == [{"text": row["text"]} for row in ROWS]
    assert list(store.check(tmp_path / "store/calibration/set.lock.json", tmp_path / "store/calibration", hashes=True).files) == [
        "set/text.jsonl"
    ]


def test_conversations_stay_conversations(server, tmp_path):
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    server.add("dataset", "org/text", {"data/train_sft-00000-of-00001.parquet": parquet([{"messages": chat}])})
    cli.main(calibration_command(tmp_path, "messages", "data/train_sft-*"))
    assert lines(tmp_path) == [{"messages": chat}]


def test_shards_come_in_the_order_of_their_names(server, tmp_path):
    shards = {f"data/train-0000{n}-of-00003.parquet": parquet([{"text": str(n)}]) for n in (2, 0, 1)}
    server.add("dataset", "org/text", shards)
    cli.main(calibration_command(tmp_path, "text"))
    assert [row["text"] for row in lines(tmp_path)] == ["0", "1", "2"]


def test_a_field_that_is_not_there_is_named_with_those_that_are(server, tmp_path):
    server.add("dataset", "org/text", {"train.jsonl": jsonl(ROWS)})
    assert "has no field 'content', only meta, text" in refused(calibration_command(tmp_path, "content"))


def test_damaged_calibration_files_are_one_line(server, tmp_path):
    server.add("dataset", "org/text", {"train.jsonl": b'{"text": "cut'})
    assert "train.jsonl: cannot be read" in refused(calibration_command(tmp_path, "text"))
    server.add("dataset", "org/text", {"train-0.parquet": b"PAR1 nothing"})
    assert "train-0.parquet: cannot be read" in refused(calibration_command(tmp_path, "text"))


def test_a_split_that_is_not_there_is_named(server, tmp_path):
    server.add("dataset", "org/text", {"validation.jsonl": jsonl(ROWS)})
    assert "holds no file of a kind that is read here" in refused(calibration_command(tmp_path, "text"))


# --- what is wanted --------------------------------------------------------------------------------------------------------


def test_selection_takes_no_code_no_pickles_no_second_format():
    names = [
        "model-00001-of-00002.safetensors", "consolidated.safetensors", "original/consolidated.00.pth", "original/params.json",
        "pytorch_model.bin", "modeling_custom.py", "tokenizer.model", "model.gguf", ".cache/x.json", "onnx/model.onnx",
        "chat_template.jinja",
    ]  # fmt: skip
    assert selection.wanted(piece("model", "org/a"), names) == [
        "chat_template.jinja",
        "model-00001-of-00002.safetensors",
        "tokenizer.model",
    ]
    assert selection.wanted(piece("dataset", "org/a"), ["a/b.parquet", "a/loader.py", "data.tar", "x.pkl"]) == ["a/b.parquet"]
