"""After acquire, a process that reaches out ends with one line that names who tried; loopback and neighbours pass."""

import os
import subprocess
import sys

import pytest
from edge2giant import offline
from shared import ROOT

START = "import sys; from edge2giant import errors, offline; offline.guard()\n"


def python(program: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", START + program], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")} | environment,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("program", "host"),
    [
        ("import urllib.request; urllib.request.urlopen('http://example.org/')", "example.org"),
        ("import httpx; httpx.get('https://huggingface.co/')", "huggingface.co"),
        ("import socket; socket.create_connection(('93.184.215.14', 80))", "93.184.215.14"),
        ("import socket; socket.getaddrinfo('8.8.8.8', 53)", "8.8.8.8"),
    ],
)  # fmt: skip
def test_reaching_out_is_one_line_that_names_the_culprit(program, host):
    run = python(f"def main():\n    {program}\nsys.exit(errors.run(main))")
    assert run.returncode == 2
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith(f"error: __main__: tried to reach {host}") and "snakemake acquire" in lines[0]


def test_a_library_that_reaches_out_is_named(tmp_path):
    (tmp_path / "nosy.py").write_text("import urllib.request\ndef ask():\n    urllib.request.urlopen('https://example.org/')\n")
    run = python(f"sys.path.insert(0, {str(tmp_path)!r}); import nosy; sys.exit(errors.run(nosy.ask))")
    assert run.stderr.startswith("error: nosy: tried to reach example.org")


def test_loopback_neighbours_and_own_names_pass():
    program = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
socket.getaddrinfo("localhost", 80)
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    asking.connect(("8.8.8.8", 80))
except OSError as error:
    print(type(error).__name__)
print("passed")
"""
    run = python(program)
    assert run.returncode == 0 and run.stdout.strip().endswith("passed"), run.stderr


@pytest.mark.parametrize(
    ("name", "foreign"), [("node7", False), ("localhost", False), ("10.0.0.1", False), ("huggingface.co", True)]
)
def test_host_names(name, foreign):
    assert offline.is_foreign(name) is foreign
    assert not offline.is_public("192.168.1.5") and not offline.is_public("fe80::1%eth0") and offline.is_public("8.8.8.8")
