"""Shared by the golden makers: small random Hugging Face models, and transformers run wholly in float64.

Legend: B rows, T positions, D hidden size, V vocabulary.
"""

import contextlib
import json
import os
import pathlib

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)

HERE = pathlib.Path(__file__).resolve().parent


@contextlib.contextmanager
def float64_everywhere():
    """transformers keeps float32 islands (rotary tables, RMSNorm, softmax). Inside this context every name of
    float32 means float64, so a model built and run here computes nothing in float32."""
    f32, flt, to_float, default = torch.float32, torch.float, torch.Tensor.float, torch.get_default_dtype()
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.float = f32, flt
        torch.Tensor.float = to_float
        torch.set_default_dtype(default)


def random_state(config, seed):
    """Weights that keep activations at O(1) and attention far from uniform: a wrong scale, base or mask must show."""
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in build(config).state_dict().items()}
    one_plus = config.model_type.startswith("gemma")
    rng = np.random.default_rng(seed)
    state = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        draw = rng.standard_normal(shape)
        if "norm" in name:
            value = 0.3 * draw + (0.0 if one_plus else 1.0)
        elif name.endswith(".bias"):
            value = 0.5 * draw
        elif "embed_tokens" in name:
            value = draw * (config.hidden_size**-0.5 if one_plus else 0.5)
        elif "q_proj" in name or "k_proj" in name:
            value = 1.6 * draw / shape[1] ** 0.5
        else:
            value = draw / shape[1] ** 0.5
        state[name] = torch.tensor(value).to(torch.float32)
    return state


def build(config, dtype=torch.float32):
    """dtype matters while building too: Gemma's embedding scale is a buffer made in it."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=dtype)
    return model.eval()


def load(config, state, dtype):
    """A model with these weights, in float32 as shipped, or in float64 throughout (call inside float64_everywhere)."""
    model = build(config, dtype).to(dtype)
    missing, unexpected = model.load_state_dict({k: v.to(dtype) for k, v in state.items()}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model


def save_folder(folder, config, state, dtype=torch.float32, shards=1):
    """config.json + model.safetensors, as a hub checkpoint lays them out; several shards come with an index."""
    os.makedirs(folder, exist_ok=True)
    config.torch_dtype = dtype
    config.architectures = [type(build_meta(config)).__name__]
    config.save_pretrained(folder)
    tensors = {k: v.to(dtype).contiguous() for k, v in state.items()}
    if shards == 1:
        save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    weight_map = {}
    for s in range(shards):
        part = names[len(names) * s // shards : len(names) * (s + 1) // shards]
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        save_file({k: tensors[k] for k in part}, f"{folder}/{file}", metadata={"format": "pt"})
        weight_map.update({k: file for k in part})
    total = sum(v.numel() * v.element_size() for v in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    pathlib.Path(folder, "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def build_meta(config):
    with torch.device("meta"):
        return build(config)


def run_with_states(model, ids, mask):
    """Logits and residual stream: embed, resid_mid.{i}, resid_post.{i} (before the final norm), ln_final. [B,T,·]"""
    got, hooks = {}, []

    def keep(name, value):
        got[name] = value.detach().clone()

    for i, block in enumerate(model.model.layers):
        norm_before_mlp = getattr(block, "pre_feedforward_layernorm", None) or block.post_attention_layernorm
        hooks.append(norm_before_mlp.register_forward_pre_hook(lambda m, a, i=i: keep(f"resid_mid.{i}", a[0])))
        hooks.append(
            block.register_forward_hook(
                lambda m, a, out, i=i: keep(f"resid_post.{i}", out[0] if isinstance(out, tuple) else out)
            )
        )
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
    for h in hooks:
        h.remove()
    layers = len(model.model.layers)
    assert len(out.hidden_states) == layers + 1
    for i in range(layers - 1):
        assert torch.equal(out.hidden_states[i + 1], got[f"resid_post.{i}"])
    got["embed"], got["ln_final"], got["logits"] = out.hidden_states[0], out.hidden_states[layers], out.logits
    return got


def versions():
    return {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": np.__version__}


__all__ = [
    "HERE",
    "build",
    "float64_everywhere",
    "load",
    "load_file",
    "random_state",
    "run_with_states",
    "save_file",
    "save_folder",
    "versions",
]
