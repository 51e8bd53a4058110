"""Two random BERTs as judges and transformers' scores of them: python make_judge_goldens.py (see README.md).

One layer of 16, the tokenizer `minilm` of tokenizers-bert.json.gz; exported by docs/how-to/export_judge.py, scored by test/interop/peer_judges.py.
"""

import gzip
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parents[1] / "docs/how-to"), str(HERE.parent / "interop")]
import export_judge  # noqa: E402
import peer_judges  # noqa: E402

MOST = 24
golden = json.loads(gzip.decompress((HERE / "tokenizers-bert.json.gz").read_bytes()))
spec = golden["kinds"]["minilm"]["tokenizer"]
spec["truncation"] = spec["padding"] = None
marks = dict(unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", mask_token="[MASK]")
tok = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(spec)), model_input_names=["input_ids", "token_type_ids", "attention_mask"], **marks)
texts = golden["texts"]
PAIRS = [dict(reference=texts[-i - 2], candidate=texts[-i - 3]) for i in range(40)] + [dict(reference=r, candidate=c) for r, c in [("Good tea", ""), ("", "Good tea"), ("", "")]]
peer_judges.MOST = dict(truncation=True, max_length=MOST, return_tensors="pt")
torch.manual_seed(3)
config = BertConfig(vocab_size=len(tok), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=32, num_labels=1, initializer_range=0.5)
scores = {}
with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
    for kind, make in {"embedding": BertModel, "pair": BertForSequenceClassification}.items():
        checkpoint = f"{folder}/{kind}"
        make(config).save_pretrained(checkpoint)
        tok.save_pretrained(checkpoint)
        out = HERE / "judges" / kind
        out.parent.mkdir(exist_ok=True)
        export_judge.export(kind, checkpoint, out)
        scores[kind] = getattr(peer_judges, kind)(checkpoint, PAIRS)
        print(kind, min(scores[kind]), max(scores[kind]))
note = dict(versions={p: version(p) for p in ("torch", "transformers", "onnx")}, max_tokens=MOST, pairs=PAIRS, scores=scores)
(HERE / "judges/golden.json").write_text(json.dumps(note, ensure_ascii=True, indent=1) + "\n")
