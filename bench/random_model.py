"""Make a model directory of a real shape with random weights and a tokenizer trained on the requests.

Reads an architecture of config/models.yaml and a file of requests; writes a model directory. Speed depends on
shapes, not on what the weights say; the tokenizer gives prompts about as long as the real one's.

    python bench/random_model.py --requests requests.json.gz --architecture llama-3.2-1b-it --out DIR
"""

import argparse
import gzip
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TINY = {
    "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192, "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}  # fmt: skip

LEAST = {
    **TINY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
}


def make_tokenizer(texts, vocab_size, out):
    """Train a byte-level tokenizer with the word pattern of Llama 3 and its BOS rule."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{specials[0]} $A", special_tokens=[(specials[0], 0)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=specials[0], eos_token=specials[1], pad_token=specials[1]
    )
    fast.save_pretrained(out)
    return len(fast)


def make_weights(architecture, dtype, out):
    """Write random weights of a Llama shape."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**architecture, rope_theta=500000.0, bos_token_id=0, eos_token_id=1)
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config)
    model.save_pretrained(out)
    return sum(parameter.numel() for parameter in model.parameters())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=Path, help="train the tokenizer on these texts")
    parser.add_argument("--tokenizer", type=Path, help="take this one instead")
    parser.add_argument("--architecture", default="tiny", help="a name of config/models.yaml, or tiny, least or none")
    parser.add_argument("--max-length", type=int, default=8192)
    parser.add_argument("--vocab", type=int, default=32000)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.tokenizer:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for file in arguments.tokenizer.glob("*token*"):
            (arguments.out / file.name).write_bytes(file.read_bytes())
    else:
        with gzip.open(arguments.requests, "rt", encoding="utf-8") as file:
            built = json.load(file)
        texts = {
            text
            for one in built.values()
            for document in one["documents"]
            for _, request in document
            for text in request
            if isinstance(text, str)
        }
        print(make_tokenizer(sorted(texts), arguments.vocab, arguments.out), "tokens in the vocabulary")
    if arguments.architecture == "none":
        return
    architecture = {"tiny": TINY, "least": LEAST}.get(arguments.architecture)
    if architecture is None:
        import yaml

        models = yaml.safe_load((ROOT / "config/models.yaml").read_text())
        architecture = {key: models[arguments.architecture]["facts"][key] for key in TINY}
    from transformers import AutoTokenizer

    pieces = len(AutoTokenizer.from_pretrained(arguments.out))
    architecture = {
        **architecture,
        "vocab_size": max(pieces, architecture["vocab_size"]),
        "max_position_embeddings": arguments.max_length,
    }
    print(make_weights(architecture, arguments.dtype, arguments.out) / 1e9, "billion parameters")


if __name__ == "__main__":
    main()
