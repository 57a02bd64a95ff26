"""Token ids by pieces against lm-eval's own way, on tokenizers of the families that the paper's models use."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.toolkit("main")
tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")
pytest.importorskip("lm_eval")

from edge2giant.engine.tokens import PairEncoder, pieces, safe_to_cut  # noqa: E402
from lm_eval.api.model import TemplateLM  # noqa: E402
from lm_eval.models.utils import _add_special_kwargs, has_bos_prefix  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, processors, trainers  # noqa: E402
from tokenizers import pre_tokenizers as split  # noqa: E402

LINES = [
    "Question: Which of these is a metal?", "A. iron", "B. (wood)", "C. water - cold", "D. air", "Answer: B",
    "  indented = code(42)", "the the quick brown fox, 1234 jumps!", "Wie heißt das? 東京 é", "I don't know...",
]  # fmt: skip
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def train(tokenizer, **options):
    corpus = ["\n".join(LINES), "\n\n".join(LINES), " ".join(LINES)] * 3
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=600, **options))
    return tokenizer


def with_bos(tokenizer, bos):
    number = tokenizer.token_to_id(bos)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, number)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token="</s>")


def llama3():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split.Sequence(
        [split.Split(Regex(LLAMA3), "isolated"), split.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = split.ByteLevel.alphabet()
    specials = ["<|begin_of_text|>", "</s>", "<|eot_id|>"]
    return with_bos(train(tokenizer, special_tokens=specials, initial_alphabet=alphabet), specials[0])


def gpt2():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, special_tokens=["<s>", "</s>"], initial_alphabet=split.ByteLevel.alphabet())
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def llama2():  # and Vicuna: no word splitting, a prefix space, newlines as bytes
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = split.Metaspace(prepend_scheme="first")
    corpus = [word for line in LINES for word in line.split()] * 5  # no newline: it is no character of these
    specials = ["<unk>", "<s>", "</s>", *BYTES]
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=700, special_tokens=specials))
    state = __import__("json").loads(tokenizer.to_str())
    state["added_tokens"] = [one for one in state["added_tokens"] if not one["content"].startswith("<0x")]
    state["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(__import__("json").dumps(state))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return with_bos(tokenizer, "<s>")


def gemma():  # BOS, spaces as ▁ without a prefix, newline runs as tokens
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = split.Split(Regex(r"\n+|▁?[^▁\n]+|▁+"), "isolated")
    train(tokenizer, special_tokens=["<pad>", "</s>", "<bos>", "<unk>"])
    tokenizer.pre_tokenizer = split.Split(" ", "merged_with_previous")
    return with_bos(tokenizer, "<bos>")


FAMILIES = {"llama-2": llama2, "llama-3": llama3, "gemma": gemma, "gpt-2": gpt2}


class StandIn:
    """lm-eval's pair rule on a tokenizer, with the encoding rules of its vLLM back end."""

    backend = "causal"
    _encode_pair = TemplateLM._encode_pair

    def __init__(self, tokenizer, add_bos_token=None):
        self.tokenizer, self.add_bos_token = tokenizer, add_bos_token

    def tok_encode(self, text, add_special_tokens=None):
        if isinstance(text, list):
            return [self.tok_encode(one, add_special_tokens) for one in text]
        if not text:
            return []
        options = _add_special_kwargs(add_special_tokens, self.add_bos_token)
        if has_bos_prefix(text, self.tokenizer.bos_token):
            options = {**options, "add_special_tokens": False}
        return self.tokenizer(text, **options).input_ids


def encoder(lm, cut):
    return PairEncoder(lm.tok_encode, lambda texts: lm.tok_encode(texts, add_special_tokens=False), lm._encode_pair, cut)


LMS = {}


def lm_of(family, add_bos_token):
    if (family, add_bos_token) not in LMS:
        LMS[family, add_bos_token] = StandIn(FAMILIES[family](), add_bos_token)
    return LMS[family, add_bos_token]


joints = st.sampled_from(["\n", "\n\n", " ", "\n ", " \n", "", "\n\n\n", "\r\n", "\t\n"])
texts = st.lists(st.tuples(st.sampled_from(LINES), joints), min_size=1, max_size=8).map(
    lambda parts: "".join(line + joint for line, joint in parts)
)
tails = st.sampled_from([" A", "B", " (C)", "\nD", " the quick", "\n\n", "", " iron\nA. no", "é"])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("add_bos_token", [None, True, False])
@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(texts, tails), min_size=1, max_size=6), bos=st.booleans())
def test_same_token_ids_as_lm_eval(family, add_bos_token, pairs, bos):
    lm = lm_of(family, add_bos_token)
    if bos:  # as chat templates write it
        pairs = [(lm.tokenizer.bos_token + context, tail) for context, tail in pairs]
    expected = [lm._encode_pair(*pair) for pair in pairs]
    for cut in (True, False):
        by_pieces = encoder(lm, cut)
        assert [tuple(map(list, one)) for one in by_pieces(pairs)] == expected
        assert by_pieces.cut is cut  # it never had to fall back


@pytest.mark.parametrize("family", FAMILIES)
def test_families_may_be_cut(family):
    assert safe_to_cut(lm_of(family, None).tokenizer)


def test_a_vocabulary_with_tokens_across_newlines_is_not_cut():
    tokenizer = Tokenizer(models.BPE())
    train(tokenizer, special_tokens=["<s>"])  # no pre-tokenizer: merges cross newlines
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    assert any("\nA" in token for token in tokenizer.get_vocab())
    assert not safe_to_cut(fast)


def test_falls_back_when_a_sample_differs():
    tokenizer = Tokenizer(models.BPE())
    train(tokenizer, special_tokens=["<s>"])
    lm = StandIn(transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>"))
    wrong = encoder(lm, cut=True)
    pairs = [("\n".join(LINES), " A")]
    assert [tuple(map(list, one)) for one in wrong(pairs)] == [lm._encode_pair(*pairs[0])]
    assert wrong.cut is False


def test_equal_contexts_share_one_list():
    lm = lm_of("llama-3", None)
    context = "\n".join(LINES)
    (one, _), (other, _) = encoder(lm, cut=True)([(context, " A"), (context, " B")])
    assert one is other


@pytest.mark.parametrize("family", FAMILIES)
def test_examples_between_empty_lines_are_encoded_once_whatever_their_order(family):
    lm, texts = lm_of(family, None), []
    examples = [f"{line} {number}" for number, line in enumerate(LINES[:6])]
    pairs = [("\n\n".join([*examples[at:], *examples[:at], "Which one?"]), " A") for at in range(6)]

    def plain(some):
        texts.extend(some)
        return lm.tok_encode(some, add_special_tokens=False)

    by_pieces = PairEncoder(lm.tok_encode, plain, lm._encode_pair, cut=True)
    assert [tuple(map(list, one)) for one in by_pieces(pairs)] == [lm._encode_pair(*pair) for pair in pairs]
    assert by_pieces.cut
    assert all(sum(example in text for text in texts) == 1 for example in examples)


def test_pieces_join_to_the_text():
    text = "\n".join(LINES) + "\n\n  x\ny"
    assert "".join(pieces(text)) == text
    assert len(pieces(text)) > 5
