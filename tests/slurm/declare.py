"""Declare the servers of `config/clusters.yaml` as SLURM nodes on this machine: slurm.conf, gres.conf and client wrappers.

GPUs are links to /dev/null: SLURM schedules them and sets CUDA_VISIBLE_DEVICES, nothing computes on them. CPUs and memory are
claims too (config_overrides), so a laptop can stand for the whole site.

    python tests/slurm/declare.py rehearsal /tmp/somewhere
"""

import argparse
import os
import socket
import stat
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENTS = ("srun", "sbatch", "salloc", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")


def nodes_of(partitions: dict) -> list[tuple[str, str, dict]]:
    """(node, partition, its entry) for every declared server."""
    return [
        (name if entry["nodes"] == 1 else f"{name}-{number}", name, entry)
        for name, entry in partitions.items()
        for number in range(1, entry["nodes"] + 1)
    ]


def typed(entry: dict) -> str:
    return f"{entry['gpu']}:" if entry.get("gpu") else ""


def slurm_conf(folder: Path, nodes: list, port: int) -> str:
    """Text of slurm.conf."""
    host = socket.gethostname().split(".")[0]
    settings = {
        "ClusterName": "rehearsal",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": port,
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge/socket",
        "CredType": "cred/munge",
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{folder}/pid/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/pid/slurmd-%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld.log",
        "SlurmdLogFile": f"{folder}/log/slurmd-%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "SwitchType": "switch/none",
        # Polled every two seconds and enforced, since there are no cgroups here to stop a job at its memory limit.
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": "task=2",
        "JobAcctGatherParams": "OverMemoryKill",
        "SlurmdParameters": "config_overrides",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,bf_interval=1",
        "DefMemPerCPU": 1000,
        "GresTypes": "gpu",
        "ReturnToService": 1,
        # squeue must still know a job that ended when Snakemake asks for it.
        "MinJobAge": 3600,
        "KillWait": 5,
        "SlurmdTimeout": 30,
        "InactiveLimit": 0,
        "MailProg": "/bin/true",
        "AccountingStorageType": "accounting_storage/none",
    }
    lines = [f"{key}={value}" for key, value in settings.items()]
    for number, (node, _, entry) in enumerate(nodes, 1):
        lines.append(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + number} CPUs={entry['cpus']}"
            f" RealMemory={int(entry['host_memory_gib'] * 1024)} Gres=gpu:{typed(entry)}{entry['gpus_per_node']} State=UNKNOWN"
        )
    names = {node: (entry.get("partition") or name).split(",") for node, name, entry in nodes}
    for partition in dict.fromkeys(one for listed in names.values() for one in listed):
        members = ",".join(node for node, listed in names.items() if partition in listed)
        lines.append(f"PartitionName={partition} Nodes={members} MaxTime=INFINITE State=UP")
    # Named so because `all` would be Python's builtin in a profile's expression.
    lines.append(f"PartitionName=anywhere Nodes={','.join(n for n, _, _ in nodes)} Default=YES MaxTime=INFINITE State=UP")
    return "\n".join(lines) + "\n"


def gres_conf(folder: Path, nodes: list) -> str:
    """Text of gres.conf; the device files that it names are made."""
    lines = ["AutoDetect=off"]
    for node, _, entry in nodes:
        devices = folder / "dev" / node
        devices.mkdir(parents=True, exist_ok=True)
        for number in range(entry["gpus_per_node"]):
            device = devices / f"nvidia{number}"
            device.unlink(missing_ok=True)
            device.symlink_to("/dev/null")  # slurmd insists on a character device
        last = entry["gpus_per_node"] - 1
        files = f"{devices}/nvidia[0-{last}]" if last else f"{devices}/nvidia0"
        lines.append(f"NodeName={node} Name=gpu {'Type=' + entry['gpu'] if entry.get('gpu') else ''} File={files}")
    return "\n".join(lines) + "\n"


def write_clients(folder: Path) -> None:
    """Client commands that know this cluster, and `env.sh` that puts them first on PATH.

    Snakemake's jobstep drops SLURM_CONF before its inner srun; PATH is what a job keeps.
    """
    (folder / "bin").mkdir(exist_ok=True)
    for name in CLIENTS:
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec /usr/bin/{name} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    (folder / "env.sh").write_text(f"export SLURM_CONF={folder}/slurm.conf PATH={folder}/bin:$PATH\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cluster", help="an entry of config/clusters.yaml")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clusters", type=Path, default=os.environ.get("REHEARSED_CLUSTERS", ROOT / "config/clusters.yaml"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("SLURM_PORT", 27000)))
    args = parser.parse_args()
    partitions = yaml.safe_load(Path(args.clusters).read_text())[args.cluster]["partitions"]
    nodes = nodes_of(partitions)
    for name in ("state", "spool", "log", "pid", "dev", "munge", *(f"spool/{node}" for node, _, _ in nodes)):
        (args.folder / name).mkdir(parents=True, exist_ok=True)
    (args.folder / "slurm.conf").write_text(slurm_conf(args.folder, nodes, args.port))
    (args.folder / "gres.conf").write_text(gres_conf(args.folder, nodes))
    write_clients(args.folder)
    print("\n".join(node for node, _, _ in nodes))


if __name__ == "__main__":
    main()
