"""Scores of local ONNX judges beside transformers' own, batches of one, max_length 256, truncation as the judges do it.

    python peer_judges.py random TOKENIZER_FOLDER OUT          # BLEURT's shape: a random BERT of 4 layers with one label, and that tokenizer
    python docs/how-to/export_judge.py pair OUT JUDGE
    npx tsx test/interop/judge-scores.ts pair JUDGE scores.json
    python peer_judges.py pair OUT scores.json                 # embedding: the checkpoint of a sentence-transformers model

Needs torch and transformers; crosspatch itself needs no Python.
"""

import json
import sys

import numpy as np
import torch
import transformers
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

MOST = dict(truncation=True, max_length=256, return_tensors="pt")


def random(tokenizer, out):
    tok = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(1)
    config = BertConfig(vocab_size=len(tok), hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128, num_labels=1, initializer_range=0.2)
    BertForSequenceClassification(config).save_pretrained(out)
    tok.save_pretrained(out)


def embedding(checkpoint, pairs):
    tok, model = AutoTokenizer.from_pretrained(checkpoint), AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    texts = list(dict.fromkeys(t for p in pairs for t in (p["reference"], p["candidate"])))
    vectors = {t: model(**tok(t, **MOST)).last_hidden_state[0].mean(0).double() for t in texts}
    return [torch.cosine_similarity(vectors[p["reference"]], vectors[p["candidate"]], dim=0).item() for p in pairs]


def pair(checkpoint, pairs):
    # As a list: a lone pair whose second text is empty is taken for one text.
    tok, model = AutoTokenizer.from_pretrained(checkpoint), AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    return [model(**tok([(p["reference"], p["candidate"])], **MOST)).logits.item() for p in pairs]


def compare(kind, checkpoint, scores):
    data = json.load(open(scores))
    pairs, ours = data["pairs"], np.array(data["scores"])
    with torch.no_grad():
        theirs = np.array({"embedding": embedding, "pair": pair}[kind](checkpoint, pairs))
        turned = np.array(pair(checkpoint, [dict(reference=p["candidate"], candidate=p["reference"]) for p in pairs])) if kind == "pair" else None
    difference = np.abs(ours - theirs)
    apart = [i for i in range(len(pairs)) if difference[i] > 1e-5]
    worst = int(difference.argmax())
    print(f"torch {torch.__version__}, transformers {transformers.__version__}: {len(pairs)} pairs, scores {theirs.min():.3f} to {theirs.max():.3f} (sd {theirs.std():.3f})")
    print(f"largest difference {difference.max():.2e} at pair {worst}; of the first 200 {difference[:200].max():.2e}")
    print(f"pairs more than 1e-5 apart: {apart}")
    if turned is not None:
        print(f"the other order differs by up to {np.abs(ours - turned).max():.2e}")


if __name__ == "__main__":
    if sys.argv[1] == "random":
        random(*sys.argv[2:])
    else:
        compare(*sys.argv[1:])
