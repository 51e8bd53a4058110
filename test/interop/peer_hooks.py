"""docs/how-to/crosspatch_hooks.py in transformers and nnsight against crosspatch's own logits.

    python peer_hooks.py vector MODEL_FOLDER VECTORS.safetensors OURS.jsonl
    python peer_hooks.py map MODEL_FOLDER MAP_FOLDER OURS.jsonl SOURCE_FOLDER

OURS.jsonl: test/interop/steered-logits.ts on the same folder, with the vectors, or with a document that sets what the map gives for the same
tokens of the source. Needs torch, transformers, safetensors, nnsight; crosspatch itself needs no Python.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).parents[2] / "docs/how-to"))
import crosspatch_hooks as cp  # noqa: E402


def compare(name, theirs, ours):
    theirs, ours = np.asarray(theirs, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    n = min(len(theirs), len(ours))
    theirs, ours = theirs[:n], ours[:n]
    print(f"{name}: largest difference {np.abs(theirs - ours).max():.2e} of {np.abs(ours).max():.1f},"
          f" best token {'the same' if theirs.argmax() == ours.argmax() else 'ANOTHER'}")


def last(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].numpy()


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def of_vector(folder, vectors, ours):
    import nnsight

    rows = [json.loads(line) for line in open(ours)]
    vectors = cp.read_vectors(vectors)
    model = load(folder)
    for row in rows:
        moved = np.abs(np.subtract(row["steered"], row["plain"])).max()
        print(f"{len(row['ids'])} tokens; the vector moves our logits by up to {moved:.2f}")
        compare("transformers, plain", last(model, row["ids"]), row["plain"])
        with cp.steering(model, vectors):
            compare("transformers, steering()", last(model, row["ids"]), row["steered"])
        compare("transformers, afterwards", last(model, row["ids"]), row["plain"])
    traced = nnsight.LanguageModel(model, tokenizer=nnsight_tokenizer(folder))
    for row in rows:
        with torch.no_grad(), traced.trace(torch.tensor([row["ids"]])):
            cp.steer_traced(traced, vectors)
            logits = traced.output.logits[0, -1].save()
        compare(f"nnsight {nnsight.__version__}, steer_traced()", logits.detach().numpy(), row["steered"])


def nnsight_tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def of_map(folder, map_folder, ours, source_folder):
    f = cp.Map(map_folder)
    source, target = load(source_folder), load(folder)
    for row in (json.loads(line) for line in open(ours)):
        (positions,) = row["positions"]
        ids = torch.tensor([row["ids"]])
        rows = f(cp.residual(source, ids, f.source["block"])[0, positions])
        moved = np.abs(np.subtract(row["steered"], row["plain"])).max()
        print(f"{len(row['ids'])} tokens, {len(positions)} of them set; the map moves our logits by up to {moved:.2f}")
        compare("transformers, plain", last(target, row["ids"]), row["plain"])
        with cp.patching(target, f.target["block"], rows, positions):
            compare("transformers, patching()", last(target, row["ids"]), row["steered"])


{"vector": of_vector, "map": of_map}[sys.argv[1]](*sys.argv[2:])
