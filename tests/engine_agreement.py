"""Whether both engines give the same answers: tiny random models of several architectures, in float32 on a CPU.

    workflow/in-env cpu/vllm python tests/engine_agreement.py docs/measurements/engines.json

writes, for each architecture, the largest difference of a log-likelihood, and how many greedy answers are the same token by token
at each batch size.
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from tiny_answers import tiny_model

ARCHITECTURES = {
    "llama": {},
    "mistral": {"sliding_window": 32},
    "qwen2": {},
    "qwen3": {},
    "gemma2": {"sliding_window": 32, "query_pre_attn_scalar": 32},
    "gemma3_text": {"sliding_window": 32, "query_pre_attn_scalar": 32},
    "phi3": {},
}
BATCHES = (1, 7, 64)
SETTINGS = {"dtype": "float32", "max_model_len": 200}
VLLM = {"enforce_eager": True, "gpu_memory_utilization": 0.1, "block_size": 32, "max_num_batched_tokens": 96}
ENDS = [2, 60, 61, 62, 63, 64, 65, 66, 67]
"""End tokens that the models' generation_config.json names: enough for a random model to write one now and then."""


def pairs() -> list[tuple[str, str]]:
    """Contexts with letters, sentences that share a beginning, no context, and one that is too long."""
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(draw.choice(("rain", "hill", "on", "the", "a", "old", "stone")) for _ in range(count))

    found = [(f"Question: {words(5)}\nAnswer:", f" {letter}") for _ in range(4) for letter in "ABCD"]
    found += [(context, f" {words(3)}") for context in (words(2), words(12)) for _ in range(4)]
    return [*found, ("", words(4)), (words(80), " end")]


def prompts() -> list[str]:
    return [context for context, _ in dict(pairs()).items() if context and len(context) < 150] * 5


def requests(kind: str, arguments: list[tuple]) -> list:
    return [
        SimpleNamespace(request_type=kind, args=one, doc={}, doc_id=at, task_name="agreement", idx=at)
        for at, one in enumerate(arguments)
    ]


def written(lm, texts: list[str], batch: int) -> list[list[int]]:
    """Token ids of greedy answers, without what ends them."""
    setattr(lm, "batch_size" if hasattr(lm, "model_args") else "batch_size_per_gpu", batch)
    generate, found = lm._model_generate, {}

    def watched(*args, **kwargs):
        made = generate(*args, **kwargs)
        if isinstance(made, list):
            rows = [(one.prompt_token_ids, list(one.outputs[0].token_ids)) for one in made]
        else:
            context = kwargs["context"] if "context" in kwargs else args[0]
            rows = [(row[: context.shape[1]].tolist(), row[context.shape[1] :].tolist()) for row in made]
        pad, ends = lm.tokenizer.pad_token_id, set(lm.stop_ids())
        for prompt, answer in rows:
            kept = [one for one in answer if one != pad]
            found[tuple(one for one in prompt if one != pad)] = kept[:-1] if kept and kept[-1] in ends else kept
        return made

    lm._model_generate = watched
    how = {"until": ["\n\n"], "max_gen_toks": 16, "do_sample": False}
    lm.generate_until(requests("generate_until", [(text, dict(how)) for text in texts]), disable_tqdm=True)
    lm._model_generate = generate
    return [found[tuple(lm.tok_encode(text))] for text in texts]


def asked(engine: str, folder: Path) -> dict:
    """What an engine says to everything."""
    from edge2giant.engine import describe, open_engine

    own = VLLM if engine == "vllm" else {"device": "cpu", "batch_size": 8}
    with open_engine(engine, folder, SETTINGS | own) as lm:
        scores = lm.loglikelihood(requests("loglikelihood", pairs()), disable_tqdm=True)
        texts = prompts()
        chats = [lm.apply_chat_template([{"role": "user", "content": text}]) for text in texts]
        plain = {size: written(lm, texts, size) for size in BATCHES}
        stops = lm.stop_ids()
        lm.answers_turns = True
        answers = {size: plain[size] + written(lm, chats, size) for size in BATCHES}
        stops = {"plain": stops, "chat": lm.stop_ids()}
        return {"scores": scores, "answers": answers, "stops": stops, "version": describe(lm)["version"]}


def compared(model_type: str, folder: Path) -> dict:
    """Both engines on one model."""
    tiny_model(folder, model_type, **ARCHITECTURES[model_type])
    path = folder / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": ENDS, "repetition_penalty": 1.3, "temperature": 0.6, "do_sample": True}))
    ours, theirs = asked("hf", folder), asked("vllm", folder)
    answers = ours["answers"][1]
    same = {
        f"{name}, batch {size}": sum(one == other for one, other in zip(answers, said["answers"][size], strict=True))
        for name, said in (("hf", ours), ("vllm", theirs))
        for size in BATCHES
    }
    differences = [abs(one[0] - other[0]) for one, other in zip(ours["scores"], theirs["scores"], strict=True)]
    return {
        "log-likelihoods": len(differences),
        "largest difference": max(differences),
        "same greedy flags": all(one[1] == other[1] for one, other in zip(ours["scores"], theirs["scores"], strict=True)),
        "answers": len(answers),
        "ended before the limit": sum(len(one) < 16 for one in answers),
        "equal to hf, batch 1": same,
        "same stop tokens": ours["stops"] == theirs["stops"],
        "versions": [ours["version"], theirs["version"]],
    }


def main(out: Path) -> None:
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    found = {}
    for model_type in ARCHITECTURES:
        with tempfile.TemporaryDirectory() as folder:
            found[model_type] = one = compared(model_type, Path(folder) / "model")
        print(model_type, one["largest difference"], one["equal to hf, batch 1"], f"of {one['answers']}", flush=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
