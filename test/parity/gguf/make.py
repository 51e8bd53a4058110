"""Goldens of the GGUF reader, made with gguf-py (0.19) and numpy (2.4), independent of this project's reader.

    pip install gguf numpy
    python test/parity/gguf/make.py

Writes beside this file:
  blocks.json.gz       for each tensor type: random blocks (base64) and their float32 values by gguf.quants.dequantize
  tiny-llama.gguf      a two-layer Llama of mixed types, q and k rows permuted as llama.cpp's converter does
  tiny-gemma3.gguf     a two-layer Gemma 3 with norms stored as 1 + w
  tiny.json.gz         for each: the tensors by Hugging Face name, as float32 (base64)
"""
import base64
import gzip
import json
import math
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

HERE = Path(__file__).parent
rng = np.random.default_rng(20261122)


def b64(a):
    return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()


def save(name, value):
    # mtime=0: the same goldens give the same bytes
    (HERE / name).write_bytes(gzip.compress(json.dumps(value, sort_keys=True).encode(), 9, mtime=0))


# Where the binary16 scales lie in a block: they must be finite, the rest may be any byte.
SCALES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def random_blocks(kind, n):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = (rng.standard_normal(n) * 10.0 ** rng.uniform(-7, 1, n)).astype(np.float16)
        scale[0] = 0
        raw[:, at:at + 2] = scale.view(np.uint8).reshape(n, 2)
    return raw


blocks = {}
for kind in SCALES:
    raw = random_blocks(kind, 8 if gguf.GGML_QUANT_SIZES[kind][0] == 256 else 32)
    blocks[kind.name] = {"bytes": b64(raw), "values": b64(dequantize(raw, kind).astype(np.float32))}
halves = np.concatenate([np.arange(0, 0x7C00, 37), np.arange(0x8000, 0xFC00, 41)]).astype(np.uint16)
blocks["F16"] = {"bytes": b64(halves), "values": b64(halves.view(np.float16).astype(np.float32))}
blocks["BF16"] = {"bytes": b64(halves), "values": b64((halves.astype(np.uint32) << 16).view(np.float32))}
singles = rng.standard_normal(64).astype(np.float32)
blocks["F32"] = {"bytes": b64(singles), "values": b64(singles)}
save("blocks.json.gz", blocks)

expected = {}


def permute(w, heads):
    """convert_hf_to_gguf.py, LlamaModel.permute."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write(arch, file, D, F, H, HK, HD, V, L, names, kinds, metadata, norm_shift=0.0, permuted=False, extra=()):
    out = gguf.GGUFWriter(str(HERE / file), arch)
    out.add_context_length(128)
    out.add_embedding_length(D)
    out.add_block_count(L)
    out.add_feed_forward_length(F)
    out.add_head_count(H)
    out.add_head_count_kv(HK)
    out.add_key_length(HD)
    out.add_value_length(HD)
    out.add_layer_norm_rms_eps(1e-5)
    metadata(out)
    out.add_tokenizer_model("gpt2")
    out.add_token_list([f"t{i}" for i in range(V)])
    out.add_token_types([1] * V)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    held = {}

    def put(gguf_name, hf_name, shape, kind, heads=None):
        w = rng.standard_normal(shape).astype(np.float32)
        if norm_shift and hf_name.endswith("norm.weight"):
            # few bits, so that 1 + w is exact in float32 and w comes back whole
            w = np.round(w * 256).astype(np.float32) / 256
        stored = permute(w, heads) if permuted and heads else w
        if norm_shift and hf_name.endswith("norm.weight"):
            stored = stored + np.float32(norm_shift)
        raw = quantize(stored, kind)
        out.add_tensor(gguf_name, raw, raw_dtype=kind)
        back = dequantize(raw, kind).astype(np.float32).reshape(shape)
        if permuted and heads:
            rows = permute(np.arange(shape[0]), heads)  # stored row i is row rows[i]
            unmoved = np.empty_like(back)
            unmoved[rows] = back
            back = unmoved
        held[hf_name] = {"shape": list(shape), "values": b64(back - np.float32(norm_shift) if norm_shift and hf_name.endswith("norm.weight") else back)}

    put("token_embd.weight", "model.embed_tokens.weight", (V, D), kinds[0])
    put("output_norm.weight", "model.norm.weight", (D,), T.F32)
    if "output" in names:
        put("output.weight", "lm_head.weight", (V, D), kinds[1])
    for i in range(L):
        kind = kinds[i % len(kinds)]
        g, h = f"blk.{i}.", f"model.layers.{i}."
        put(g + "attn_q.weight", h + "self_attn.q_proj.weight", (H * HD, D), kind, H)
        put(g + "attn_k.weight", h + "self_attn.k_proj.weight", (HK * HD, D), kind, HK)
        put(g + "attn_v.weight", h + "self_attn.v_proj.weight", (HK * HD, D), kind)
        put(g + "attn_output.weight", h + "self_attn.o_proj.weight", (D, H * HD), kind)
        for n, (rows, cols) in {"gate": (F, D), "up": (F, D), "down": (D, F)}.items():
            put(g + f"ffn_{n}.weight", h + f"mlp.{n}_proj.weight", (rows, cols), kind)
        for n, hf in names["norms"].items():
            put(g + n + ".weight", h + hf + ".weight", (HD,) if "_q_" in n or "_k_" in n else (D,), T.F32)
    for name, value in extra:
        out.add_tensor(name, value)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    expected[file] = held


def llama_meta(out):
    out.add_rope_dimension_count(8)
    out.add_rope_freq_base(500000.0)
    out.add_vocab_size(40)


# Llama 3.2's rope factors, by the converter's own loop (theta 500000, head size 8, factor 32)
factors = []
for i in range(4):
    wavelength = 2 * math.pi * 500000.0 ** (2 * i / 8)
    if wavelength < 8192 / 4:
        factors.append(1.0)
    elif wavelength > 8192 / 1:
        factors.append(32.0)
    else:
        smooth = (8192 / wavelength - 1) / (4 - 1)
        factors.append(1 / ((1 - smooth) / 32 + smooth))

write("llama", "tiny-llama.gguf", 32, 32, 4, 2, 8, 40, 4, {"output": 1, "norms": {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}},
      [T.Q8_0, T.F16, T.Q4_0, T.BF16], llama_meta, permuted=True, extra=[("rope_freqs.weight", np.array(factors, dtype=np.float32))])


def gemma_meta(out):
    out.add_rope_freq_base(1000000.0)
    out.add_sliding_window(16)


write("gemma3", "tiny-gemma3.gguf", 32, 32, 2, 1, 16, 40, 7,
      {"norms": {"attn_norm": "input_layernorm", "ffn_norm": "pre_feedforward_layernorm",
                 "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
                 "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}},
      [T.Q5_1, T.Q4_1, T.Q5_0], gemma_meta, norm_shift=1.0)
save("tiny.json.gz", expected)
