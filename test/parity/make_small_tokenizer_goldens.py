"""Small tokenizers of every kind with ids, offsets and decoded text by Hugging Face: python make_small_tokenizer_goldens.py (see README.md).

Trained here on part of tokenizers/strings.json.gz, so that tests need no large file. Offsets are code points, as the library gives them.
"""

import gzip
import json
from importlib.metadata import version
from pathlib import Path
from unicodedata import category

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
STRINGS = json.loads(gzip.decompress((HERE / "tokenizers/strings.json.gz").read_bytes()))
# Characters newer than Python's Unicode (14) are left out: Node and the Rust library know different versions.
TEXTS = [s for s in STRINGS[::7] if all(category(c) != "Cn" for c in s)][:600]
CORPUS = [s for i, s in enumerate(STRINGS) if i % 7 != 0 and len(s) > 8][:4000] + ["hello world, the steering vector of a layer is a token"] * 20
NUMBERS = {"llama3": r"\p{N}{1,3}", "qwen": r"\p{N}"}
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(numbers):
    return pre_tokenizers.Split(Regex(WORDS % NUMBERS[numbers]), "isolated")


def template(tok, bos, eos=None):
    single = [bos, "$A"] + ([eos] if eos else [])
    return processors.TemplateProcessing(single=single, special_tokens=[(t, tok.token_to_id(t)) for t in single if t != "$A"])


def byte_level(pre, normalizer=None, ignore_merges=False, special=("<|im_start|>", "<|im_end|>"), bos=None):
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, special_tokens=list(special), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if bos:
        tok.post_processor = template(tok, bos)
    return tok


def sentencepiece(normalizer, decoder, pre=None, bos=None, eos=None):
    """BPE over characters with ▁ for spaces and byte fallback: the merges of a trained model, then the 256 byte tokens"""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=1200, limit_alphabet=300, show_progress=False))
    model = json.loads(raw.to_str())["model"]
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for token in [f"<0x{b:02X}>" for b in range(256)] + list(model["vocab"]):
        vocab.setdefault(token, len(vocab))
    tok = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in model["merges"]], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tok.normalizer = normalizer
    if pre:
        tok.pre_tokenizer = pre
    tok.decoder = decoder
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    tok.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<table>", normalized=False)])
    if bos:
        tok.post_processor = template(tok, bos, eos)
    return tok


def word_level():
    tok = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tok.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])
    tok.decoder = decoders.WordPiece()
    tok.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=900, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    tok.add_tokens([
        AddedToken("STEER", normalized=True), AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False),
        AddedToken("word", single_word=True, normalized=False), AddedToken("<|a|>", normalized=False), AddedToken("<|a|>b", normalized=False),
    ])  # fmt: skip
    tok.post_processor = template(tok, "[CLS]", "[SEP]")
    return tok


mark = normalizers.Replace(" ", "▁")
to_space = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
special3 = ("<|begin_of_text|>", "<|eot_id|>")
kinds = {
    "gpt2": byte_level(gpt2),
    "gpt2-prefix": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "smollm": byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])),
    "llama3": byte_level(pre_tokenizers.Sequence([split("llama3"), plain]), ignore_merges=True, special=special3, bos="<|begin_of_text|>"),
    "qwen2": byte_level(pre_tokenizers.Sequence([split("qwen"), plain]), normalizers.NFC()),
    "gemma": sentencepiece(mark, decoders.Sequence(to_space), pre_tokenizers.Split(" ", "merged_with_previous"), "<s>"),
    "llama2": sentencepiece(normalizers.Sequence([normalizers.Prepend("▁"), mark]), decoders.Sequence([*to_space, decoders.Strip(" ", 1, 0)]), None, "<s>", "</s>"),
    "metaspace-first": sentencepiece(None, decoders.Metaspace(prepend_scheme="first"), pre_tokenizers.Metaspace(prepend_scheme="first", split=True)),
    "metaspace-always": sentencepiece(None, decoders.Metaspace(prepend_scheme="always"), pre_tokenizers.Metaspace(prepend_scheme="always", split=False)),
    "word-level": word_level(),
    "punctuation": byte_level(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(), plain]), normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])),
    "merged-next": byte_level(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"[A-Z\s]"), "merged_with_next"), pre_tokenizers.Split("e", "merged_with_previous"), pre_tokenizers.Split(Regex(r"\w+"), "removed", invert=True), plain])),
}
EXTRA = ["a STEER b steer", "x <L>y", "x <R>  y", "sword word words word", "<|a|>b<|a|>c", "  word  ", "", "STEER"]
out = {}
for name, tok in kinds.items():
    enc = [tok.encode(s) for s in TEXTS + EXTRA]
    out[name] = dict(
        tokenizer=json.loads(tok.to_str()),
        ids=[e.ids for e in enc],
        offsets=[[list(o) for o in e.offsets] for e in enc],
        decoded=[tok.decode(e.ids, skip_special_tokens=True) for e in enc],
    )
    print(name, tok.get_vocab_size(), sum(len(e.ids) for e in enc))
note = dict(versions=dict(tokenizers=version("tokenizers")), texts=TEXTS + EXTRA, kinds=out)
data = gzip.compress(json.dumps(note, ensure_ascii=True, separators=(",", ":")).encode(), 9, mtime=0)
(HERE / "tokenizers-small.json.gz").write_bytes(data)
print(len(data))
