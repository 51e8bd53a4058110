"""What two real checkpoints say at real positions: python make_smollm2_goldens.py (see README.md).

Reads $CROSSPATCH_MODELS (the GGUF files), $CROSSPATCH_DATA (gsm8k-test.jsonl) and $CROSSPATCH_TOKENIZERS (<name>/tokenizer.json).
"""

import gzip
import json
import os
import pathlib
from importlib.metadata import version

import torch
from tokenizers import Tokenizer

import gguf_models
from hf import HERE, load, versions

TOKENIZERS = pathlib.Path(os.environ["CROSSPATCH_TOKENIZERS"])
QUESTIONS = [
    json.loads(line)["question"]
    for line in (pathlib.Path(os.environ["CROSSPATCH_DATA"]) / "gsm8k-test.jsonl").read_text().splitlines()
]


def top_two(logits):
    """logits [T,V] → ids of the best, the best logit, its lead over the second"""
    values, ids = logits.topk(2, dim=-1)
    return ids[:, 0].tolist(), values[:, 0].tolist(), (values[:, 0] - values[:, 1]).tolist()


def short(numbers):
    return [round(x, 5) for x in numbers]


@torch.no_grad()
def forced(model, rows):
    out = []
    for ids in rows:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        top1, best, gap = top_two(logits)
        lse = torch.logsumexp(logits, -1).tolist()
        out.append(dict(ids=ids, top1=top1, top1_logit=short(best), logsumexp=short(lse), gap=short(gap)))
    return out


@torch.no_grad()
def greedy(model, prompt, steps, stop):
    """Greedy ids after the prompt, with the lead of each choice; ends after `stop` (which is kept)."""
    ids, gaps, cache = [], [], None
    feed = torch.tensor([prompt])
    while len(ids) < steps and (not ids or ids[-1] != stop):
        out = model(feed, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        top1, _, gap = top_two(out.logits[0, -1:])
        ids += top1
        gaps += gap
        feed = torch.tensor([top1])
    return dict(prompt=prompt, completion=ids, gap=short(gaps))


def save(model, note):
    file = HERE / model / "golden.json.gz"
    file.parent.mkdir(exist_ok=True)
    # mtime 0: the same bytes every time
    file.write_bytes(gzip.compress(json.dumps(note).encode(), 9, mtime=0))
    print(file, file.stat().st_size)


def make(model, rows, greedy_prompts, steps, stop):
    config, state = gguf_models.read(model)
    net = load(config, state, torch.float32)
    positions = forced(net, rows)
    note = dict(
        model=gguf_models.FILES[model],
        versions={**versions(), "gguf": version("gguf")},
        forced=positions,
        greedy=[greedy(net, p, steps, stop) for p in greedy_prompts],
    )
    flat = [(t, g) for r in positions for t, g in zip(r["top1"], r["gap"])]
    near = sum(g < 1e-3 for _, g in flat)
    hit = sum(a == b for r, s in zip(positions, rows) for a, b in zip(r["top1"][:-1], s[1:]))
    print(model, "positions", len(flat), "gap < 1e-3:", near, "next token right:", hit)
    save(model, note)
    return note


def chat(question):
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    turns = [("system", system), ("user", question)]
    return "".join(f"<|im_start|>{who}\n{text}<|im_end|>\n" for who, text in turns) + "<|im_start|>assistant\n"


tok = Tokenizer.from_file(str(TOKENIZERS / "smollm2" / "tokenizer.json"))
note = make(
    "smollm2",
    [tok.encode(q).ids[:64] for q in QUESTIONS[:40]],
    [tok.encode(chat(q)).ids for q in QUESTIONS[100:120]],
    40,
    stop=2,
)
print(tok.decode(note["greedy"][0]["completion"]))

tok = Tokenizer.from_file(str(TOKENIZERS / "gemma3" / "tokenizer.json"))
note = make(
    "gemma3-270m",
    [[2] + tok.encode(q, add_special_tokens=False).ids[:55] for q in QUESTIONS[:11]],
    [[2] + tok.encode(q, add_special_tokens=False).ids for q in QUESTIONS[100:104]],
    24,
    stop=1,
)
print(tok.decode(note["greedy"][0]["completion"]))
