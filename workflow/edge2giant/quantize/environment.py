"""What a run ran on: versions, installer, time and memory. Records names and numbers, never a path or a host name."""

import contextlib
import os
import platform
import resource
import sys
import time

from edge2giant import provenance, records


class Watch:
    """Wall seconds of the named parts of a run."""

    def __init__(self):
        self.start, self.parts = time.perf_counter(), {}

    @contextlib.contextmanager
    def __call__(self, part: str):
        begun = time.perf_counter()
        yield
        self.parts[part] = round(time.perf_counter() - begun, 3)

    @property
    def seconds(self) -> dict[str, float]:
        return self.parts | {"total": round(time.perf_counter() - self.start, 3)}


def record() -> dict:
    """What `checkpoint.json` says of the environment."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "installer": provenance.installer(),
        "distributions_sha256": records.digest(provenance.packages()),
        "cpus": len(os.sched_getaffinity(0)),
        "gpu": gpu_name(),
    }


def peak_memory() -> dict:
    """Peak resident memory of this process, and of the GPU where one was used, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torch = sys.modules.get("torch")
    gpu = torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_available() else None
    return {"peak_rss_bytes": peak, "peak_gpu_bytes": gpu}


def gpu_name() -> str | None:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def gpu_bytes() -> int | None:
    """Memory of the GPU in use, in bytes."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_properties(0).total_memory
