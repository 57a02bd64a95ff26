"""workflow/with-gpus on a machine with two GPUs and no SLURM: what CUDA itself sees in concurrent jobs. Standard library only.

python3 tests/gpu/with_gpus.py
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WITH_GPUS = Path(__file__).resolve().parent.parent.parent / "workflow/with-gpus"


def visible() -> list[str]:
    """PCI addresses of the GPUs that CUDA gives this process."""
    cuda = ctypes.CDLL("libcuda.so.1")
    assert cuda.cuInit(0) == 0
    count = ctypes.c_int()
    assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
    found = []
    for number in range(count.value):
        name = ctypes.create_string_buffer(32)
        assert cuda.cuDeviceGetPCIBusId(name, 32, number) == 0
        found.append(name.value.decode())
    return found


def job(count: int, out: Path, seconds: float = 60) -> subprocess.Popen:
    command = [str(WITH_GPUS), str(count), sys.executable, __file__, "job", str(out), str(seconds)]
    return subprocess.Popen(command, start_new_session=True)


def said(out: Path, seconds: float = 60) -> list[str]:
    until = time.monotonic() + seconds
    while not out.exists():
        assert time.monotonic() < until, f"no {out.name}"
        time.sleep(0.05)
    return json.loads(out.read_text())


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    os.environ["EDGE2GIANT_GPU_LOCKS"] = str(folder / "locks")
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    first, second = job(1, folder / "first"), job(1, folder / "second")
    given = said(folder / "first"), said(folder / "second")
    print("two jobs for one GPU:", *given)
    assert len(given[0]) == len(given[1]) == 1 and given[0] != given[1]
    both = job(2, folder / "both", 0)
    time.sleep(2)
    assert both.poll() is None, "it waits for both GPUs"
    os.killpg(first.pid, signal.SIGKILL)
    time.sleep(2)
    assert both.poll() is None, "a killed job frees its own GPU alone"
    third = job(1, folder / "third", 0)
    os.killpg(second.pid, signal.SIGKILL)
    print("a job for two, after both were killed:", said(folder / "both"))
    assert sorted(said(folder / "both")) == sorted([*given[0], *given[1]]) and both.wait(30) == 0
    assert len(said(folder / "third")) == 1 and third.wait(30) == 0
    print("ok")


def work(out: str, seconds: str) -> None:
    partial = Path(f"{out}.partial")
    partial.write_text(json.dumps(visible()))
    partial.rename(out)
    time.sleep(float(seconds))


if __name__ == "__main__":
    work(*sys.argv[2:]) if sys.argv[1:2] == ["job"] else main()
