"""Cosines of crosspatch's vectors with those of repeng and steering-vectors, on one model and one file of pairs.

    python peer_vectors.py MODEL_FOLDER PAIRS.jsonl NAME=VECTOR_FOLDER ...

NAME is a method: mean-difference, pca, pca-center. Vectors are read at the last token (crosspatch vector --position last --held-out 0).
Needs torch, transformers, safetensors, repeng, steering-vectors; crosspatch itself needs no Python.
"""

import json
import sys

import numpy as np
import torch
from repeng import ControlModel, ControlVector, DatasetEntry
from safetensors.numpy import load_file
from steering_vectors import mean_aggregator, pca_aggregator, train_steering_vector
from transformers import AutoModelForCausalLM, AutoTokenizer


def cosine(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def by_steering_vectors(model, tokenizer, pairs, aggregator):
    found = train_steering_vector(
        model, tokenizer, pairs, read_token_index=-1, aggregator=aggregator, show_progress=False
    )
    return {layer: v.float().numpy() for layer, v in found.layer_activations.items()}


def by_repeng(model, tokenizer, pairs, method):
    # repeng's last block is Hugging Face's last hidden state, which is after the final norm: left out.
    blocks = list(range(model.config.num_hidden_layers - 1))
    control = ControlModel(model, blocks)
    try:
        data = [DatasetEntry(positive=p, negative=n) for p, n in pairs]
        return ControlVector.train(control, tokenizer, data, method=method, hidden_layers=blocks).directions
    finally:
        control.unwrap()


def main():
    folder, file, *named = sys.argv[1:]
    with open(file) as lines:
        pairs = [(row["positive"], row["negative"]) for row in map(json.loads, lines)]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    peers = {
        "mean-difference": {
            "steering-vectors mean": lambda: by_steering_vectors(model, tokenizer, pairs, mean_aggregator())
        },
        "pca": {"repeng pca_diff": lambda: by_repeng(model, tokenizer, pairs, "pca_diff")},
        "pca-center": {
            "repeng pca_center": lambda: by_repeng(model, tokenizer, pairs, "pca_center"),
            "steering-vectors pca": lambda: by_steering_vectors(model, tokenizer, pairs, pca_aggregator()),
        },
    }
    out = []
    for name, path in (pair.split("=", 1) for pair in named):
        own = load_file(f"{path}/vectors.safetensors")
        for peer, vectors in peers[name].items():
            theirs = vectors()
            cosines = {
                block: cosine(own[f"direction.{block}"], v)
                for block, v in sorted(theirs.items())
                if f"direction.{block}" in own
            }
            out.append({"method": name, "peer": peer, "blocks": len(cosines), "least": min(cosines.values()), "cosines": cosines})
    print(json.dumps({"model": folder.rstrip("/").split("/")[-1], "pairs": len(pairs), "rows": out}, indent=1))


main()
