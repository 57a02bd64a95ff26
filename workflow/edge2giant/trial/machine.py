"""This machine as an entry of clusters.yaml."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from edge2giant.config.clusters import Cluster
from edge2giant.errors import UserError

NAME = "here"
QUERY = ("--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")
HOURS = 720
SIDE = 1024
"""Rows of the matrices whose product measures the CPU."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi tells it."""

    name: str
    memory_mib: int
    compute_capability: str


@dataclass(frozen=True)
class Machine:
    """What there is to compute on.

    Parameters
    ----------
    gpus : tuple of Gpu
        Those of EDGE2GIANT_GPUS or CUDA_VISIBLE_DEVICES, else all.
    cpus : int
        Cores that this process may use.
    """

    gpus: tuple[Gpu, ...]
    cpus: int
    memory_gib: float

    @property
    def words(self) -> str:
        rest = f"{self.cpus} cores, {self.memory_gib:.0f} GiB of memory"
        if not self.gpus:
            return f"no GPU, {rest}"
        kinds = dict.fromkeys(self.gpus)
        shown = (
            f"{self.gpus.count(one)} x {one.name} ({one.memory_mib / 1024:.0f} GiB, {one.compute_capability})" for one in kinds
        )
        return f"{', '.join(shown)}, {rest}"


def look() -> Machine:
    """Ask nvidia-smi, where there is one, and the operating system.

    Raises
    ------
    UserError
        If nvidia-smi fails or answers something else.
    """
    return Machine(gpus(), len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 2**30)


def gpus() -> tuple[Gpu, ...]:
    named = os.environ.get("EDGE2GIANT_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if named == "" or not shutil.which("nvidia-smi"):
        return ()
    command = ["nvidia-smi", *QUERY, *([f"--id={named}"] if named else [])]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        if run.returncode:
            raise ValueError
        found = [[part.strip() for part in line.split(",")] for line in run.stdout.splitlines() if line.strip()]
        return tuple(Gpu(name, int(memory), capability) for name, memory, capability in found)
    except ValueError:
        said = " ".join((run.stdout + run.stderr).split())[:200]
        raise UserError(f"nvidia-smi says: {said}", "GPUs", "correct the driver, or set CUDA_VISIBLE_DEVICES= for CPU") from None


def title(machine: Machine) -> str:
    """The entry's title, which says whether the machine is still the same."""
    return f"this machine: {machine.words}"


def entry(machine: Machine, known: Mapping[str, Cluster]) -> dict[str, Any]:
    """The entry. GPUs of several kinds count as so many of the least; speeds are those of GPUs of clusters.yaml."""
    if not machine.gpus:
        tflops, bandwidth = cpu_speed()
        return {
            "title": title(machine),
            "partitions": {},
            "cpu": {"tflops": tflops, "bandwidth_gb_s": bandwidth},
        }
    least = min(machine.gpus, key=lambda one: [int(part) for part in one.compute_capability.split(".")])
    partition = {
        "gpu": _plain(least.name),
        "gpus_per_node": len(machine.gpus),
        "nodes": 1,
        "gpu_memory_gib": round(min(one.memory_mib for one in machine.gpus) / 1024, 1),
        "compute_capability": least.compute_capability,
        "host_memory_gib": round(machine.memory_gib, 1),
        "cpus": machine.cpus,
        "max_hours": HOURS,
    }
    return {"title": title(machine), "partitions": {NAME: partition | gpu_speed(least, known)}}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("nvidia"))


def gpu_speed(gpu: Gpu, known: Mapping[str, Cluster]) -> dict[str, float]:
    """Peaks of the kind of GPU, from the first partition that has it; nothing where none has."""
    for cluster in known.values():
        for one in cluster.partitions.values():
            if one.gpu and _plain(one.gpu) in _plain(gpu.name) and one.tflops and one.bandwidth_gb_s:
                return {"tflops": one.tflops, "bandwidth_gb_s": one.bandwidth_gb_s}
    return {}


def cpu_speed() -> tuple[float, float]:
    """Measured: 10^12 operations a second of a matrix product in float32, and 10^9 bytes a second of a copy."""
    a = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    product = min(_seconds(lambda: a @ a) for _ in range(3))
    large = np.zeros(2**25, dtype=np.float32)
    copy = min(_seconds(large.copy) for _ in range(3))
    return float(f"{2 * SIDE**3 / product / 1e12:.2g}"), float(f"{2 * large.nbytes / copy / 1e9:.2g}")


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
