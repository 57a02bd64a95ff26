"""Ask a Ray cluster over the nodes of a SLURM job who is there: one JSON line for each node."""

import json
import os
import sys

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@ray.remote(num_cpus=1)
def who(rank: int) -> dict:
    """Name rank, address and environment of the node that this runs on."""
    seen = ("SLURMD_NODENAME", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES", "EDGE2GIANT_MARK")
    return {"rank": rank, "address": ray.util.get_node_ip_address(), "pid": os.getpid(), "job": os.environ["SLURM_JOB_ID"]} | {
        name: os.environ.get(name) for name in seen
    }


ray.init(log_to_driver=False, logging_level="ERROR")
nodes = [node for node in ray.nodes() if node["Alive"]]
asked = [
    who.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(rank)
    for rank, node in enumerate(nodes)
]
for answer in ray.get(asked, timeout=120):
    print(json.dumps(answer), flush=True)
if "--linger" in sys.argv:
    input()
