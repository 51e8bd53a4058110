"""What transformers makes of our trained tokenizers: python make_trained_tokenizer_goldens.py FOLDER (see README.md).

FOLDER/{word-level,byte-bpe}/ are written by `npx tsx test/parity/write-trained-tokenizers.ts FOLDER`.
"""

import gzip
import json
import sys
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

folder = Path(sys.argv[1])
texts = json.loads((Path(__file__).resolve().parent / "tokenizers-trained.texts.json").read_text())["texts"]
out = dict(versions=dict(tokenizers=version("tokenizers"), transformers=version("transformers")), kinds={})
for kind in ("word-level", "byte-bpe"):
    tok = AutoTokenizer.from_pretrained(folder / kind)
    enc = [tok(t, return_offsets_mapping=True) for t in texts]
    out["kinds"][kind] = dict(
        size=len(tok),
        ids=[e["input_ids"] for e in enc],
        offsets=[[list(o) for o in e["offset_mapping"]] for e in enc],
        decoded=[tok.decode(e["input_ids"], skip_special_tokens=True) for e in enc],
    )
ours = Tokenizer.from_file(str(folder / "byte-bpe/tokenizer.json"))
theirs = Tokenizer(models.BPE())
theirs.pre_tokenizer, theirs.normalizer = ours.pre_tokenizer, ours.normalizer
merges = json.loads(ours.to_str())["model"]["merges"]
theirs.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=256 + len(merges), min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[], show_progress=False))
out["merges"] = json.loads(theirs.to_str())["model"]["merges"]
data = gzip.compress(json.dumps(out, ensure_ascii=True, separators=(",", ":")).encode(), 9, mtime=0)
(Path(__file__).resolve().parent / "tokenizers-trained.json.gz").write_bytes(data)
print(len(data), len(merges), merges == out["merges"])
