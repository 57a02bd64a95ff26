"""Judging against an endpoint that fails in every way: nothing lost, nothing invented, nothing paid twice."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import judge_material as material
import pytest
from edge2giant import errors, jsonl, records, specs
from edge2giant.judge import __main__ as cli
from edge2giant.records.failure import Failure
from edge2giant.records.mt_bench import Judgment
from fault_server import FAULTS, request_key, serving

WORKFLOW = Path(__file__).resolve().parent.parent / "workflow"


@pytest.fixture
def room(tmp_path):
    material.bench(tmp_path / "data")
    material.answers(tmp_path / "answers.jsonl")
    return tmp_path


@pytest.fixture
def small(tmp_path):
    """A room of 32 judgments, for what needs no more."""
    material.bench(tmp_path / "data", 2)
    material.answers(tmp_path / "answers.jsonl", 2)
    return tmp_path


def arguments(room, server, *more, **changed):
    return material.rating(room, *more, base_url=server.base_url, **changed)


def rate(room, server, *more, **entry):
    return errors.run(lambda: cli.main(arguments(room, server, *more, **entry)))


def judgments(room):
    return list(jsonl.read(room / "judgments.jsonl", Judgment))


def true_rating(server, row):
    by_digest = {request_key(r): r for r in server.requests}
    for key, request in by_digest.items():
        text = request["messages"][1]["content"]
        if f"question {row['question_id'] - 81}, " in text and ("second?" in text) == (row["turn"] == 2):
            return int(key[:8], 16) % 10 + 1
    raise AssertionError(row)


def test_160_judgments_come_through_every_fault(room, capsys):
    def script(key, attempt, nth):
        # each request fails once or twice, in a way that its digest picks, before it succeeds
        fault = FAULTS[int(key[8:12], 16) % len(FAULTS)]
        return fault if attempt == 0 or (attempt == 1 and int(key[12], 16) < 4) else None

    with serving(script, hang_s=2.0) as server:
        assert rate(room, server, concurrency=32, timeout_s=0.6) == 0
        assert set(server.faults) >= set(FAULTS)
        assert set(server.answered.values()) == {1}
        rows = judgments(room)
        assert len(rows) == 160 and all(row["status"] == "rated" for row in rows)
        assert all(row["rating"] == true_rating(server, row) for row in rows)
        assert sum(row["attempts"] for row in rows) == sum(server.attempts.values())
    assert "160/160 judged" in capsys.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
def test_attempts_are_bounded_and_what_fails_is_reported(room, fault, capsys):
    material.bench(room / "data", 1)
    material.answers(room / "answers.jsonl", 1)

    def script(key, attempt, nth):
        return fault if int(key[0], 16) < 4 else None

    with serving(script, hang_s=2.0) as server:
        assert rate(room, server, attempts=2, timeout_s=0.5, concurrency=16, give_up_after=16) == 2
        failing = {key for key in server.attempts if int(key[0], 16) < 4}
        assert failing and all(server.attempts[key] == 2 for key in failing)
    message = capsys.readouterr().err
    assert f"{len(failing)} failed" in message and not (room / "judgments.jsonl").exists()
    with serving() as server:
        assert rate(room, server) == 0
        assert sum(server.attempts.values()) == len(failing)
    assert len(judgments(room)) == 16


def test_a_text_without_rating_is_kept_and_counted(small):
    texts = {
        0: "no number at all",
        1: "[[11]]",
        2: "see [2023]",
        3: "Rating: [7]",
        4: "Rating: [[4.5]] or [[9]]",
        5: "",
    }

    def script(key, attempt, nth):
        return ("text", texts[int(key[:4], 16) % len(texts)])

    with serving(script) as server:
        assert rate(small, server) == 0
        assert set(server.attempts.values()) == {1}
    rows = judgments(small)
    assert len(rows) == 32
    for row in rows:
        expected = {"Rating: [7]": 7.0, "Rating: [[4.5]] or [[9]]": 4.5}.get(row["judgment"])
        assert row["rating"] == expected
        assert row["status"] == ("unparsed" if expected is None else "rated")
        assert row.get("last_rating") == {"Rating: [[4.5]] or [[9]]": 9.0}.get(row["judgment"])


def test_failed_judgments_may_be_let_through_but_never_scored(small):
    with serving(lambda key, attempt, nth: "400" if int(key[:2], 16) < 64 else None) as server:
        assert rate(small, server, "--allow-failed", "40") == 0
    failed = [row for row in judgments(small) if row["status"] == "failed"]
    assert failed and all(row["rating"] is None and "HTTP 400" in row["error"] for row in failed)
    assert len(judgments(small)) == 32
    with serving() as server:
        assert rate(small, server) == 0
        assert sum(server.attempts.values()) == len(failed)


@pytest.mark.parametrize("fault", ["401", "403", "404", "quota"])
def test_a_refused_key_or_model_ends_the_run_at_once(small, fault, capsys):
    with serving(lambda key, attempt, nth: fault) as server:
        assert rate(small, server, concurrency=4) == 2
        assert sum(server.attempts.values()) <= 4
    assert "check key, model and address" in capsys.readouterr().err


def test_an_endpoint_that_is_gone_ends_the_run_soon(small, capsys):
    with serving() as server:
        pass
    started = time.monotonic()
    assert rate(small, server, attempts=3, give_up_after=4) == 2
    assert time.monotonic() - started < 10
    assert "in a row failed" in capsys.readouterr().err


def start(room, server, **entry):
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    command = [sys.executable, "-m", "edge2giant.judge", *arguments(room, server, **entry)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def until(condition, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.01)


def cached_lines(room):
    path = room / "judgment_cache" / "judgments.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_at_80_and_restarted_nothing_is_paid_twice(room):
    # the 81st and later requests hang, so that the kill finds 80 answers on disk and 8 requests unanswered
    with serving(lambda key, attempt, nth: None if nth < 80 else "hang", hang_s=30.0) as server:
        process = start(room, server, timeout_s=30.0)
        until(lambda: cached_lines(room) == 80)
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.script = lambda key, attempt, nth: None
        server.released.set()
        assert rate(room, server) == 0
        assert len(server.answered) == 160
        assert set(server.answered.values()) == {1}
    assert len(judgments(room)) == 160


@pytest.mark.parametrize("moment", [33, pytest.param(7, marks=pytest.mark.slow), pytest.param(99, marks=pytest.mark.slow)])
def test_killed_at_any_moment_only_requests_in_flight_are_asked_again(room, moment):
    def script(key, attempt, nth):
        time.sleep(0.01)

    with serving(script) as server:
        process = start(room, server)
        until(lambda: sum(server.answered.values()) >= moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = {row["fingerprint"] for row in jsonl.read(whole_lines(room))}
        assert rate(room, server) == 0
        twice = sum(count - 1 for count in server.answered.values())
        assert twice <= 8
        assert len(server.answered) == 160
    rows = {row["fingerprint"] for row in judgments(room)}
    assert kept <= rows and len(rows) == 160


def whole_lines(room):
    content = (room / "judgment_cache" / "judgments.jsonl").read_bytes()
    path = room / "kept.jsonl"
    path.write_bytes(content[: content.rfind(b"\n") + 1])
    return path


def test_two_processes_on_one_cache_request_nothing_twice(room):
    def script(key, attempt, nth):
        time.sleep(0.02)

    with serving(script) as server:
        process = start(room, server)
        until(lambda: cached_lines(room) >= 10)
        assert rate(room, server) == 0
        assert process.wait(20) == 0
        assert set(server.answered.values()) == {1} and len(server.answered) == 160
    assert len(judgments(room)) == 160


def test_what_a_killed_process_had_claimed_is_taken_over(small):
    with serving(lambda key, attempt, nth: "hang", hang_s=30.0) as server:
        process = start(small, server, timeout_s=30.0)
        until(lambda: len(server.attempts) == 8)
        server.script = lambda key, attempt, nth: None
        timer = threading.Timer(1.0, process.send_signal, [signal.SIGKILL])
        timer.start()
        assert rate(small, server) == 0
        process.wait()
        timer.join()
        assert set(server.answered.values()) == {1} and len(server.answered) == 32


def test_interrupted_it_finishes_what_is_in_flight_and_keeps_it(room):
    def script(key, attempt, nth):
        time.sleep(0.1)

    with serving(script) as server:
        process = start(room, server)
        until(lambda: cached_lines(room) >= 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 130
        assert cached_lines(room) == len(server.answered) < 160


def test_interrupted_twice_it_ends_at_once(room):
    with serving(lambda key, attempt, nth: "hang", hang_s=30.0) as server:
        process = start(room, server, timeout_s=30.0)
        until(lambda: len(server.attempts) == 8)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


def test_a_full_disk_is_said_and_leaves_a_cache_to_go_on_from(small):
    with serving() as server:
        command = start(small, server).args
        until(lambda: (small / "judgments.jsonl").exists())
        size = (small / "judgment_cache" / "judgments.jsonl").stat().st_size
        (small / "judgment_cache" / "judgments.jsonl").unlink()
        (small / "judgments.jsonl").unlink()
        limit = f"ulimit -f {size // 2048}; trap '' XFSZ; exec \"$@\""
        environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
        full = subprocess.run(["bash", "-c", limit, "bash", *command], env=environment, capture_output=True)
        assert full.returncode == 2 and b"cannot be written" in full.stderr and b"Traceback" not in full.stderr
        assert 0 < cached_lines(small) < 32
        assert rate(small, server) == 0
    assert len(judgments(small)) == 32


def test_a_torn_last_line_is_dropped_and_a_damaged_one_refused(small, capsys):
    with serving() as server:
        assert rate(small, server) == 0
        path = small / "judgment_cache" / "judgments.jsonl"
        content = path.read_bytes()
        path.write_bytes(content[:-40])
        assert rate(small, server) == 0
        assert sum(server.attempts.values()) == 33 and len(judgments(small)) == 32
        path.write_bytes(content.replace(b'"turn": 1', b'"turn" 1', 1))
        assert rate(small, server) == 2
    assert "judgments.jsonl:" in capsys.readouterr().err


def test_a_finished_run_asks_nothing_and_needs_no_key(small):
    with serving() as server:
        assert rate(small, server) == 0
        assert rate(small, server, key_file=str(small / "gone.key")) == 0
        assert sum(server.attempts.values()) == 32


def test_more_repeats_ask_for_the_new_ones_alone(small):
    with serving() as server:
        assert rate(small, server) == 0
        assert rate(small, server, repeats=3) == 0
        assert sum(server.attempts.values()) == 96
    assert {row["repeat"] for row in judgments(small)} == {0, 1, 2} and len(judgments(small)) == 96


PRICE = {"usd_per_1k_prompt_tokens": 10.0, "usd_per_1k_completion_tokens": 10.0}
CALL_USD = 1.1  # 100 + 10 tokens at 0.01 USD each


def billed(server):
    return sum(server.answered.values()) * CALL_USD


def test_the_cap_stops_the_run_before_it_is_passed(room, capsys):
    with serving() as server:
        assert rate(room, server, **PRICE, limit_usd=60, max_tokens=20) == 2
        first = billed(server)
        assert 40 < first <= 60
        assert "could pass the cap of 60 USD" in capsys.readouterr().err
        assert rate(room, server, **PRICE, limit_usd=100, max_tokens=20) == 2
        assert first < billed(server) <= 100
        assert rate(room, server, **PRICE, limit_usd=1000, max_tokens=20) == 0
        assert set(server.answered.values()) == {1}
    assert sum(row["usd"] for row in judgments(room)) == pytest.approx(160 * CALL_USD)


def test_one_cap_holds_for_runs_that_share_a_cache(room):
    with serving() as server:
        assert rate(room, server, **PRICE, limit_usd=500, max_tokens=20) == 0
        assert billed(server) == pytest.approx(176)
        assert rate(room, server, **PRICE, limit_usd=200, max_tokens=19) == 2
        assert billed(server) <= 200


def test_calls_that_may_have_been_billed_count_against_the_cap(small):
    faults = {0: "hang", 1: "half a body", 2: "malformed json"}
    with serving(lambda key, attempt, nth: faults[nth % 3], hang_s=2.0) as server:
        entry = {**PRICE, "limit_usd": 30, "max_tokens": 20, "timeout_s": 0.3}
        assert rate(small, server, **entry) == 2
        # at most (100 bytes and more + 20 tokens) at 0.01 USD: about 2 USD a call that nobody refunds
        assert sum(server.attempts.values()) <= 30
    with serving(lambda key, attempt, nth: "500" if attempt == 0 else None) as server:
        entry = {**PRICE, "limit_usd": 400, "max_tokens": 20}
        assert rate(small, server, "--judgment-cache", str(small / "new"), **entry) == 0
        assert server.faults["500"] == 32


def test_without_usage_a_call_counts_at_its_highest_price(small):
    with serving(usage=False) as server:
        assert rate(small, server, **PRICE, limit_usd=5000, max_tokens=20) == 0
    assert all(row["usd"] > CALL_USD and row["tokens_in"] is None for row in judgments(small))


def test_a_dry_run_states_calls_tokens_and_cost_and_calls_nobody(small, capsys):
    with serving() as server:
        code = rate(small, server, "--dry-run", **PRICE, limit_usd=1, key_file="/nowhere")
        assert code == 0 and not server.attempts
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["calls"] == 32 and numbers["done"] == 0
    assert 0 < numbers["usd"] < numbers["most_usd"] and numbers["tokens_in"] < numbers["most_tokens_in"]
    assert not (small / "judgment_cache").exists() and not (small / "judgments.jsonl").exists()


def test_the_key_is_sent_but_never_written_or_printed(small, capsys):
    secret = "sk-very-secret-0123456789"
    (small / "judge.key").write_text(secret + "\nsecond line\n")
    with serving(lambda key, attempt, nth: "500" if attempt == 0 else None) as server:
        assert rate(small, server, key_file=str(small / "judge.key")) == 0
        assert {h["authorization"] for h in server.headers} == {f"Bearer {secret}"}
    with serving(lambda key, attempt, nth: "echo") as server:
        cache = ["--judgment-cache", str(small / "other")]
        assert rate(small, server, *cache, key_file=str(small / "judge.key")) == 2
    shown = capsys.readouterr()
    assert secret not in shown.err + shown.out
    for path in small.rglob("*"):
        if path.is_file() and path.name != "judge.key":
            assert secret.encode() not in path.read_bytes()


def test_a_missing_key_is_said_before_anything_is_asked(small, capsys, monkeypatch):
    monkeypatch.delenv("EDGE2GIANT_TEST_KEY", raising=False)
    with serving() as server:
        assert rate(small, server, key_file=str(small / "no.key"), key_env="EDGE2GIANT_TEST_KEY") == 2
        assert not server.attempts
    assert "$EDGE2GIANT_TEST_KEY" in capsys.readouterr().err
    monkeypatch.setenv("EDGE2GIANT_TEST_KEY", "from-environment")
    with serving() as server:
        assert rate(small, server, key_file=str(small / "no.key"), key_env="EDGE2GIANT_TEST_KEY") == 0
        assert {h["authorization"] for h in server.headers} == {"Bearer from-environment"}


def test_requests_hold_what_fastchat_sends_and_fly_together(small):
    with serving(lambda key, attempt, nth: time.sleep(0.05)) as server:
        assert rate(small, server, concurrency=8) == 0
        assert 1 < server.most_flying <= 16
        request = server.requests[0]
    assert request["temperature"] == 0 and request["max_tokens"] == 2048 and request["model"] == "test-judge"
    assert [m["role"] for m in request["messages"]] == ["system", "user"]


def test_a_failure_leaves_its_reason_until_the_ratings_are_finished(small):
    record = small / "failures/smoke/tiny-0.4m/fp16/w16a16/judge.json"
    with serving(lambda key, attempt, nth: "401") as server:
        assert rate(small, server) == 2
    assert "check key, model and address" in records.read(record, Failure).reason
    with serving() as server:
        assert rate(small, server, "--dry-run") == 0 and record.exists()
        assert rate(small, server) == 0
    assert not record.exists()


def test_a_spec_or_a_service_of_another_judge_is_refused(small, capsys):
    with serving() as server:
        command = arguments(small, server)
        assert errors.run(lambda: cli.main([*command, "--spec-digest", "0" * 64])) == 2
        other = dataclasses.replace(material.SERVICE, judge="another")
        (small / "service.json").write_text(specs.text(other), encoding="utf-8")
        assert errors.run(lambda: cli.main(command)) == 2
        assert not server.attempts
    shown = capsys.readouterr().err
    assert "this job was planned with 000000000000" in shown and "belongs to judge another, the spec names test" in shown
