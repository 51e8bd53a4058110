"""PEFT loads an adapter that crosspatch trained; logits beside crosspatch's own, which merges it.

    python peer_peft.py MODEL_FOLDER ADAPTER_FOLDER OURS.jsonl

OURS.jsonl: test/interop/adapter-logits.ts with the same model and adapter. Needs torch, transformers, peft; crosspatch itself needs no Python.
"""

import json
import sys

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def last(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].numpy().astype(np.float64)


def main(folder, adapter, ours):
    rows = [json.loads(line) for line in open(ours)]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    before = [last(model, row["ids"]) for row in rows]
    model = PeftModel.from_pretrained(model, adapter).eval()
    for row, plain in zip(rows, before):
        theirs, mine = last(model, row["ids"]), np.array(row["adapted"])
        n = len(mine)
        print(f"{len(row['ids'])} tokens: largest difference plain {np.abs(plain[:n] - row['plain']).max():.2e}, with the adapter {np.abs(theirs[:n] - mine).max():.2e}"
              f" of {np.abs(mine).max():.1f}; it moves them by up to {np.abs(theirs - plain).max():.1f};"
              f" best token {'the same' if theirs[:n].argmax() == mine.argmax() else 'ANOTHER'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
