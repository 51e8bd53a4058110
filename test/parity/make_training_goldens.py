"""Golden losses, gradients and AdamW runs, full and LoRA: python make_training_goldens.py (see README.md)."""

import json

import numpy as np
import torch
from torch.func import functional_call
from transformers import Gemma3TextConfig, LlamaConfig, Qwen2Config

from hf import HERE, float64_everywhere, load, random_state, save_file, save_folder, versions

COMMON = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-6,
    rope_theta=10000.0,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
MODELS = {
    "llama": LlamaConfig(**COMMON, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**COMMON, tie_word_embeddings=True),
    "gemma3_text": Gemma3TextConfig(
        **COMMON,
        tie_word_embeddings=True,
        head_dim=12,
        query_pre_attn_scalar=16,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
        rope_local_base_freq=1000.0,
    ),
}
STEPS, BATCHES = 20, 3
ADAMW = dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
DECAY, CLIP, RANK, ALPHA = 0.01, 1.0, 4, 8
TARGETS = [f"self_attn.{n}_proj" for n in "qkvo"] + [f"mlp.{n}_proj" for n in ("gate", "up", "down")]


def batch(vocab, seed):
    """ids [B,T] right-padded with 0; row b is lengths[b] long and its first prompts[b] tokens are the prompt."""
    rng = np.random.default_rng(seed)
    lengths, prompts = rng.integers(6, 13, 4), rng.integers(1, 5, 4)
    ids = np.zeros((4, 12), dtype=np.int64)
    for b, n in enumerate(lengths):
        ids[b, :n] = rng.integers(3, vocab, n)
    return torch.tensor(ids), torch.tensor(lengths), torch.tensor(prompts)


def loss_of(model, params, data):
    """Mean next-token cross entropy over the response tokens of the whole batch."""
    ids, lengths, prompts = data
    place = torch.arange(ids.shape[1])
    mask = (place < lengths[:, None]).long()
    logits = functional_call(model, params, (ids,), dict(attention_mask=mask, use_cache=False)).logits  # [B,T,V]
    counts = (place >= prompts[:, None]) & (place < lengths[:, None])  # [B,T] targets that count
    logp = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
    return -logp[counts[:, 1:]].mean()


def check_loss(model, data, loss):
    """Our definition of the loss against transformers' own, which counts every label but -100."""
    ids, lengths, prompts = data
    place = torch.arange(ids.shape[1])
    real = place < lengths[:, None]
    labels = ids.masked_fill(~real | (place < prompts[:, None]), -100)
    own = model(input_ids=ids, attention_mask=real.long(), labels=labels, use_cache=False).loss
    assert abs(own.item() - loss) < 1e-6, (own, loss)


def merged(weights, lora):
    """W + (alpha / rank) B A"""
    out = dict(weights)
    for name in weights:
        if name + ".A" in lora:
            out[name] = weights[name] + (ALPHA / RANK) * lora[name + ".B"] @ lora[name + ".A"]
    return out


def leaves(tensors, dtype):
    return {k: v.to(dtype).clone().requires_grad_() for k, v in tensors.items()}


def gradients(loss, params):
    got = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
    return {k: torch.zeros_like(p) if g is None else g for (k, p), g in zip(params.items(), got)}


def run(loss_at, params, batches):
    """STEPS of clipped AdamW; losses before each step and once after the last, gradient norms before clipping."""
    decay = [p for p in params.values() if p.ndim > 1]
    no_decay = [p for p in params.values() if p.ndim == 1]
    groups = [dict(params=decay, weight_decay=DECAY), dict(params=no_decay, weight_decay=0.0)]
    opt = torch.optim.AdamW([g for g in groups if g["params"]], foreach=False, **ADAMW)
    losses, norms = [], []
    for step in range(STEPS + 1):
        loss = loss_at(batches[step % BATCHES])
        losses.append(loss.item())
        if step == STEPS:
            break
        opt.zero_grad(set_to_none=False)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(params.values()), CLIP).item())
        opt.step()
    return losses, norms


def compute(config, state, lora, lora_zero, batches, dtype):
    """Everything at one precision: tensors by name, and scalars."""
    model = load(config, state, dtype)
    model.requires_grad_(False)
    frozen = {k: v.to(dtype) for k, v in state.items()}
    tensors, numbers = {}, {}

    def tied(params):
        return {**params, "lm_head.weight": params["model.embed_tokens.weight"]} if config.tie_word_embeddings else params

    full = leaves(state, dtype)
    loss = loss_of(model, tied(full), batches[0])
    numbers["loss"] = loss.item()
    check_loss(model, batches[0], numbers["loss"])
    tensors |= {f"grad.{k}": v for k, v in gradients(loss, full).items()}
    numbers["adamw_losses"], numbers["adamw_norms"] = run(lambda b: loss_of(model, tied(full), b), full, batches)
    tensors |= {f"final.{k}": v.detach() for k, v in full.items()}

    adapter = leaves(lora, dtype)
    loss = loss_of(model, tied(merged(frozen, adapter)), batches[0])
    numbers["lora_loss"] = loss.item()
    tensors |= {f"lora_grad.{k}": v for k, v in gradients(loss, adapter).items()}
    adapter = leaves(lora_zero, dtype)
    at = lambda b: loss_of(model, tied(merged(frozen, adapter)), b)  # noqa: E731
    numbers["lora_adamw_losses"], numbers["lora_adamw_norms"] = run(at, adapter, batches)
    tensors |= {f"lora_final.{k}": v.detach() for k, v in adapter.items()}
    assert all(v.dtype == dtype for v in tensors.values())
    return tensors, numbers


def save_adapter(folder, lora):
    """The adapter with nonzero B as PEFT lays one out."""
    folder.mkdir(exist_ok=True)
    names = {".A": ".lora_A.weight", ".B": ".lora_B.weight"}
    tensors = {f"base_model.model.{k[: -len('.weight.A')]}{names[k[-2:]]}": v.contiguous() for k, v in lora.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = dict(peft_type="LORA", task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none")
    config |= dict(target_modules=[t.split(".")[1] for t in TARGETS], use_rslora=False, fan_in_fan_out=False)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")


for seed, (name, config) in enumerate(MODELS.items()):
    folder = HERE / "training" / name
    state = random_state(config, 3000 + seed)
    save_folder(folder, config, state)
    batches = [batch(config.vocab_size, 4000 + 10 * seed + i) for i in range(BATCHES)]
    gen = torch.Generator().manual_seed(5000 + seed)
    lora = {}
    for key, w in state.items():
        if any(t in key for t in TARGETS) and key.endswith(".weight"):
            lora[key + ".A"] = torch.randn(RANK, w.shape[1], generator=gen) * w.shape[1] ** -0.5
            lora[key + ".B"] = torch.randn(w.shape[0], RANK, generator=gen) * 0.2
    lora_zero = {k: torch.zeros_like(v) if k.endswith(".B") else v for k, v in lora.items()}
    save_adapter(folder / "adapter", lora)

    t32, n32 = compute(config, state, lora, lora_zero, batches, torch.float32)
    with float64_everywhere():
        t64, n64 = compute(config, state, lora, lora_zero, batches, torch.float64)

    out = {}
    for i, (ids, lengths, prompts) in enumerate(batches):
        out |= {f"batch.{i}.ids": ids, f"batch.{i}.lengths": lengths, f"batch.{i}.prompts": prompts}
    out = {k: v.to(torch.int32) for k, v in out.items()}
    out |= {f"f64.{k}": v for k, v in t64.items()}
    out |= {f"f32.{k}": v for k, v in t32.items() if "final" not in k}
    out |= {f"lora_init.{k}": v for k, v in lora.items()}
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "golden.safetensors")

    def worst(kind):
        keys = [k for k in t64 if k.startswith(kind)]
        return max(float((t32[k].double() - t64[k]).abs().max() / t64[k].abs().max().clamp_min(1e-12)) for k in keys)

    seen = {k: worst(k) for k in ("grad.", "final.", "lora_grad.", "lora_final.")}
    for k in ("adamw_losses", "lora_adamw_losses"):
        seen[k] = max(abs(a - b) / b for a, b in zip(n32[k], n64[k]))
    settings = dict(
        **ADAMW,
        weight_decay=DECAY,
        decay_applies_to="tensors of two dimensions or more",
        clip_norm=CLIP,
        clip="g * min(1, clip_norm / (norm + 1e-6)), norm over all trained tensors",
        steps=STEPS,
        batches=BATCHES,
        lora=dict(rank=RANK, alpha=ALPHA, targets=TARGETS, weight="W + (alpha / rank) B A; A [rank, in], B [out, rank]"),
    )
    note = dict(model=name, versions=versions(), settings=settings, worst_f32_vs_f64=seen, f64=n64, f32=n32)
    (folder / "golden.json").write_text(json.dumps(note, indent=1) + "\n")
    print(name, {k: f"{v:.1e}" for k, v in seen.items()})
    print("  full", [round(x, 3) for x in n64["adamw_losses"][::4]], "norms", [round(x, 2) for x in n64["adamw_norms"][::4]])
    print("  lora", [round(x, 3) for x in n64["lora_adamw_losses"][::4]], n64["lora_loss"])
