"""llama.cpp (llama-cpp-python) with a model and a control vector that crosspatch exported, beside crosspatch's own logits on the same tokens.

    npx tsx test/interop/steered-logits.ts MODEL.gguf VECTOR.gguf PROMPTS.jsonl > ours.jsonl
    python peer_llama.py MODEL.gguf VECTOR.gguf ours.jsonl

Exits with 1 unless what the vector changes in the next token's logits correlates with ours to 0.99 on every prompt, with the same best tokens.
Needs llama-cpp-python, gguf, numpy; crosspatch itself needs no Python.
"""

import ctypes
import json
import sys

import llama_cpp
import numpy as np
from gguf import GGUFReader


def control_vector(path, blocks, width):
    """[blocks, width] from llama.cpp's layer 1 on, zeros where the file has no direction."""
    data = np.zeros((blocks, width), dtype=np.float32)
    for tensor in GGUFReader(path).tensors:
        data[int(tensor.name.removeprefix("direction.")) - 1] = tensor.data
    return np.ascontiguousarray(data)


def next_logits(model, ids):
    model.reset()
    model.eval(ids)
    at = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    return np.ctypeslib.as_array(at, shape=(model.n_vocab(),)).astype(np.float64)


def main(path, vector, ours):
    model = llama_cpp.Llama(model_path=path, n_ctx=512, n_gpu_layers=0, verbose=False)
    blocks = llama_cpp.llama_model_n_layer(model.model)
    data = control_vector(vector, blocks, model.n_embd())
    pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    rows = [json.loads(line) for line in open(ours)]
    plain = [next_logits(model, row["ids"]) for row in rows]
    assert llama_cpp.llama_set_adapter_cvec(model.ctx, pointer, data.size, data.shape[1], 1, blocks) == 0
    failed = 0
    for row, before in zip(rows, plain):
        after = next_logits(model, row["ids"])
        n = len(row["plain"])
        moved = np.corrcoef(after[:n] - before[:n], np.array(row["steered"]) - np.array(row["plain"]))[0, 1]
        largest = max(np.abs(after[:n] - row["steered"]).max(), np.abs(before[:n] - row["plain"]).max())
        same = np.argmax(after[:n]) == np.argmax(row["steered"]) and np.argmax(before[:n]) == np.argmax(row["plain"])
        print(f"{len(row['ids'])} tokens: correlation of what the vector moves {moved:.6f}, largest difference of a logit {largest:.2e}, best tokens {'the same' if same else 'DIFFERENT'}")
        failed += not (moved >= 0.99 and same)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
