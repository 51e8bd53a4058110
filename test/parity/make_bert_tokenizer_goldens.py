"""WordPiece tokenizers with ids, offsets, decoded text and pairs by Hugging Face: python make_bert_tokenizer_goldens.py MINILM/tokenizer.json (see README.md).

`minilm` is all-MiniLM-L6-v2's own tokenizer, its vocabulary cut to the tokens that occur here (checked: the same ids); the others are trained here.
Offsets are code points, as the library gives them.
"""

import gzip
import json
import random
import sys
from importlib.metadata import version
from pathlib import Path
from unicodedata import category

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
STRINGS = json.loads(gzip.decompress((HERE / "tokenizers/strings.json.gz").read_bytes()))
PRE = pre_tokenizers.BertPreTokenizer()
CLEAN = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
STRIP = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)


def same_unicode(c):
    """False for characters of whose kind the library's old tables and Python's newer ones think differently."""
    kind = category(c)
    cut = len(PRE.pre_tokenize_str(f"a{c}a")) == 3
    return (
        kind != "Cn"
        and ((kind[0] == "P" or (c.isascii() and not c.isalnum() and c > " " and c != "\x7f")) == cut)
        and ((kind == "Mn") <= (STRIP.normalize_str(c) == "") and (kind in ("Cc", "Cf", "Co")) <= (CLEAN.normalize_str(c) in ("", " ")))
    )


SURE = {c: same_unicode(c) for c in {c for s in STRINGS for c in s}}
TEXTS = [s for s in STRINGS[::29] if all(SURE[c] for c in s)]
TEXTS += [json.loads(line)["text"] for line in (HERE.parent / "data/harmless.jsonl").read_text().splitlines()[:60]]
TEXTS += [
    "", " ", "ΣΊΣΥΦΟΣ ΟΔΟΣ", "İstanbul'da ıssız", "𠀀𠀁 abc\U0002b820\U0002b920", "a\u00adb\u200bc\ufffd\u0000d", "x" * 100, "y" * 101, "don't stop—now... (v1.2.3)",
    "[CLS] a [SEP] [sep] [UNK][MASK]##ing", "Good tea, " * 120, "How do I back up photos from my phone?", "Call me at 555-0199; naïve café über Ångström.",
]  # fmt: skip
CORPUS = [s for i, s in enumerate(STRINGS) if i % 29 != 0 and len(s) > 8][:3000]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def trained(normalizer, post=None):
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    tok.normalizer = normalizer
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=1500, limit_alphabet=400, special_tokens=SPECIAL, show_progress=False))
    cls, sep = [(t, tok.token_to_id(t)) for t in ("[CLS]", "[SEP]")]
    tok.post_processor = post(sep, cls)
    return tok


def cut_down(path):
    whole = Tokenizer.from_file(path)
    whole.no_padding()
    whole.no_truncation()
    used = sorted({i for s in TEXTS for i in whole.encode(s).ids} | {whole.token_to_id(t) for t in SPECIAL})
    spec = json.loads(whole.to_str())
    new = {old: i for i, old in enumerate(used)}
    spec["model"]["vocab"] = {t: new[i] for t, i in spec["model"]["vocab"].items() if i in new}
    for token in spec["added_tokens"]:
        token["id"] = new[token["id"]]
    for token in spec["post_processor"]["special_tokens"].values():
        token["ids"] = [new[i] for i in token["ids"]]
    tok = Tokenizer.from_str(json.dumps(spec))
    parted = [s for s in TEXTS if [new[i] for i in whole.encode(s).ids] != tok.encode(s).ids]
    print(f"{len(parted)} of {len(TEXTS)} texts have other ids with the cut vocabulary")
    return tok


def roberta(sep, cls):
    return processors.RobertaProcessing(sep, cls, trim_offsets=False, add_prefix_space=False)


kinds = {
    "minilm": cut_down(sys.argv[1]),
    "bert-cased": trained(normalizers.BertNormalizer(lowercase=False), processors.BertProcessing),
    "bert-accents": trained(normalizers.BertNormalizer(strip_accents=False, handle_chinese_chars=False), roberta),
    "bert-unclean": trained(normalizers.BertNormalizer(clean_text=False, strip_accents=True, lowercase=False), processors.BertProcessing),
}
rng = random.Random(1)
PAIRS = [(rng.choice(TEXTS), rng.choice(TEXTS), most) for most in (8, 9, 16, 17, 64, 512) for _ in range(25)]
PAIRS += [("good tea", "", 16), ("", "good tea", 16), ("", "", 16)] + [("one two three four five", "six seven", most) for most in range(5, 14)]
out = {}
for name, tok in kinds.items():
    enc = [tok.encode(s) for s in TEXTS]
    tok.decoder = Tokenizer.from_file(sys.argv[1]).decoder
    spec, pairs = json.loads(tok.to_str()), []
    for a, b, most in PAIRS:
        tok.enable_truncation(most, strategy="longest_first")
        e = tok.encode(a, b)
        pairs.append(dict(first=a, second=b, most=most, ids=e.ids, types=e.type_ids))
    tok.no_truncation()
    out[name] = dict(
        tokenizer=spec,
        ids=[e.ids for e in enc],
        offsets=[[list(o) for o in e.offsets] for e in enc],
        decoded=[tok.decode(e.ids, skip_special_tokens=True) for e in enc],
        pairs=pairs,
    )
    print(name, tok.get_vocab_size(), sum(len(e.ids) for e in enc))
note = dict(versions=dict(tokenizers=version("tokenizers")), texts=TEXTS, kinds=out)
data = gzip.compress(json.dumps(note, ensure_ascii=True, separators=(",", ":")).encode(), 9, mtime=0)
(HERE / "tokenizers-bert.json.gz").write_bytes(data)
print(len(TEXTS), len(data))
