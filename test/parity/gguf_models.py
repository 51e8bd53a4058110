"""Real checkpoints out of GGUF files by gguf-py alone: float32 weights in Hugging Face layout, and SmolLM2's tokenizer.

The two files (SmolLM2-135M-Instruct.Q4_1.gguf, gemma-3-270m.Q4_K_M.gguf) are looked for in the folder $CROSSPATCH_MODELS.
"""

import json
import os
import pathlib

import gguf
import numpy as np
import torch
from transformers import Gemma3TextConfig, LlamaConfig

FILES = {"smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma3-270m": "gemma-3-270m.Q4_K_M.gguf"}
NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NAMES_BY_ARCH = {
    "llama": {"ffn_norm": "post_attention_layernorm"},
    "gemma3": {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
}


def path(model):
    return pathlib.Path(os.environ["CROSSPATCH_MODELS"]) / FILES[model]


def hf_name(name, arch):
    parts = name.split(".")
    table = {**NAMES, **NAMES_BY_ARCH[arch]}
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{table[parts[2]]}.{parts[3]}"
    return f"{table[parts[0]]}.{parts[1]}"


def unpermute(w, heads):
    """llama.cpp stores a head's rotary pairs side by side (2j, 2j+1); Hugging Face keeps them half a head apart."""
    rows, cols = w.shape
    return w.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def read(model):
    """(config, state): a transformers config and float32 tensors."""
    reader = gguf.GGUFReader(path(model))
    meta = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("tokenizer.ggml.") or "_id" in k}
    arch = meta["general.architecture"]
    own = {k[len(arch) + 1 :]: v for k, v in meta.items() if k.startswith(arch + ".")}
    state = {}
    for t in reader.tensors:
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
        w = w.reshape([int(n) for n in reversed(t.shape)])
        kind = t.name.split(".")[2] if t.name.startswith("blk.") else t.name
        if arch == "llama" and kind in ("attn_q", "attn_k"):
            w = unpermute(w, own["attention.head_count" + ("_kv" if kind == "attn_k" else "")])
        if arch == "gemma3" and "norm" in t.name:
            w = w - np.float32(1)  # GGUF stores the factor 1 + w, transformers w
        state[hf_name(t.name, arch)] = torch.from_numpy(np.ascontiguousarray(w))
    common = dict(
        vocab_size=state["model.embed_tokens.weight"].shape[0],
        hidden_size=own["embedding_length"],
        intermediate_size=own["feed_forward_length"],
        num_hidden_layers=own["block_count"],
        num_attention_heads=own["attention.head_count"],
        num_key_value_heads=own["attention.head_count_kv"],
        max_position_embeddings=own["context_length"],
        rms_norm_eps=own["attention.layer_norm_rms_epsilon"],
        rope_theta=own["rope.freq_base"],
        tie_word_embeddings="lm_head.weight" not in state,
        bos_token_id=meta["tokenizer.ggml.bos_token_id"],
        eos_token_id=meta["tokenizer.ggml.eos_token_id"],
        pad_token_id=meta["tokenizer.ggml.padding_token_id"],
    )
    if arch == "llama":
        return LlamaConfig(**common), state
    # Not in the file: Gemma 3's local rotary base and its pattern of five windowed blocks to one full.
    return Gemma3TextConfig(
        **common,
        head_dim=own["attention.key_length"],
        query_pre_attn_scalar=own["attention.key_length"],
        sliding_window=own["attention.sliding_window"],
        rope_local_base_freq=10000.0,
        _sliding_window_pattern=6,
    ), state


def smollm2_tokenizer_json():
    """tokenizer.json for a GGUF of kind gpt2/smollm: digits one by one, then GPT-2's byte-level split and merges."""
    fields = gguf.GGUFReader(path("smollm2")).fields
    tokens, kinds, merges = (fields[f"tokenizer.ggml.{k}"].contents() for k in ("tokens", "token_type", "merges"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [
        dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        for i, t in enumerate(tokens)
        if kinds[i] == gguf.TokenType.CONTROL
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": [m.split(" ") for m in merges],
        },
    }


def smollm2_tokenizer_config():
    fields = gguf.GGUFReader(path("smollm2")).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()

    def token(role):
        return tokens[fields[f"tokenizer.ggml.{role}_token_id"].contents()]

    return {
        "add_prefix_space": False,
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "pad_token": token("padding"),
        "unk_token": token("unknown"),
        "chat_template": fields["tokenizer.chat_template"].contents(),
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def write_json(file, value):
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(file).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
