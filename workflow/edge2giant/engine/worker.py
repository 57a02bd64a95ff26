"""Methods that vLLM adds to its workers, the processes that hold the weights.

Reads the loaded model; writes nothing. torch is imported inside the methods.
"""

from collections import Counter


class WorkerExtension:
    """Mixed into vLLM's worker by ``worker_extension_cls``; called through ``collective_rpc``."""

    def edge2giant_kernels(self) -> dict[str, int]:
        """Count the layers by what multiplies them, e.g. ``CompressedTensorsWNA16 / MarlinLinearKernel``."""
        held: Counter[str] = Counter()
        for module in self.model_runner.get_model().modules():  # type: ignore[attr-defined]
            method = getattr(module, "quant_method", None)
            if (method is not None and hasattr(module, "weight_loader")) or hasattr(module, "scheme"):
                held[_name(method, getattr(module, "scheme", None))] += 1
        return dict(held)

    def edge2giant_answer_rows(self) -> str:
        """Compute prompt log-probabilities of requested rows alone; returns the model runner's kind (`runners.install`)."""
        from edge2giant.engine import runners

        return runners.install(self.model_runner)  # type: ignore[attr-defined]

    def edge2giant_take_rows(self) -> tuple | None:
        """Give the rows that were kept for this call (`step_rows.StepRows.take`)."""
        from edge2giant.engine import runners

        return runners.take(self.model_runner)  # type: ignore[attr-defined]

    def edge2giant_watch_logits(self) -> None:
        """Count, from now on, the rows of logits whose largest is not finite."""
        model = self.model_runner.get_model()  # type: ignore[attr-defined]
        compute, self._not_finite = model.compute_logits, 0

        def watched(*args, **kwargs):
            logits = compute(*args, **kwargs)
            if logits is not None:  # a GPU that does not gather them
                self._not_finite += (~logits.amax(dim=-1).isfinite()).sum()  # on the device: nothing waits
            return logits

        model.compute_logits = watched

    def edge2giant_not_finite(self) -> int:
        """Give the count and begin anew."""
        count, self._not_finite = int(self._not_finite), 0
        return count

    def edge2giant_peak_bytes(self) -> int:
        """Give the most memory that torch held on this worker's GPU, in bytes."""
        import torch

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0

    def edge2giant_memory(self) -> dict[str, int]:
        """Bytes of weights and of the key-value cache on this worker's GPU."""
        model = self.model_runner.get_model()  # type: ignore[attr-defined]
        tensors = {one.data_ptr(): one.numel() * one.element_size() for one in model.parameters()}
        caches = getattr(self.model_runner, "kv_caches", None) or []  # type: ignore[attr-defined]
        cache = sum(one.numel() * one.element_size() for one in caches if hasattr(one, "numel"))
        return {"weights": sum(tensors.values()), "kv_cache": cache}


def _name(method: object, scheme: object) -> str:
    """Name a layer's method, its scheme and the kernel inside, as far as they exist."""
    chain = [type(method).__name__] if method is not None else []
    if scheme is not None:
        chain.append(type(scheme).__name__)
    for holder in (scheme, method):
        for attribute in ("kernel", "fp8_linear", "linear_kernel", "mp_kernel"):
            kernel = getattr(holder, attribute, None)
            if kernel is not None and not isinstance(kernel, (str, int, bool)):
                chain.append(type(kernel).__name__)
    return " / ".join(chain)
