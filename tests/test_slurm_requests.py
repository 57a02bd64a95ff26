"""Every request of the paper's grid, as the executor plugin would write it, put before a real SLURM with the paper's servers."""

import re
import shlex
from types import SimpleNamespace

import pytest
import rehearsal
from edge2giant.plan import open_plan, quantize, resources

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(rehearsal.missing() is not None, reason=f"no SLURM here: {rehearsal.missing()}"),
]
CONFIG = {"study": "paper", "batch": "suite", "results": "results", "figures": "paper_figures"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with rehearsal.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class Asked(dict):
    """A job's resources as the plugin reads them: by key and by attribute."""

    __getattr__ = dict.__getitem__


def requests():
    """sbatch options of each job of the study, and the variants that have them."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    plan, found = open_plan(CONFIG), {}
    for variant, spec in quantize.checkpoints(plan, "paper").items():
        names = {"study": "paper", "model": variant.model, "method": variant.method, "bits": variant.bits}
        wildcards = SimpleNamespace(**names, batch="leaderboard_v1", digest=spec.folder)
        for phase, job_of in (("evaluate", resources.evaluate), ("quantize", resources.quantize)):
            named = resources.of(plan, job_of)
            asked = {name: value(wildcards, 1) for name, value in named.items()}
            job = SimpleNamespace(resources=Asked({k: v for k, v in asked.items() if v is not None}), threads=4)
            common = {"run_uuid": "x", "slurm_logfile": "/dev/null", "comment_str": "x", "account": "", "workdir": ""}
            partition = f"-p {asked['slurm_partition']}" if asked["slurm_partition"] else ""
            command = get_submit_command(job, common | {"partition": partition}) + set_gres_string(job)
            found.setdefault(command, []).append(f"{phase} {variant.path}")
    return found


@pytest.mark.ci
def test_every_request_of_the_paper_would_start(cluster):
    found = requests()
    shown = []
    for command, rows in found.items():
        words = [word for word in shlex.split(command) if word != "--parsable"]
        told = cluster(words[0], "--test-only", *words[1:], "--wrap", "true", check=False)
        started = cluster.errors[-1]
        assert re.search(r"Job \d+ to start at .* on nodes? ", started + told), f"{rows}: {command}: {started}"
        nodes = re.search(r" nodes? (\S+)", started + told)[1]
        gpus = " ".join(re.findall(r"--(?:gpus|gres|nodes)=\S+", command))
        shown.append(f"{gpus:34} {nodes:12} {len(rows):3} jobs, such as {rows[0]}")
    print("\n".join(sorted(shown)))
    text = "\n".join(shown)
    for placed in ("--gpus=rtx6000:1", "--gpus=a6000:4", "--gpus=a100:4", "--gpus=h100:8", "--nodes=2 --gres=gpu:h100:8"):
        assert placed in text
    assert "h100-[1-2]" in text, "405B in FP16 gets two nodes"
