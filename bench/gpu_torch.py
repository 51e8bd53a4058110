"""PyTorch on the card: prefill 16 x 64, decoding at batch 1 and 16, all blocks captured, a LoRA step; float32. Prints JSON. Usage: gpu_torch.py MODEL_FOLDER"""
import json
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

ROWS, TOKENS, NEW, TURNS = 16, 64, 48, 5
torch.backends.cuda.matmul.allow_tf32 = False
device = "cuda" if torch.cuda.is_available() else "cpu"
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], torch_dtype=torch.float32).to(device).eval()
torch.manual_seed(0)
ids = torch.randint(model.config.vocab_size, (ROWS, TOKENS), device=device)


def seconds(task):
    """Median of TURNS, after one that warms up."""
    taken = []
    for turn in range(TURNS + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        task()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn > 0:
            taken.append(time.perf_counter() - started)
    return sorted(taken)[TURNS // 2]


@torch.no_grad()
def prefill(capture=False):
    return model(ids, logits_to_keep=1, output_hidden_states=capture)


@torch.no_grad()
def decode(rows):
    return model.generate(ids[:rows], max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False)


figures = {
    "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
    "torch": torch.__version__,
    "prefill_tokens_per_second": ROWS * TOKENS / seconds(prefill),
    "capture_tokens_per_second": ROWS * TOKENS / seconds(lambda: prefill(capture=True)),
    "decode_1_tokens_per_second": NEW / seconds(lambda: decode(1)),
    "decode_16_tokens_per_second": ROWS * NEW / seconds(lambda: decode(ROWS)),
}
tuned = get_peft_model(model.train(), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
optimizer = torch.optim.AdamW(tuned.parameters(), lr=1e-4)


def step():
    optimizer.zero_grad()
    tuned(ids, labels=ids).loss.backward()
    optimizer.step()


figures["lora_step_seconds"] = seconds(step)
print(json.dumps(figures, indent=2))
