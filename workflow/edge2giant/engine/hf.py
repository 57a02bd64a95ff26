"""The transformers engine: lm-eval's own back end, with its work counted and its requests checked.

Log-likelihoods are those of ``lm_eval.models.huggingface.HFLM``. Answers differ from them where a row of a batch would write on
after its end, and where the model's generation_config.json asks for more than the most likely token.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from lm_eval.models.huggingface import HFLM

from edge2giant import schemes
from edge2giant.engine import chat, checks
from edge2giant.engine.chat import Chat
from edge2giant.engine.counters import Counted
from edge2giant.engine.distributions import Asked, Places, of_logits
from edge2giant.models import read
from edge2giant.quantize import compat
from edge2giant.schemes.scheme import COMPRESSED

log = logging.getLogger(__name__)

# Windows of text computed together where the batch size is left to lm-eval.
WINDOWS = 4


def plain_torch(quantization_config: Any) -> Any:
    """Without a GPU: read the format of GPTQ, and AutoRound's own, by AutoRound's layers in torch (they compute in float16).

    transformers' own readers want gptqmodel; where that is installed they are left to it.
    """
    config = quantization_config if isinstance(quantization_config, dict) else getattr(quantization_config, "__dict__", {})
    method = str(getattr(config.get("quant_method"), "value", config.get("quant_method")))
    if method not in ("gptq", "auto-round") or find_spec("gptqmodel") or not find_spec("auto_round"):
        return quantization_config
    import auto_round  # noqa: F401 (registers its loader with transformers)

    return transformers.AutoRoundConfig(backend="torch")


class FiniteLogits(transformers.LogitsProcessor):
    """Ends a generation whose next token would be chosen among numbers that are not finite."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        finite = scores.amax(dim=-1).isfinite()  # of [rows, vocabulary]; a NaN is the largest
        if not finite.all():
            raise checks.NotFiniteError(
                f"the logits of {int((~finite).sum())} of {len(finite)} answers are not finite", hint=checks.OVERFLOW
            )
        return scores


class HuggingFace(Counted, Chat, HFLM):
    """`HFLM` that counts requests, tokens and prompts that did not fit, and ends each answer at its first stop token."""

    @classmethod
    def load(cls, checkpoint: Path, settings: dict[str, Any]) -> "HuggingFace":
        """Load the checkpoint with the settings of ``edge2giant.specs.engine``."""
        chats, settings = chat.split(settings)
        arguments = {key: value for key, value in settings.items() if key not in {"seed", "max_model_len"}}
        arguments["max_length"] = settings.get("max_model_len")
        arguments.setdefault("device", "cuda" if torch.cuda.is_available() else "cpu")
        arguments["batch_size"] = settings.get("batch_size", 8)
        scheme = schemes.of_checkpoint(checkpoint)
        if scheme.loads_in:
            arguments["dtype"] = scheme.loads_in
        max_gen_toks = arguments.pop("max_gen_toks", None)
        if "seed" in settings:
            transformers.set_seed(settings["seed"])
        lm = cls(pretrained=str(checkpoint), **read.attention(checkpoint), **arguments)
        if scheme.format == COMPRESSED and arguments.get("dtype") not in (None, "auto"):
            compat.widen(lm.model, arguments["dtype"])
        if max_gen_toks:
            lm._default_max_gen_toks = int(max_gen_toks)
        lm.settings = {**settings, "device": str(lm.device), "batch_size": arguments["batch_size"]}
        lm.use_chats(checkpoint, chats)
        # penalties, filters and forced tokens of the checkpoint's generation_config.json do not take part
        lm.model.generation_config = transformers.GenerationConfig()
        return lm

    def _create_model(self, pretrained: Any, *args: Any, quantization_config: Any = None, **kwargs: Any) -> None:
        chosen = quantization_config if torch.cuda.is_available() else plain_torch(quantization_config)
        super()._create_model(pretrained, *args, quantization_config=chosen, **kwargs)

    @property
    def max_gen_toks(self) -> int:
        """New tokens where a task does not say."""
        return getattr(self, "_default_max_gen_toks", None) or super().max_gen_toks

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
        """Answer prompts; see lm-eval."""
        checks.refuse_long_answers(requests, self.max_length, self.max_gen_toks)
        return super().generate_until(requests, disable_tqdm=disable_tqdm)

    def close(self) -> None:
        """Drop the weights."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Give the ``engine`` block of a cell."""
        return {
            "name": "hf",
            "version": f"transformers {transformers.__version__}, torch {torch.__version__}",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "tensor_parallel_size": 1,
            "pipeline_parallel_size": 1,
            "max_model_len": self.max_length,
            "kernel": self._kernel(),
            "settings": self.settings,
            "prompting": self.prompting(),
            "self_check": None,
        }

    def take_usage(self) -> dict[str, Any]:
        """Give the counts since the last call."""
        peak = 0
        if torch.cuda.is_available():
            devices = range(torch.cuda.device_count())
            peak = sum(torch.cuda.max_memory_allocated(device) for device in devices)
            for device in devices:
                torch.cuda.reset_peak_memory_stats(device)
        return self.meter.close(peak)

    def places(self, windows: Sequence[Sequence[int]], start: int, asked: Sequence[Asked]) -> Iterator[Places]:
        """Give the distributions at the places of each window; see ``engine.places``."""
        size = self.batch_size if isinstance(self.batch_size, int) else WINDOWS
        for at in range(0, len(windows), size):
            with self.meter.call(len(windows[at : at + size])):
                ids = torch.tensor(windows[at : at + size], device=self.device)
                logits = self._model_call(ids)[:, start - 1 : -1]
                some = [of_logits(*one) for one in zip(logits, ids[:, start:], asked[at : at + size], strict=True)]
            for tokens, logprobs in some:
                yield Places.of_columns(tokens.cpu().numpy(), logprobs.cpu().numpy())

    def _loglikelihood_tokens(self, requests: list, **kwargs: Any) -> list[tuple[float, bool]]:
        return super()._loglikelihood_tokens([self._fitting(*request) for request in requests], **kwargs)

    def _fitting(self, pair: tuple[str, str] | None, context: list[int], continuation: list[int]) -> tuple:
        """Cut a context that is too long from the left, to what vLLM takes: it wants room for one more token."""
        if pair is None:  # a window of a text, which fits
            return pair, context, continuation
        checks.refuse_pair(self._asked, pair, len(continuation), self.max_length - 2)
        cut = max(0, len(context) + len(continuation) - (self.max_length - 1))
        self.meter.usage.too_long += cut > 0
        return pair, context[cut:], continuation

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.meter.usage.prompts += inps.shape[0]
        self.meter.usage.tokens_in += inps.numel()  # padding included: it is computed too
        return super()._model_call(inps, *args, **kwargs)

    def tok_batch_encode(
        self, strings: list[str], padding_side: str = "left", left_truncate_len: int | None = None, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode prompts for generation, and count those that are cut."""
        if left_truncate_len:
            whole, mask = super().tok_batch_encode(strings, padding_side, None, **kwargs)
            self.meter.usage.too_long += int((mask.sum(dim=1) > left_truncate_len).sum())
            if whole.shape[1] <= left_truncate_len:
                return whole, mask
        return super().tok_batch_encode(strings, padding_side, left_truncate_len, **kwargs)

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any) -> torch.Tensor:
        """Generate, and replace each row's first stop token and what follows it by padding, which decoding drops."""
        ends = self.stop_ids(stop)
        if kwargs.get("do_sample"):
            kwargs = {"top_k": 0, **kwargs}  # transformers' own default is 50
        checked = transformers.LogitsProcessorList([FiniteLogits()])
        answer = super()._model_generate(context, max_length, stop, eos_token_id=ends, logits_processor=checked, **kwargs)
        new = answer[:, context.shape[1] :]
        stops = torch.isin(new, torch.tensor(ends, device=new.device))
        ended = stops.cumsum(dim=1) > 0
        usage = self.meter.usage
        usage.prompts += context.shape[0]
        usage.tokens_in += context.numel()
        usage.tokens_out += int((~ended).sum() + ended.any(dim=1).sum())
        new[ended] = self.tokenizer.pad_token_id
        return answer

    def _kernel(self) -> str:
        """Name what holds the quantized weights, e.g. ``compressed-tensors (frozen): 14 CompressedLinear``."""
        config = getattr(self.config, "quantization_config", None)
        if config is None:
            return "none"
        method = config.get("quant_method") if isinstance(config, dict) else config.quant_method
        linear = Counter(type(module).__name__ for module in self.model.modules() if "Linear" in type(module).__name__)
        held = ", ".join(f"{count} {name}" for name, count in sorted(linear.items()))
        return f"{getattr(method, 'value', method)}: {held}"
