"""A second, independent answer: the decoder families in plain numpy float64, one prompt at a time, loops over heads.

Written from the models' papers and config meanings, without transformers' code paths. Legend: T positions, D hidden, H heads, K head size.
"""

import math

import numpy as np


def rms_norm(x, w, eps, one_plus):
    """x [.., D], w [D]"""
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return y * (1.0 + w if one_plus else w)


def rotary_frequencies(size, base, scaling):
    """[K/2] radians a position"""
    freq = np.array([base ** (-2.0 * j / size) for j in range(size // 2)])
    kind = (scaling or {}).get("rope_type", "default")
    if kind == "default":
        return freq
    if kind == "linear":
        return freq / scaling["factor"]
    assert kind == "llama3", kind
    context, lo, hi = (scaling[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
    out = []
    for f in freq:
        turns = context * f / (2 * math.pi)  # full turns within the original context
        share = min(1.0, max(0.0, (turns - lo) / (hi - lo)))  # 1 keeps the frequency, 0 divides it by the factor
        out.append(share * f + (1 - share) * f / scaling["factor"])
    return np.array(out)


def rotate(x, freq):
    """x [T, K], first half paired with second half"""
    half = x.shape[1] // 2
    angle = np.arange(x.shape[0])[:, None] * freq[None, :]
    a, b = x[:, :half], x[:, half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], 1)


def activation(kind, x):
    if kind in ("silu", "swish"):
        return x / (1.0 + np.exp(-x))
    assert kind == "gelu_pytorch_tanh", kind
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def forward(c, w, ids):
    """c config.json as a dict, w name → float64 array, ids list. Returns the names of run_with_states, each [T, ·]."""
    gemma = c["model_type"].startswith("gemma")
    d, heads, kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    size = c.get("head_dim") or d // heads
    eps = c["rms_norm_eps"]
    scale = (c["query_pre_attn_scalar"] if gemma else size) ** -0.5
    act = c.get("hidden_activation") or c.get("hidden_act")
    steps = len(ids)
    out = {}

    def norm(x, name):
        return rms_norm(x, w[name + ".weight"], eps, gemma)

    def linear(x, name):
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    x = w["model.embed_tokens.weight"][ids]  # [T,D]
    if gemma:
        x = x * math.sqrt(d)
    out["embed"] = x
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        window, base, scaling = None, c["rope_theta"], c.get("rope_scaling")
        if gemma:
            local = c["layer_types"][i] == "sliding_attention"
            window = c["sliding_window"] if local else None
            if c["model_type"] == "gemma3_text" and local:
                base, scaling = c["rope_local_base_freq"], None
        elif c["model_type"] == "mistral":
            window = c.get("sliding_window")
        freq = rotary_frequencies(size, base, scaling)

        h = norm(x, p + "input_layernorm")
        q, k, v = (linear(h, p + f"self_attn.{n}_proj") for n in "qkv")
        mixed = np.zeros((steps, heads * size))
        for head in range(heads):
            group = head // (heads // kv_heads)
            qh, kh, vh = q[:, head * size :][:, :size], k[:, group * size :][:, :size], v[:, group * size :][:, :size]
            if p + "self_attn.q_norm.weight" in w:
                qh, kh = norm(qh, p + "self_attn.q_norm"), norm(kh, p + "self_attn.k_norm")
            qh, kh = rotate(qh, freq), rotate(kh, freq)
            for t in range(steps):
                first = 0 if window is None else max(0, t - window + 1)
                s = kh[first : t + 1] @ qh[t] * scale
                if c.get("attn_logit_softcapping"):
                    s = np.tanh(s / c["attn_logit_softcapping"]) * c["attn_logit_softcapping"]
                e = np.exp(s - s.max())
                mixed[t, head * size : (head + 1) * size] = (e / e.sum()) @ vh[first : t + 1]
        y = linear(mixed, p + "self_attn.o_proj")
        x = x + (norm(y, p + "post_attention_layernorm") if gemma else y)
        out[f"resid_mid.{i}"] = x
        h = norm(x, p + ("pre_feedforward_layernorm" if gemma else "post_attention_layernorm"))
        y = linear(activation(act, linear(h, p + "mlp.gate_proj")) * linear(h, p + "mlp.up_proj"), p + "mlp.down_proj")
        x = x + (norm(y, p + "post_feedforward_layernorm") if gemma else y)
        out[f"resid_post.{i}"] = x
    out["ln_final"] = norm(x, "model.norm")
    out["logits"] = out["ln_final"] @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T
    if c.get("final_logit_softcapping"):
        out["logits"] = np.tanh(out["logits"] / c["final_logit_softcapping"]) * c["final_logit_softcapping"]
    return out
