"""The vLLM engines: lm-eval's own back end, and one that computes the same scores with far less work.

Prompts, token ids, BOS, chat templates, stop strings and what is cut from prompts that do not fit are those of
``lm_eval.models.vllm_causallms.VLLM``, which both classes extend. `FastVLLM` replaces only the way to get log-likelihoods out
of the engine (`scoring.py`) and to encode texts (`tokens.py`); the results are the same.

Works with vLLM 0.25 to 0.33. Import it to use ``lm_eval --model edge2giant-vllm`` from Python.
"""

import gc
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import vllm
from lm_eval.api.registry import register_model
from lm_eval.models.vllm_causallms import VLLM
from vllm import EngineArgs

from edge2giant.engine import chat, checks, packs
from edge2giant.engine.chat import Chat
from edge2giant.engine.counters import Counted
from edge2giant.engine.front import FrontEnd
from edge2giant.engine.packs import SCHEDULER, Packs
from edge2giant.engine.scoring import Group, Logprobs, Prompt, Scorer
from edge2giant.engine.self_check import SelfCheck, ask_twice, compare, sample
from edge2giant.engine.tokens import PairEncoder, portions, safe_to_cut
from edge2giant.engine.windows import window_places

log = logging.getLogger(__name__)

WORKER = "edge2giant.engine.worker.WorkerExtension"


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python's cyclic collector off: a pass over all requests and prompts takes as long as scoring hundreds of them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@register_model("edge2giant-vllm-stock")
class StockVLLM(Counted, Chat, VLLM):
    """lm-eval's vLLM back end, with its work counted and its end tidied."""

    NAME = "vllm-stock"
    # generation arguments may hold a seed: sampled answers then do not depend on the batch
    accepts_request_seed = True

    def __init__(self, pretrained: str, **kwargs: Any) -> None:
        self._maybe_cut: set[tuple[int, ...]] = set()
        # workers of older vLLMs (stack paper2024) cannot be extended
        self._probed = "worker_extension_cls" in getattr(EngineArgs, "__dataclass_fields__", {})
        if self._probed:
            kwargs.setdefault("worker_extension_cls", WORKER)
            # neutral defaults; of the checkpoint's generation_config.json only the end tokens count
            kwargs.setdefault("generation_config", "vllm")
        super().__init__(pretrained, **kwargs)
        self._ask_workers("edge2giant_watch_logits")

    @classmethod
    def load(cls, checkpoint: Path, settings: dict[str, Any]) -> "StockVLLM":
        """Load the checkpoint with the settings of ``edge2giant.specs.engine``."""
        chats, settings = chat.split(settings)
        lm = cls(str(checkpoint), **settings)
        lm.settings = dict(settings)
        lm.use_chats(checkpoint, chats)
        return lm

    def close(self) -> None:
        """Stop the engine and its processes, and give the memory back."""
        engine = self.model.llm_engine
        del self.model
        core = getattr(engine, "engine_core", None)
        if core is not None:
            core.shutdown()

    def describe(self) -> dict[str, Any]:
        """Give the ``engine`` block of a cell."""
        config = self.model.llm_engine.vllm_config
        return {
            "name": self.NAME,
            "version": f"vllm {vllm.__version__}",
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "tensor_parallel_size": config.parallel_config.tensor_parallel_size,
            "pipeline_parallel_size": config.parallel_config.pipeline_parallel_size,
            "max_model_len": config.model_config.max_model_len,
            "kernel": self._kernel(),
            "settings": {**self.settings, "kv_cache_dtype": str(config.cache_config.cache_dtype)},
            "prompting": self.prompting(),
            "self_check": None,
        }

    def take_usage(self) -> dict[str, Any]:
        """Give the counts since the last call."""
        return self.meter.close(sum(self._ask_workers("edge2giant_peak_bytes")))

    def memory(self) -> list[dict[str, int]]:
        """Give the bytes of weights and key-value cache that each worker holds."""
        return self._ask_workers("edge2giant_memory")

    def _ask_workers(self, question: str) -> list:
        return self.model.collective_rpc(question) if self._probed else []

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
        """Answer prompts; see lm-eval."""
        self._maybe_cut = set()
        answers = super().generate_until(requests, disable_tqdm=disable_tqdm)
        if self._maybe_cut:
            self.meter.usage.too_long += self._count_cut(requests)
        return answers

    def _loglikelihood_tokens(self, requests: list, **kwargs: Any) -> list[tuple[float, bool]]:
        limit = self.max_length - 1
        for pair, _, tail in requests:
            checks.refuse_pair(self._asked, pair, len(tail), limit - 1)
        self.meter.usage.too_long += sum(len(one) + len(tail) > limit for _, one, tail in requests)
        return super()._loglikelihood_tokens(requests, **kwargs)

    def modify_gen_kwargs(self, gen_kwargs: dict, *args: Any, **how: Any) -> Any:
        """lm-eval's arguments of a request, greedy unless it samples, with the tokens that end its answer."""
        temperature = 1.0 if gen_kwargs.get("do_sample") else 0.0
        made = super().modify_gen_kwargs(gen_kwargs, *args, **how)
        arguments, *rest = made if isinstance(made, tuple) else (made,)  # lm-eval 0.4.4 gives the arguments alone
        arguments.setdefault("temperature", temperature)
        arguments["stop_token_ids"] = self.stop_ids(rest[0] if rest else ())
        if not self._probed:
            arguments["logprobs"] = 1  # tells numbers that are not finite, see `_require_finite`
        return (arguments, *rest) if rest else arguments

    def _require_finite(self, outputs: list) -> None:
        if self._probed:
            wrong = max(self._ask_workers("edge2giant_not_finite"))
        else:
            wrong = sum(not math.isfinite(one.outputs[0].cumulative_logprob) for one in outputs)
        if wrong:
            what = f"the logits of {wrong:,} tokens in {len(outputs):,} answers are not finite"
            raise checks.NotFiniteError(what, hint=checks.OVERFLOW)

    def _model_generate(self, requests: list[list[int]], *args: Any, **kwargs: Any) -> list:
        generate = kwargs.get("generate", bool(args and args[0]))
        if generate:
            self._ask_workers("edge2giant_not_finite")  # begins a new count
        outputs = super()._model_generate(requests, *args, **kwargs)
        self._count(outputs, answers=generate)
        if generate:
            self._require_finite(outputs)
            params = kwargs.get("sampling_params")
            room = [one.max_tokens for one in params] if params else [kwargs["max_tokens"]] * len(requests)
            # lm-eval cuts a prompt to exactly this length; one of this length may also be whole
            self._maybe_cut |= {
                tuple(prompt) for prompt, new in zip(requests, room, strict=True) if len(prompt) == self.max_length - new
            }
        return outputs

    def _count(self, outputs: list, answers: bool = False) -> None:
        usage = self.meter.usage
        usage.prompts += len(outputs)
        usage.tokens_in += sum(len(one.prompt_token_ids) for one in outputs)
        usage.tokens_cached += sum(one.num_cached_tokens or 0 for one in outputs)
        if answers:
            usage.tokens_out += sum(len(one.outputs[0].token_ids) for one in outputs)

    def _count_cut(self, requests: list) -> int:
        lengths = {len(prompt) for prompt in self._maybe_cut}
        return sum(
            any(len(ids) > length and tuple(ids[-length:]) in self._maybe_cut for length in lengths)
            for ids in self.tok_encode([request.args[0] for request in requests])
        )

    def _kernel(self) -> str:
        """Say what multiplies, on all workers together, e.g. ``fp8: 112 Fp8LinearMethod / ...``."""
        held: Counter[str] = Counter()
        for one in self._ask_workers("edge2giant_kernels"):
            held.update(one)
        quantization = self.model.llm_engine.vllm_config.model_config.quantization or "none"
        layers = ", ".join(f"{count} {name}" for name, count in sorted(held.items()))
        return f"{quantization}: {layers or 'not known'}"


@register_model("edge2giant-vllm")
class FastVLLM(StockVLLM):
    """vLLM with one prompt per question where answers are short, and a prefix cache that scores may read.

    Parameters
    ----------
    pretrained : str
        Checkpoint directory.
    self_check : float
        Share of the questions of each call that are also scored the slow way, twice; see ``describe``.
    self_check_limit : int
        At most so many requests of a call are scored the slow way.
    **kwargs
        As lm-eval's ``vllm`` model takes them.
    """

    NAME = "vllm"
    places = window_places

    def __init__(
        self,
        pretrained: str,
        self_check: float = 0.01,
        self_check_limit: int = 64,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("enable_prefix_caching", True)
        if packs.fits():
            kwargs.setdefault("scheduler_cls", SCHEDULER)
        else:
            log.warning("this vLLM takes no packs of prompts; small models are scored more slowly")
        # the rows of a prompt travel inside their message: buffers of their own are pinned one by one, which costs more
        os.environ.setdefault("VLLM_MSGPACK_ZERO_COPY_THRESHOLD", "65536")
        super().__init__(pretrained, **kwargs)
        self._block = self.model.llm_engine.vllm_config.cache_config.block_size
        self._share, self._limit = float(self_check), int(self_check_limit)
        runners = set(self._ask_workers("edge2giant_answer_rows"))
        if "unknown" in runners:
            log.warning("this vLLM computes log-probabilities of whole prompts only; scoring long answers is slower")
        self._rows = "/".join(sorted(runners - {"idle"})) or "unknown"
        self._check, self._check_interval = SelfCheck(), 0
        engine, self._own = self.model.llm_engine, FrontEnd(self.model, self.lora_request)
        packed = self._rows != "unknown" and engine.vllm_config.scheduler_config.scheduler_cls == SCHEDULER
        take_rows = partial(self._ask_workers, "edge2giant_take_rows")
        self._fast = Packs(engine.engine_core, take_rows) if packed and not self.lora_request else self._own
        self._encoder = PairEncoder(
            self.tok_encode,
            lambda texts: self.tok_encode(texts, add_special_tokens=False),
            self._encode_pair,
            cut=safe_to_cut(self.tokenizer),
        )

    def describe(self) -> dict[str, Any]:
        """Give the ``engine`` block of a cell, the self-check of the last interval with it."""
        fresh = self._check_interval == self.meter.interval and self._check.questions
        block = super().describe()
        block["settings"]["model_runner"] = self._rows
        return {**block, "self_check": self._check.record() if fresh else None}

    def modify_gen_kwargs(self, gen_kwargs: dict, *args: Any, **how: Any) -> Any:
        """As above; answers are read without special tokens, as the Hugging Face engine reads them."""
        return super().modify_gen_kwargs({"skip_special_tokens": True, **gen_kwargs}, *args, **how)

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score continuations: the same results as lm-eval's back end, by fewer prompts.

        Parameters
        ----------
        requests : list of lm_eval.api.instance.Instance
            Arguments (context, continuation).

        Returns
        -------
        list of (float, bool)
            Log-likelihood in nats, and whether greedy decoding would have given the continuation.
        """
        with self.asked(requests), without_collection():
            texts = [request.args for request in requests]
            order = sorted(range(len(texts)), key=texts.__getitem__)
            scores = self._score_texts([texts[at] for at in order])
            results = [score for _, score in sorted(zip(order, scores, strict=True))]
        checks.require_finite(value for value, _ in results)
        for pair, result in zip(texts, results, strict=True):
            self.cache_hook.add_partial("loglikelihood", pair, result)
        return results

    def _score_texts(self, pairs: list[tuple[str, str]]) -> list[tuple[float, bool]]:
        """Score sorted pairs: each portion of them is computed while the next one is encoded."""
        self._encoder.begin([pair for pair in pairs if pair[0]])
        return self._score(self._encode_all(portion) for portion in portions(pairs))

    def _encode_all(self, texts: list[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
        encoded = iter(self._encoder([pair for pair in texts if pair[0]]))
        pairs = [next(encoded) if context else self._encode_alone(tail) for context, tail in texts]
        for pair, (_, tail) in zip(texts, pairs, strict=True):
            checks.refuse_pair(self._asked, pair, len(tail), self.max_length - 2)
        return pairs

    def _encode_alone(self, continuation: str) -> tuple[list[int], list[int]]:
        """Put BOS (or EOS) where a context is missing, as ``TemplateLM.loglikelihood`` does."""
        ids = self.tok_encode(continuation, add_special_tokens=False)
        return (ids[:1], ids[1:]) if ids[0] == self.prefix_token_id else ([self.prefix_token_id], ids)

    def _loglikelihood_tokens(self, requests: list, **_: Any) -> list[tuple[float, bool]]:
        return self._score([[(context, tail) for _, context, tail in requests]])

    def _score(self, portions: Iterable[list[tuple[list[int], list[int]]]]) -> list[tuple[float, bool]]:
        """Score portions of (context, continuation), both token ids; what is sent is computed while more is prepared."""
        scorers, sent = [], []
        self._fast.forget()  # what an error may have left
        for pairs in portions:
            scorer = Scorer(pairs, self.max_length - 1, self._block)  # vLLM wants room for one more token
            self.meter.usage.too_long += scorer.too_long
            scorers.append(scorer)
            sent.append(self._send(scorer.prompts()))
        while any(sent):
            results = iter(self._receive([prompt for prompts in sent for prompt in prompts]))
            for scorer, prompts in zip(scorers, sent, strict=True):
                scorer.take(islice(results, len(prompts)))
            sent = [self._send(scorer.prompts()) for scorer in scorers]
        self._self_check([group for scorer in scorers for group in scorer.groups])
        return [score for scorer in scorers for score in scorer.results()]

    def _self_check(self, groups: list[Group]) -> None:
        chosen = sample(groups, self._share, self._limit)
        if not chosen:
            return
        if self._check_interval != self.meter.interval:
            self._check, self._check_interval = SelfCheck(), self.meter.interval
        self._check.questions += compare(chosen, *ask_twice(chosen, self.ask_own)).questions

    def _send(self, prompts: list[Prompt]) -> list[Prompt]:
        self._fast.send(prompts)
        return prompts

    def _receive(self, prompts: list[Prompt], way: Packs | FrontEnd | None = None) -> list[Logprobs]:
        """Wait for the results of all prompts that were sent, in their order."""
        answers, cached = (way or self._fast).receive()
        usage = self.meter.usage
        usage.prompts += len(prompts)
        usage.tokens_in += sum(prompt.length for prompt in prompts)
        usage.tokens_cached += cached
        return answers

    def ask_own(self, prompts: list[Prompt], salt: str | None = None) -> list[Logprobs]:
        """Compute prompts as vLLM does for everyone, in their order; with a salt in a prefix cache of that name."""
        self._own.send(prompts, salt, own=True)
        return self._receive(prompts, self._own)
