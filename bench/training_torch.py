"""PyTorch on the processor: a training step of 8 x 64 tokens, in full and by LoRA (rank 16, seven matrices), float32, loss on every token, AdamW, gradients
clipped. The batch of `crosspatch bench --only training`. Prints JSON. Usage: training_torch.py MODEL_FOLDER [TURNS]; needs torch, transformers and peft."""
import json
import os
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

ROWS, TOKENS = 8, 64
TURNS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
torch.set_num_threads(os.cpu_count())
torch.manual_seed(0)


def load():
    return AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).train()


def measure(model):
    """Seconds of a step, the median of TURNS after one that warms up; processor seconds of the same."""
    ids = torch.randint(model.config.vocab_size, (ROWS, TOKENS))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)
    wall, processor = [], []
    for turn in range(TURNS + 1):
        started, used = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if turn > 0:
            wall.append(time.perf_counter() - started)
            processor.append(time.process_time() - used)
    middle = TURNS // 2
    return {"seconds": sorted(wall)[middle], "processor_seconds": sorted(processor)[middle], "tokens_per_second": ROWS * TOKENS / sorted(wall)[middle]}


full = measure(load())
lora = measure(get_peft_model(load(), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")))
print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "full": full, "lora": lora}, indent=2))
