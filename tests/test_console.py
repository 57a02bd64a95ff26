"""`snakemake --logger edge2giant`: one line a job, and of a failure its reason, the end of its log and what to do."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from shared import ROOT
from snakemake_logger_plugin_edge2giant.console import Console, duration, name_of, plain, reason_of

WORKFLOW = '''
wildcard_constraints:
    model="[^/]+",

rule all:
    input: "right.txt", "made/a-model-with-a-name-that-is-longer-than-most-terminals-show-in-one-line-of-text/gptq/w4a16.txt"

rule quick:
    output: "right.txt"
    message: "Making what is right"
    shell: "touch {output}"

rule make_checkpoint:
    output: "made/{model}/{method}/{bits}.txt"
    log: "logs/{model}/{method}/{bits}.log"
    shell:
        r"""printf 'loading\\n  0%%|          | 0/3 [00:00<?, ?it/s]\\r100%%|####| 3/3 [00:01<00:00, 2.9it/s]\\n' >{log}
        echo 'error: models/x: holds no weights; fetch it again' >>{log}; exit 2"""
'''
ESCAPE = "\033"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    return tmp_path


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--logger", "edge2giant", "--cores", "1", "--keep-going", *options]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "TERM")}
    return kept | {"PYTHONPATH": str(ROOT / "workflow"), "TERM": "xterm"} | more


def in_terminal(folder, columns: int, **more: str) -> str:
    """What a terminal of some width gets."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(command(), cwd=folder, env=environment(**more), stdin=child, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the terminal has no writer any more
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait() == 1
    return shown.decode()


def test_a_log_has_one_line_a_job_and_the_reason_of_a_failure(folder):
    run = subprocess.run(command(), cwd=folder, env=environment(), capture_output=True, text=True)
    assert run.returncode == 1 and ESCAPE not in run.stderr and "\r" not in run.stderr
    lines = run.stderr.splitlines()
    assert "3 jobs: " in run.stderr
    assert sum("Making what is right" in line for line in lines) == 1
    (failed,) = [number for number, line in enumerate(lines) if "FAILED make checkpoint" in line]
    assert re.search(
        r"\[\d/3\] FAILED make checkpoint a-model\S+/gptq/w4a16 after \d+ s: models/x: holds no weights$", lines[failed]
    )
    below = [line.strip() for line in lines[failed + 1 : failed + 5]]
    assert below[:2] == ["| loading", "| error: models/x: holds no weights; fetch it again"]
    assert below[2].startswith("log   logs/a-model") and below[3] == "hint  fetch it again"
    assert "it/s" not in run.stderr and "shell:" not in run.stderr and "touch" not in run.stderr


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_gets_lines_that_fit_and_colours(folder, columns):
    shown = in_terminal(folder, columns)
    assert ESCAPE + "[32m" in shown and ESCAPE + "[31m" in shown
    lines = [re.sub(r"\033\[[0-9;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown)]
    assert max(len(line) for line in lines if "runs:" in line or "Making" in line) < columns
    assert any("FAILED" in line and line.endswith("holds no weights") for line in lines), "a reason is never cut"


def test_no_color_takes_colours_away(folder):
    assert not re.search(r"\033\[\d*m", in_terminal(folder, 80, NO_COLOR="1"))


def test_a_dry_run_is_a_line_a_job(folder):
    run = subprocess.run(command("-n"), cwd=folder, env=environment(), capture_output=True, text=True)
    assert run.returncode == 0
    shown = sorted(line for line in run.stdout.splitlines() if line.startswith("would run"))
    assert len(shown) == 2 and shown[0] == "would run  Making what is right" and "make checkpoint a-model" in shown[1]


def test_what_remains_is_told_by_what_jobs_of_a_rule_took():
    now = [0.0]
    console = Console(io.StringIO(), now=lambda: now[0], clock=lambda: now[0])
    console.planned({"evaluate": 4, "all": 1, "total": 5})
    assert console.remaining() is None
    for jobid in range(2):
        console.started({"jobid": jobid, "rule_name": "evaluate", "shellcmd": "x", "wildcards": {"model": "m"}})
        now[0] += 60
        console.finished(jobid)
    assert console.remaining() == pytest.approx(120)
    assert "[2/5] evaluate m  1:00  3 left, until about " in console.stream.getvalue()


def test_a_log_that_says_nothing_for_long_says_what_runs():
    now = [0.0]
    console = Console(io.StringIO(), now=lambda: now[0])
    console.started({"jobid": 1, "rule_name": "evaluate", "shellcmd": "x"})
    console.tick()
    assert not console.stream.getvalue()
    now[0] = 700
    console.tick()
    assert "runs: evaluate 11:40" in console.stream.getvalue()


def test_reasons_names_and_durations():
    assert reason_of(["x", "error: a: wrong; do this"]) == ("a: wrong", "do this")
    assert reason_of(["error: a: wrong"]) == ("a: wrong", "")
    assert reason_of(["Traceback (most recent call last):", "torch.OutOfMemoryError: CUDA"]) == (
        "torch.OutOfMemoryError: CUDA",
        "",
    )
    assert reason_of(["a warning"], 143) == ("it was ended by SIGTERM", "")
    assert reason_of(["error: a: wrong"], 137) == ("a: wrong", "")
    assert reason_of(["a warning"], 137)[0] == "it was ended by SIGKILL, as the system does when memory runs out"
    assert reason_of(["a warning"], 1) == ("a warning", "")
    assert reason_of([])[0] == "it ended with an error and left no reason"
    assert name_of(
        {"rule_name": "score_cell", "wildcards": {"model": "m", "method": "fp16", "bits": "w16a16", "benchmark": "b"}}
    ) == ("score cell m/fp16/w16a16 b")
    assert [duration(seconds) for seconds in (4.4, 187, 7800)] == ["4 s", "3:07", "2:10:00"]
    assert list(
        plain(
            [
                "a\rb",
                "50%|##  | 1/2 [00:01<00:01, 1.0it/s]",
                "Generating: 70 examples [00:00, 3617.70 examples/s]",
                "",
                "\033[31mred\033[0m",
            ]
        )
    ) == ["b", "red"]
