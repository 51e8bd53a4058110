"""Vectors and maps of crosspatch in PyTorch. Copy this file where you need it; it wants torch and safetensors, nothing else.

    with steering(model, read_vectors("polite.safetensors")):  # transformers: added after their blocks, at every position
        model.generate(**inputs)

    f = Map("runs/demo/maps/locked/affine.general")  # what a small model has there, carried into a large one
    rows = f(residual(small, small_ids, f.source["block"])[0, positions])
    with patching(large, f.target["block"], rows, positions):
        large.generate(large_ids)

    with model.trace("the river"):  # nnsight
        steer_traced(model, vectors)
        logits = model.output.logits.save()
"""

import json
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file


def read_vectors(path, scale=1.0):
    """{block: vector [d]} of a safetensors file with `direction.L`, or of a folder made by `crosspatch vector`."""
    path = Path(path)
    tensors = load_file(path / "vectors.safetensors" if path.is_dir() else path)
    found = {int(k.split(".")[1]): scale * v for k, v in tensors.items() if k.startswith("direction.")}
    if not found:
        raise ValueError(f"{path}: no tensor direction.L; it has {', '.join(tensors)}")
    return found


class Map:
    """A map's folder (`crosspatch map fit`, or of a run): [..., source width] to [..., target width]."""

    def __init__(self, folder):
        record = json.loads((Path(folder) / "map.json").read_text())
        self.kind, self.source, self.target = record["kind"], record["source"], record["target"]
        self.tensors = load_file(Path(folder) / "map.safetensors")

    def __call__(self, x):
        t = {name: tensor.to(x.device, x.dtype) for name, tensor in self.tensors.items()}
        if "weight" in t:
            return torch.nn.functional.linear(x, t["weight"], t["bias"])
        if "encoder.weight" in t:
            hidden = torch.relu(torch.nn.functional.linear(x, t["encoder.weight"], t["encoder.bias"]))
            return torch.nn.functional.linear(hidden, t["decoder.weight"], t["decoder.bias"])
        if "mean" in t:
            return t["mean"].expand(*x.shape[:-1], -1)
        if self.kind == "identity":
            return x
        raise ValueError(f"a {self.kind} map is not a function of activations")


def blocks(model):
    """The decoder blocks of a transformers or nnsight model."""
    for path in ("model.layers", "model.language_model.layers", "language_model.model.layers", "transformer.h"):
        found = model
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is not None:
            return found
    raise ValueError(f"{type(model).__name__}: no list of decoder blocks found")


@contextmanager
def hooked(model, edits):
    """`edits`: {block: function of what leaves the block [B,T,d] that gives what takes its place, or None}."""

    def hook(edit):
        def run(_module, _inputs, output):
            first = output[0] if isinstance(output, tuple) else output
            changed = edit(first)
            if changed is not None:
                return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return run

    handles = [blocks(model)[block].register_forward_hook(hook(edit)) for block, edit in edits.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def steering(model, vectors):
    """Within `with`: each vector is added after its block, at every position."""
    return hooked(model, {b: lambda h, v=v: h + v.to(h.device, h.dtype) for b, v in vectors.items()})


def residual(model, ids, block):
    """What leaves the block for token ids [B,T]: [B,T,d]."""
    seen = []
    with torch.no_grad(), hooked(model, {block: seen.append}):
        model(ids)
    return seen[0]


def patching(model, block, rows, positions):
    """Within `with`: after the block, `rows` [n,d] stand at `positions` of the prompt; later tokens are left alone."""

    def put(h):
        if h.shape[1] > 1:  # one position: a token that is generated
            h = h.clone()
            h[:, positions] = rows.to(h.device, h.dtype)
            return h

    return hooked(model, {block: put})


def steer_traced(model, vectors):
    """Within nnsight's `with model.trace(…)`: the same as `steering`."""
    for block, v in sorted(vectors.items()):
        layer = blocks(model)[block]
        if isinstance(layer.output, tuple):
            layer.output = (layer.output[0] + v, *layer.output[1:])
        else:
            layer.output = layer.output + v
