"""Golden forward passes of every decoder family: python make_family_goldens.py (see README.md)."""

import json

import numpy as np
import torch
from transformers import Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

import numpy_forward
from hf import HERE, float64_everywhere, load, random_state, run_with_states, save_file, save_folder, versions

COMMON = dict(
    vocab_size=112,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
    tie_word_embeddings=False,
)


def c(cls, **changes):
    return cls(**{**COMMON, **changes})


FAMILIES = {
    "llama": c(LlamaConfig, rope_theta=10000.0),
    "llama3-rope": c(
        LlamaConfig,
        hidden_size=64,
        vocab_size=128,
        rope_theta=500000.0,
        tie_word_embeddings=True,
        rope_scaling=dict(
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=64,
        ),
    ),
    "llama-linear-rope": c(LlamaConfig, rope_theta=10000.0, rope_scaling=dict(rope_type="linear", factor=2.5)),
    "mistral": c(MistralConfig, sliding_window=5, head_dim=16, rope_theta=10000.0),
    "smollm2": c(
        LlamaConfig,
        num_attention_heads=6,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_theta=100000.0,
    ),
    "qwen2": c(Qwen2Config, rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True),
    "qwen3": c(Qwen3Config, rms_norm_eps=1e-6, rope_theta=1000000.0, head_dim=20),
    "gemma2": c(
        Gemma2Config,
        num_hidden_layers=4,
        vocab_size=96,
        head_dim=16,
        query_pre_attn_scalar=24,
        sliding_window=4,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=4.0,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        rope_theta=10000.0,
    ),
    "gemma3_text": c(
        Gemma3TextConfig,
        num_hidden_layers=4,
        vocab_size=96,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=24,
        sliding_window=4,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        rope_theta=1000000.0,
        rope_local_base_freq=10000.0,
    ),
}
LENGTHS = [5, 9, 1, 13]


def prompts(vocab, seed):
    """Right-padded ids and mask, [B,T]"""
    rng = np.random.default_rng(seed)
    ids = np.zeros((len(LENGTHS), max(LENGTHS)), dtype=np.int64)
    mask = np.zeros_like(ids)
    for b, n in enumerate(LENGTHS):
        ids[b, :n] = rng.integers(3, vocab, n)
        mask[b, :n] = 1
    return torch.tensor(ids), torch.tensor(mask)


def worst(a, b):
    return float((a - b).abs().max() / b.abs().max())


for seed, (name, config) in enumerate(FAMILIES.items()):
    folder = HERE / "families" / name
    state = random_state(config, 1000 + seed)
    dtype = torch.bfloat16 if name == "llama3-rope" else torch.float32
    state = {k: v.to(dtype).to(torch.float32) for k, v in state.items()}
    save_folder(folder, config, state, dtype, shards=2 if name == "qwen2" else 1)
    ids, mask = prompts(config.vocab_size, 2000 + seed)
    real = mask.bool()

    f32 = run_with_states(load(config, state, torch.float32), ids, mask)
    with float64_everywhere():
        model64 = load(config, state, torch.float64)
        f64 = run_with_states(model64, ids, mask)
        alone = [run_with_states(model64, ids[b : b + 1, :n], mask[b : b + 1, :n]) for b, n in enumerate(LENGTHS)]
    assert all(v.dtype == torch.float64 for v in f64.values()) and all(v.dtype == torch.float32 for v in f32.values())

    raw = json.loads((folder / "config.json").read_text())
    weights = {k: v.double().numpy() for k, v in state.items()}
    seen = dict(f32_vs_f64={}, alone_vs_padded={}, numpy_vs_f64={})
    for key in f64:
        seen["f32_vs_f64"][key] = worst(f32[key][real].double(), f64[key][real])
        seen["alone_vs_padded"][key] = max(worst(alone[b][key][0], f64[key][b, :n]) for b, n in enumerate(LENGTHS))
    for b, n in enumerate(LENGTHS):
        ref = numpy_forward.forward(raw, weights, ids[b, :n].tolist())
        for key, value in ref.items():
            err = worst(torch.tensor(value), f64[key][b, :n])
            seen["numpy_vs_f64"][key] = max(err, seen["numpy_vs_f64"].get(key, 0.0))
    top = {k: max(v.values()) for k, v in seen.items()}
    assert top["numpy_vs_f64"] < 1e-12 and top["alone_vs_padded"] < 1e-12, top
    assert 1e-8 < top["f32_vs_f64"] < 1e-5, top

    tensors = {"ids": ids.to(torch.int32), "mask": mask.to(torch.int32)}
    for key, value in f64.items():
        tensors[f"f64.{key}"] = value * mask[:, :, None]
        if not key.startswith("resid_mid"):
            tensors[f"f32.{key}"] = f32[key] * mask[:, :, None]
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
    note = dict(
        family=name,
        lengths=LENGTHS,
        versions=versions(),
        worst_relative_difference=top,
        rms=dict((k, float(v[real].pow(2).mean().sqrt())) for k, v in f64.items()),
    )
    (folder / "golden.json").write_text(json.dumps(note, indent=1) + "\n")
    print(name, {k: f"{v:.1e}" for k, v in top.items()}, {k: round(v, 2) for k, v in note["rms"].items()})
