"""Files of `crosspatch export` in their readers: repeng, transformers (its own GGUF reader, and a Hugging Face folder), gguf-py.

    python peer_exports.py VECTOR.gguf VECTOR.safetensors MODEL_FOLDER MODEL.gguf OURS.jsonl

OURS.jsonl: test/interop/steered-logits.ts on the folder and the vector. Needs torch, transformers, safetensors, repeng, gguf; crosspatch itself needs no Python.
"""

import json
import os
import sys

import gguf
import numpy as np
import torch
from repeng import ControlModel, ControlVector
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM


def compare(name, theirs, ours):
    theirs, ours = np.asarray(theirs, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    n = min(len(theirs), len(ours))
    theirs, ours = theirs[:n], ours[:n]
    print(f"{name}: correlation {np.corrcoef(theirs, ours)[0, 1]:.6f}, largest difference {np.abs(theirs - ours).max():.2e}"
          f" of {np.abs(ours).max():.1f}, best token {'the same' if theirs.argmax() == ours.argmax() else 'ANOTHER'}")


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].float().numpy()


def main(vector, tensors, folder, model_file, ours):
    control = ControlVector.import_gguf(vector)
    direct = load_file(tensors)
    for layer, direction in control.directions.items():
        same = np.array_equal(np.asarray(direction), direct[f"direction.{layer}"])
        print(f"repeng: {control.model_type}, direction.{layer} {'equals' if same else 'DIFFERS FROM'} the safetensors")
    reader = gguf.GGUFReader(model_file)
    kinds = sorted({t.tensor_type.name for t in reader.tensors})
    print(f"gguf-py: {len(reader.tensors)} tensors, {', '.join(kinds)}")
    rows = [json.loads(line) for line in open(ours)]
    hf = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    for row in rows:
        compare("transformers, folder, plain", logits(hf, row["ids"]), row["plain"])
    (layer, direction), = control.directions.items()
    added = torch.tensor(np.asarray(direction))

    def add(module, inputs, output):
        if isinstance(output, tuple):
            return (output[0] + added, *output[1:])
        return output + added

    handle = hf.model.layers[layer].register_forward_hook(add)
    for row in rows:
        steered = logits(hf, row["ids"])
        compare("transformers, folder, direction added after its block", steered, row["steered"])
    handle.remove()
    held = ControlModel(hf, [layer])
    held.set_control(control, 1.0)
    for row in rows:
        compare("repeng, set_control(…, 1)", logits(held, row["ids"]), row["steered"])
    held.unwrap()
    own = AutoModelForCausalLM.from_pretrained(
        os.path.dirname(os.path.abspath(model_file)), gguf_file=os.path.basename(model_file), torch_dtype=torch.float32
    )
    for row in rows:
        compare("transformers, exported GGUF, plain (float16 matrices)", logits(own, row["ids"]), row["plain"])


main(*sys.argv[1:])
