"""The smallest GPUs that run a job natively, out of those that `config/clusters.yaml` declares. Pure functions.

An evaluation's GPUs are those of the engine's plan (`engine/plan.py`, which also knows what a GPU can compute); this module adds
what a quantizer and a judge need, and host memory. Memory is counted in bytes unless a name says otherwise.
"""

from dataclasses import dataclass

from edge2giant.engine import plan
from edge2giant.engine.plan import GIB
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.quantize.sizes import planned_bytes, validated_bytes
from edge2giant.schemes.scheme import Scheme
from edge2giant.schemes.unquantized import SixteenBits

# Of a GPU's memory a quantizer takes this share; the rest is the driver's and what fragments.
USABLE_SHARE = 0.9
# GPTQ holds a Hessian of the widest layer, its damped copy and its inverse's factor, in float32.
HESSIAN_COPIES = 3
# The validation of a checkpoint holds two models in float32 (state and module), which takes four times their bytes in 16 bits.
VALIDATION_COPIES = 4
# Tuning holds the source, the weights, their gradients, AdamW's two moments, and a copy to measure, all in float32.
TUNING_COPIES = 6


@dataclass(frozen=True)
class Placement:
    """The GPUs of one job.

    Parameters
    ----------
    partition : str
        Name of the entry in `config/clusters.yaml`.
    gpu : str
        GPU type as SLURM calls it, or the entry's name where it calls it nothing.
    nodes, gpus_per_node : int
        The tensor-parallel size is the number of GPUs in a node, the pipeline-parallel size the number of nodes.
    settings : tuple of (str, number)
        Settings with which the engine takes the memory that was counted; none for making a checkpoint.
    """

    partition: str
    gpu: str
    nodes: int
    gpus_per_node: int
    settings: tuple[tuple[str, float], ...] = ()

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node


def quantization_bytes(facts: ModelFacts) -> int:
    """Bytes on the one GPU that a layer-by-layer quantizer needs: a decoder layer in 16 bits and the widest Hessian's copies."""
    layer = planned_bytes(facts, SixteenBits())["weights"] // facts.num_hidden_layers
    return 2 * layer + HESSIAN_COPIES * 4 * facts.widest_input**2


def place_evaluation(facts: ModelFacts, serving: plan.Serving, partitions: dict[str, dict]) -> Placement:
    """GPUs on which a checkpoint is evaluated natively: the engine's own plan.

    Raises
    ------
    UserError
        If no partition of the cluster can hold it.
    """
    try:
        placed = plan.place(facts, serving, plan.gpus_of(partitions))
    except UserError as error:
        raise _nowhere(f"serve it: {error.what}", serving.scheme.native) from None
    return _served(placed, partitions)


def type_of(partitions: dict[str, dict], name: str) -> str:
    """GPU type of a partition; its name where SLURM knows no types there."""
    return partitions[name].get("gpu") or name


def _served(placed: plan.EnginePlacement, partitions: dict[str, dict]) -> Placement:
    return Placement(
        placed.gpu, type_of(partitions, placed.gpu), placed.nodes, placed.tensor_parallel_size, tuple(placed.settings.items())
    )


def place_quantization(facts: ModelFacts, partitions: dict[str, dict]) -> Placement:
    """The one GPU on which a checkpoint is made, the smallest on a node whose memory holds the unquantized model.

    Raises
    ------
    UserError
        If no partition of the cluster has both.
    """
    return _on_one_gpu("make it", quantization_bytes(facts), quantization_host_bytes(facts), partitions)


def place_tuning(facts: ModelFacts, partitions: dict[str, dict]) -> Placement:
    """The one GPU on which a model is tuned, the smallest that holds it.

    Raises
    ------
    UserError
        If no partition of the cluster has one.
    """
    need = tuning_bytes(facts)
    return _on_one_gpu("tune it", need, need, partitions)


def _on_one_gpu(what: str, need: int, host: int, partitions: dict[str, dict]) -> Placement:
    found = [
        (kind.memory_gib, kind.compute_capability, kind.name)
        for kind in plan.gpus_of(partitions)
        if kind.compute_capability >= Scheme.native
        and kind.bytes * USABLE_SHARE >= need
        and partitions[kind.name]["host_memory_gib"] * GIB >= host
    ]
    if not found:
        what = f"{what}: {need / GIB:.0f} GiB on one GPU and {host / GIB:.0f} GiB on its host"
        raise _nowhere(what, Scheme.native)
    name = min(found)[2]
    return Placement(name, type_of(partitions, name), 1, 1)


def place_judge(gpus: int, partitions: dict[str, dict]) -> Placement:
    """GPUs of one node for a judge that the job serves: the smallest of which a node has as many.

    Raises
    ------
    UserError
        If no node has as many GPUs.
    """
    found = [(kind.memory_gib, kind.compute_capability, kind.name) for kind in plan.gpus_of(partitions) if kind.per_node >= gpus]
    if not found:
        raise _nowhere(f"hold a judge on {gpus} GPUs of one node", Scheme.native)
    name = min(found)[2]
    return Placement(name, type_of(partitions, name), 1, gpus)


def as_set(
    facts: ModelFacts, serving: plan.Serving | None, partitions: dict[str, dict], name: str, nodes: int, gpus: int
) -> Placement:
    """The placement that an override sets; the engine gets its memory where it fits, else it decides by itself.

    Raises
    ------
    UserError
        If the GPUs of a node cannot share the layers.
    """
    if serving:
        if gpus > 1 and (what := plan.indivisible(facts, serving.scheme, gpus)):
            fit = [str(one) for one in range(1, gpus) if one == 1 or not plan.indivisible(facts, serving.scheme, one)]
            raise UserError(f"{gpus} GPUs cannot share {what}", "clusters.yaml", f"set `gpus` to {' or '.join(fit)}")
        kind = next(kind for kind in plan.gpus_of(partitions) if kind.name == name)
        if placed := plan.fit(kind, facts, serving, nodes, gpus):
            return _served(placed, partitions)
    return Placement(name, type_of(partitions, name), nodes, gpus)


def _nowhere(what: str, least: tuple[int, int]) -> UserError:
    return UserError(
        f"no partition can {what}, on compute capability {least[0]}.{least[1]}",
        "clusters.yaml",
        "add a partition or nodes, or override the placement there",
    )


def tuning_bytes(facts: ModelFacts) -> int:
    """Memory that tuning takes: source, weights, gradients and two moments in float32, and logits of a window with libraries."""
    return TUNING_COPIES * 4 * facts.parameters + 8 * GIB


def validation_host_bytes(facts: ModelFacts) -> int:
    """Host memory of a checkpoint's validation, and so of one that is linked and not made: models in float32, and libraries."""
    return VALIDATION_COPIES * validated_bytes(facts) + 12 * GIB


def quantization_host_bytes(facts: ModelFacts) -> int:
    """Host memory of a quantizer: the unquantized model, a tenth on top for what is being written, and its calibration."""
    return max(int(1.1 * planned_bytes(facts, SixteenBits())["total"]) + 12 * GIB, validation_host_bytes(facts))


def evaluation_host_bytes(facts: ModelFacts, scheme: Scheme, gpus: int) -> int:
    """Host memory of an engine: a worker's libraries for each GPU and buffers that grow with the checkpoint."""
    return 16 * GIB + 6 * GIB * gpus + planned_bytes(facts, scheme)["total"] // 8
