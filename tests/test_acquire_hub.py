"""The acquire phase against a hub on loopback: what is fetched, what is refused, and what faults of the line do to it."""

import json
import os
import subprocess
import sys

import pytest
from acquire_cli import KEPT, MODEL, TOKEN, WEIGHTS, command, hub_of_a_test, refused
from edge2giant import records, store
from edge2giant.records.lock import Lock
from edge2giant.store import __main__ as cli
from edge2giant.store import hub, retries
from hub_server import Fault
from shared import ROOT


@pytest.fixture
def server(monkeypatch):
    yield from hub_of_a_test(monkeypatch)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "hub.token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def test_a_model_is_fetched_checked_and_locked(server, tmp_path):
    commit = server.add("model", "org/tiny", MODEL).main
    cli.main(command("model", "org/tiny", tmp_path))
    assert sorted(p.name for p in (tmp_path / "models/tiny").rglob("*")) == KEPT
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == WEIGHTS
    lock = store.check(tmp_path / "models/tiny.lock.json", tmp_path / "models", hashes=True)
    assert (lock.revision, lock.source, lock.id) == (commit, "hub", ("org/tiny",))
    assert not list((tmp_path / "models").glob(".*")), "the download's own folder is left behind"


def test_files_that_are_not_wanted_are_not_asked_for(server, tmp_path):
    server.add("model", "org/tiny", MODEL)
    cli.main(command("model", "org/tiny", tmp_path))
    asked = {path.rsplit("/", 1)[-1] for _, path, _ in server.requests("/resolve/")}
    assert asked == set(KEPT)


def test_a_data_set_keeps_its_folders(server, tmp_path):
    server.add(
        "dataset",
        "org/data",
        {"main/test-0.parquet": b"PAR1" * 500, "README.md": b"---\n---", "loader.py": b"import os"},
    )
    cli.main(command("dataset", "org/data", tmp_path))
    found = {p.relative_to(tmp_path / "datasets/data").as_posix() for p in (tmp_path / "datasets/data").rglob("*") if p.is_file()}
    assert found == {"main/test-0.parquet", "README.md"}, "code of a repository is never fetched"


def test_a_broken_transfer_is_gone_on_with(server, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 512)  # else 10 MB are the least that is kept
    server.add("model", "org/tiny", MODEL)
    server.faults.append(Fault("/storage/", "truncate", times=2, method="GET"))
    cli.main(command("model", "org/tiny", tmp_path))
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == WEIGHTS
    assert any("range" in headers for _, _, headers in server.requests("/storage/", "GET"))


def test_wrong_bytes_are_refused_and_fetched_again(server, tmp_path):
    server.add("model", "org/tiny", MODEL)
    server.faults.append(Fault("/storage/", "corrupt", times=2, method="GET"))
    message = refused(command("model", "org/tiny", tmp_path))
    assert "other bytes than the hub announces" in message and "run the same command again" in message
    assert not (tmp_path / "models/tiny").exists() and not (tmp_path / "models/tiny.lock.json").exists()
    server.log.clear()
    cli.main(command("model", "org/tiny", tmp_path))
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == WEIGHTS
    assert not server.requests("/resolve/main/config.json", "GET")


@pytest.mark.parametrize("name", ["config.json", "README.md"])
def test_wrong_bytes_of_a_small_file_are_refused(server, tmp_path, name):
    server.add("model", "org/tiny", MODEL)
    server.faults.append(Fault(f"/{name}", "corrupt", method="GET"))
    assert name in refused(command("model", "org/tiny", tmp_path))


def test_a_second_run_fetches_only_what_is_missing(server, tmp_path):
    server.add("model", "org/tiny", MODEL)
    sha256 = next(s["lfs"]["sha256"] for s in [_large("model.safetensors")])
    server.faults.append(Fault(sha256, "status", status=404, method="GET"))
    refused(command("model", "org/tiny", tmp_path))
    server.faults.clear()
    server.log.clear()
    cli.main(command("model", "org/tiny", tmp_path))
    fetched = [path for _, path, _ in server.requests(method="GET") if "/api/" not in path]
    assert not any("README.md" in path for path in fetched)
    assert any(sha256 in path for path in fetched)


def _large(name):
    import hub_server

    return hub_server._sibling(name, MODEL[name])


def test_a_busy_hub_is_asked_again_after_the_time_it_names(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(retries, "sleep", waits.append)
    server.add("model", "org/tiny", MODEL)
    server.faults.append(Fault("/api/models/", "status", times=2, status=429, headers={"Retry-After": "7"}))
    server.faults.append(Fault("/api/models/", "status", times=1, status=503))
    cli.main(command("model", "org/tiny", tmp_path))
    assert (tmp_path / "models/tiny.lock.json").exists()
    assert waits == [7.0, 7.0, 0.04]


def test_a_hub_that_stays_busy_is_an_error_that_says_so(server, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)
    server.add("model", "org/tiny", MODEL)
    server.faults.append(Fault("/api/", "status", status=429))
    message = refused(command("model", "org/tiny", tmp_path))
    assert "HTTP 429" in message and "go on" in message
    assert len(server.requests("/api/")) == retries.ATTEMPTS


def test_a_gated_repository_without_access_is_named(server, tmp_path):
    server.add("model", "org/gated", MODEL, gated=True)
    message = refused(command("model", "org/gated", tmp_path))
    assert message.startswith("org/gated: is gated") and "accept its terms" in message
    assert not (tmp_path / "models/gated").exists()


def test_a_gated_repository_opens_with_the_token_of_the_file(server, tmp_path, token_file, capfd):
    server.add("model", "org/gated", MODEL, gated=True)
    cli.main(command("model", "org/gated", tmp_path, token_file=token_file))
    assert (tmp_path / "models/gated/model.safetensors").exists()
    written = capfd.readouterr()
    assert TOKEN not in written.out + written.err
    assert not any(TOKEN in p.read_text(errors="replace") for p in (tmp_path / "models").rglob("*") if p.is_file())
    assert TOKEN not in "".join(os.environ.values())


def test_the_token_goes_to_the_hub_alone(server, tmp_path, token_file):
    server.add("model", "org/gated", MODEL, gated=True)
    cli.main(command("model", "org/gated", tmp_path, token_file=token_file))
    sent = {path.split("/")[1] for _, path, headers in server.log if "authorization" in headers}
    assert sent == {"api", "org"}, "the storage that files come from gets no token"


def test_tokens_of_the_environment_are_not_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_fromtheenvironment")
    server.add("model", "org/tiny", MODEL)
    cli.main(command("model", "org/tiny", tmp_path))
    assert not any("authorization" in headers for _, _, headers in server.log)


def test_a_wrong_token_is_named_without_being_shown(server, tmp_path):
    wrong = tmp_path / "wrong.token"
    wrong.write_text("hf_wrongsecret")
    wrong.chmod(0o600)
    server.add("model", "org/tiny", MODEL)
    message = refused(command("model", "org/tiny", tmp_path, token_file=wrong))
    assert "refuses this token" in message and "hf_wrongsecret" not in message


def test_a_repository_that_is_not_there_is_named(server, tmp_path):
    message = refused(command("dataset", "org/none", tmp_path))
    assert message.startswith("org/none: is not on the hub")


def test_a_revision_that_is_not_there_is_named(server, tmp_path):
    server.add("model", "org/tiny", MODEL)
    message = refused(command("model", "org/tiny", tmp_path, revision="f" * 40))
    assert "has no revision " + "f" * 40 in message


def test_pickled_weights_alone_are_refused_before_anything_is_fetched(server, tmp_path):
    server.add("model", "org/pickle", {k: v for k, v in MODEL.items() if k != "model.safetensors"})
    message = refused(command("model", "org/pickle", tmp_path))
    assert "only pickled weights" in message and "revision" in message
    assert not server.requests("/resolve/")


def test_an_index_that_names_missing_weights_is_refused(server, tmp_path):
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
    server.add("model", "org/shards", {"model-1.safetensors": WEIGHTS, "model.safetensors.index.json": index})
    assert "names model-2.safetensors, which is not there" in refused(command("model", "org/shards", tmp_path))


def test_the_committed_lock_is_written_once_and_kept_to(server, tmp_path):
    repo = server.add("model", "org/tiny", MODEL)
    first, pin = repo.main, tmp_path / "lock/models/tiny.lock.json"
    cli.main(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))
    assert records.read(pin, Lock).revision == first
    repo.push(MODEL | {"config.json": b'{"model_type": "moved"}'})
    cli.main(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))
    assert (tmp_path / "models/tiny/config.json").read_bytes() == MODEL["config.json"], "the branch moved, the lock holds"
    assert records.read(pin, Lock).revision == first


def test_a_locked_commit_that_the_hub_dropped_is_named(server, tmp_path):
    repo = server.add("model", "org/tiny", MODEL)
    first = repo.main
    cli.main(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))
    repo.push(MODEL | {"config.json": b'{"model_type": "moved"}'}, forget=True)
    assert f"has no revision {first}" in refused(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))
    assert (tmp_path / "models/tiny/config.json").exists(), "what was fetched before stays"


def test_other_bytes_under_the_locked_commit_are_refused(server, tmp_path):
    repo = server.add("model", "org/tiny", MODEL)
    pin = tmp_path / "lock/models/tiny.lock.json"
    cli.main(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))
    repo.commits[repo.main] = MODEL | {"config.json": b'{"model_type": "forged"}'}
    assert (
        "models/tiny"
        not in (message := refused(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))).split(":")[0]
    )
    assert "config.json differs" in message and str(pin) in message


def test_a_lock_that_contradicts_the_config_is_named(server, tmp_path):
    server.add("model", "org/tiny", MODEL)
    cli.main(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock"))
    message = refused(command("model", "org/tiny", tmp_path, "--pins", tmp_path / "lock", revision="a" * 40))
    assert "the config wants revision " + "a" * 40 in message


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(server, tmp_path, monkeypatch):
    server.add("model", "org/tiny", MODEL)
    monkeypatch.setattr("edge2giant.store.acquire.free_bytes", lambda folder: 1000)
    message = refused(command("model", "org/tiny", tmp_path))
    assert "needs" in message and "1.0 kB free" in message
    assert not server.requests("/resolve/")


def test_a_hub_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)
    message = refused(command("model", "org/tiny", tmp_path))
    assert message.startswith("org/tiny: could not be fetched")


def test_the_command_line_prints_one_line_and_no_traceback(server, tmp_path):
    arguments = command("model", "org/none", tmp_path)
    run = subprocess.run(
        [sys.executable, "-m", "edge2giant.store", *arguments], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.splitlines() == [f"error: {refused(arguments)}"]
    assert not (tmp_path / "home").exists(), "fetching leaves nothing in the home folder"


def test_git_names_a_file_as_git_does():
    assert hub.git_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_models_own_code_is_not_fetched(server, tmp_path):
    server.add("model", "org/code", MODEL | {"modeling_own.py": b"print('run')"})
    cli.main(command("model", "org/code", tmp_path / "a"))
    assert not (tmp_path / "a/models/code/modeling_own.py").exists()
    assert not (tmp_path / "a/models/code/original").exists()
