"""Every request of the paper's grid, as the executor plugin would write it, put before a real SLURM with the paper's servers."""

import re
import shlex
from types import SimpleNamespace

import pytest
import rehearsal
import yaml
from edge2giant import config
from edge2giant.config.clusters import Cluster
from edge2giant.plan import open_plan, quantize, resources
from edge2giant.plan.resources import Requests
from test_cluster_placement import SITES, job

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


def sbatch(asked: dict) -> str:
    """The command that the executor plugin submits a job with these resources by."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string
    from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

    job = SimpleNamespace(resources=Asked({k: v for k, v in asked.items() if v is not None}), threads=4)
    job.resources.setdefault("slurm_extra", None)
    validate_slurm_extra(job)
    common = {"run_uuid": "x", "slurm_logfile": "/dev/null", "comment_str": "x", "account": "", "workdir": ""}
    partition = f"-p {shlex.quote(asked['slurm_partition'])}" if asked["slurm_partition"] else ""
    return get_submit_command(job, common | {"partition": partition}) + set_gres_string(job)


def starts(cluster, command: str) -> str:
    """What SLURM says of when and where a job would start."""
    words = [word for word in shlex.split(command) if word != "--parsable"]
    told = cluster(words[0], "--test-only", *words[1:], "--wrap", "true", check=False)
    return cluster.errors[-1] + told


def requests():
    """sbatch options of each job of the study, and the variants that have them."""
    plan, found = open_plan(CONFIG), {}
    for variant, spec in quantize.checkpoints(plan, "paper").items():
        names = {"study": "paper", "model": variant.model, "method": variant.method, "bits": variant.bits}
        wildcards = SimpleNamespace(**names, batch="leaderboard_v1", digest=spec.folder)
        for phase, job_of in (("evaluate", resources.evaluate), ("quantize", resources.quantize)):
            named = resources.of(plan, job_of)
            asked = {name: value(wildcards, 1) for name, value in named.items()}
            found.setdefault(sbatch(asked), []).append(f"{phase} {variant.path}")
    return found


@pytest.mark.ci
def test_every_request_of_the_paper_would_start(cluster):
    found = requests()
    shown = []
    for command, rows in found.items():
        started = starts(cluster, command)
        assert re.search(r"Job \d+ to start at .* on nodes? ", started), f"{rows}: {command}: {started}"
        nodes = re.search(r" nodes? (\S+)", started)[1]
        gpus = " ".join(re.findall(r"--(?:gpus|gres|nodes)=\S+", command))
        shown.append(f"{gpus:34} {nodes:12} {len(rows):3} jobs, such as {rows[0]}")
    print("\n".join(sorted(shown)))
    text = "\n".join(shown)
    for placed in ("--gpus=rtx6000:1", "--gpus=a6000:4", "--gpus=a100:4", "--gpus=h100:8", "--nodes=2 --gres=gpu:h100:8"):
        assert placed in text
    assert "h100-[1-2]" in text, "405B in FP16 gets two nodes"


@pytest.mark.ci
def test_sites_of_all_kinds_accept_what_they_are_asked(tmp_path_factory):
    """GPUs with a vendor's name, a MIG profile or no type; --gres; partitions with capitals, and a list of them."""
    loaded = config.load()
    node = loaded.clusters["paper"].partitions["a100"].model_dump(exclude_none=True)
    partitions = {name: {k: v for k, v in (node | site).items() if v is not None} for name, site in SITES.items()}
    folder = tmp_path_factory.mktemp("sites")
    (folder / "clusters.yaml").write_text(yaml.safe_dump({"rehearsal": {"title": "sites", "partitions": partitions}}))
    with rehearsal.cluster(folder / "slurm", folder / "clusters.yaml") as running:
        for name, partition in partitions.items():
            asked = Requests(loaded, Cluster(title=name, partitions={name: partition})).asked(
                job("evaluate", "llama-3.1-8b-it", "awq/w4a16")
            )
            defaults = dict.fromkeys(("slurm_account", "qos", "constraint"))
            told = starts(running, sbatch(defaults | asked))
            assert re.search(rf"Job \d+ to start at .* on nodes? {name}\b", told), f"{name}: {told}"
