"""The smallest GPUs that run a job natively, out of those that `config/clusters.yaml` declares. Pure functions.

Memory is counted in bytes unless a name says otherwise. Sources of the rules (CUDA C++ programming guide; vLLM's table of
supported hardware): FP8 tensor cores exist from compute capability 8.9 on, INT8 ones from 7.5, BF16 and the Marlin kernels for
4-bit and 8-bit weights from 8.0.
"""

from dataclasses import dataclass

from edge2giant.engine import plan
from edge2giant.errors import UserError
from edge2giant.quantize.sizes import planned_bytes

GIB = 2**30
NATIVE_CAPABILITY = {"fp8": (8, 9)}
LEAST_CAPABILITY = (8, 0)
# Of a GPU's memory a quantizer takes this share; the rest is the driver's and what fragments.
USABLE_SHARE = 0.9
# GPTQ holds a Hessian of the widest layer, its damped copy and its inverse's factor, in float32.
HESSIAN_COPIES = 3


@dataclass(frozen=True)
class Placement:
    """The GPUs of one job.

    Parameters
    ----------
    partition : str
        Name in `config/clusters.yaml`, the SLURM partition.
    gpu : str
        GPU type as SLURM calls it.
    nodes, gpus_per_node : int
        The tensor-parallel size is the number of GPUs in a node, the pipeline-parallel size the number of nodes.
    """

    partition: str
    gpu: str
    nodes: int
    gpus_per_node: int

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node


def capability(partition: dict) -> tuple[int, int]:
    major, minor = partition["compute_capability"].split(".")
    return int(major), int(minor)


def weight_bits(bits: str) -> int:
    """`w4a16` -> 4."""
    return int(bits[1:].split("a")[0])


def checkpoint_bytes(architecture: dict, bits: str) -> int:
    """Bytes of the weights of a checkpoint, estimated from the architecture."""
    return planned_bytes(architecture, weight_bits(bits))["total"]


def quantization_bytes(architecture: dict) -> int:
    """Bytes on the one GPU that a layer-by-layer quantizer needs: a decoder layer in 16 bits and the widest Hessian's copies."""
    layer = planned_bytes(architecture, 16)["weights"] // architecture["num_hidden_layers"]
    return 2 * layer + HESSIAN_COPIES * 4 * architecture["intermediate_size"] ** 2


def place_evaluation(architecture: dict, method: str, bits: str, cluster: dict) -> Placement:
    """GPUs on which a checkpoint is evaluated natively: the engine's own plan, over the GPUs that have the kernels.

    Raises
    ------
    UserError
        If no partition of the cluster can hold it.
    """
    least = NATIVE_CAPABILITY.get(method, LEAST_CAPABILITY)
    # The plan takes the first of equals: the least capable, which spares the best GPUs for those in need.
    native = sorted((capability(entry), name) for name, entry in cluster["partitions"].items() if capability(entry) >= least)
    site = plan.gpus_of({"partitions": {name: cluster["partitions"][name] for _, name in native}})
    try:
        placed = plan.place(architecture, bits, site, method)
    except UserError as error:
        raise _nowhere(f"evaluating {method}/{bits}: {error.what}", least) from None
    partition = cluster["partitions"][placed.gpu]
    return Placement(placed.gpu, partition["gpu"], placed.nodes, placed.tensor_parallel_size)


def place_quantization(architecture: dict, method: str, bits: str, cluster: dict) -> Placement:
    """The one GPU on which a checkpoint is made, the smallest on a node whose memory holds the unquantized model.

    Raises
    ------
    UserError
        If no partition of the cluster has both.
    """
    need, host = quantization_bytes(architecture), quantization_host_bytes(architecture)
    found = [
        (entry["gpu_memory_gib"], capability(entry), name)
        for name, entry in cluster["partitions"].items()
        if capability(entry) >= LEAST_CAPABILITY
        and entry["gpu_memory_gib"] * GIB * USABLE_SHARE >= need
        and entry["host_memory_gib"] * GIB >= host
    ]
    if not found:
        what = f"making {method}/{bits}: {need / GIB:.0f} GiB on one GPU and {host / GIB:.0f} GiB on its host"
        raise _nowhere(what, LEAST_CAPABILITY)
    name = min(found)[2]
    return Placement(name, cluster["partitions"][name]["gpu"], 1, 1)


def _nowhere(what: str, least: tuple[int, int]) -> UserError:
    return UserError(
        f"no partition can hold {what}, on compute capability {least[0]}.{least[1]}",
        "config/clusters.yaml",
        "add a partition or nodes, or override the row's placement there",
    )


def quantization_host_bytes(architecture: dict) -> int:
    """Host memory of a quantizer: the unquantized model, a tenth on top for what is being written, and its calibration."""
    return int(1.1 * checkpoint_bytes(architecture, "w16a16")) + 12 * GIB


def evaluation_host_bytes(architecture: dict, bits: str, gpus: int) -> int:
    """Host memory of an engine: a worker's libraries for each GPU and buffers that grow with the checkpoint."""
    return 16 * GIB + 6 * GIB * gpus + checkpoint_bytes(architecture, bits) // 8
