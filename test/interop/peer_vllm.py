"""
vLLM's own hidden states of some texts, three times: all in one batch, one at a time, all in the reverse order (docs/results/vllm.md).

    python peer_vllm.py MODEL TEXTS.jsonl DTYPE OUT        # OUT/together, OUT/alone, OUT/reversed

Needs vLLM 0.32.0; on a processor run it with this folder in PYTHONPATH. Then
`crosspatch import activations OUT/together captured --model MODEL --vllm-layers 1,8,16,24,30 --check 24 --again OUT/alone`.
"""
import json
import os
import shutil
import sys
import tempfile
import time

import torch
from safetensors.torch import save_file
from vllm.distributed.kv_transfer.kv_connector.v1.example_hidden_states_connector import (
    ExampleHiddenStatesConnector,
    extract_from_kv_cache,
)

LAYERS = [1, 8, 16, 24, 30]


class Done:
    """A copy that has ended."""

    def query(self):
        return True


class AtOnceConnector(ExampleHiddenStatesConnector):
    """Writes at once: the connector of 0.32.0 copies through pinned memory, which a machine without CUDA does not have."""

    def _submit_async_write(self, pending):
        if not self._is_tp_rank_zero:
            return
        blocks = torch.tensor(pending.block_ids, dtype=torch.long)
        slots = (torch.arange(self._block_size)[None, :] + blocks[:, None] * self._block_size).flatten()
        states = extract_from_kv_cache(self._kv_cache, slots, pending.token_ids.shape[0]).clone()
        os.makedirs(os.path.dirname(pending.filename), exist_ok=True)
        save_file({"hidden_states": states, "token_ids": pending.token_ids.clone()}, pending.filename)
        lock = self._lock_fds.pop(pending.req_id, None)
        if lock is not None:
            os.close(lock)
        self._req_copy_events[pending.req_id] = Done()


def main(model, texts_file, dtype, out):
    from vllm import LLM, SamplingParams
    from vllm.config.kv_transfer import KVTransferConfig

    with open(texts_file) as lines:
        texts = [json.loads(line)["instruction"] for line in lines][:24]
    llm = LLM(
        model=model,
        dtype=dtype,
        enforce_eager=True,
        max_model_len=1024,
        enable_prefix_caching=False,
        enable_chunked_prefill=False,
        max_num_batched_tokens=2048,
        speculative_config={
            "method": "extract_hidden_states",
            "num_speculative_tokens": 1,
            "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": LAYERS}},
        },
        kv_transfer_config=KVTransferConfig(
            kv_connector="AtOnceConnector",
            kv_connector_module_path="peer_vllm",
            kv_role="kv_producer",
            kv_connector_extra_config={"shared_storage_path": tempfile.mkdtemp()},
        ),
    )
    one = SamplingParams(max_tokens=1, temperature=0)
    for name, batches in (("together", [texts]), ("alone", [[t] for t in texts]), ("reversed", [texts[::-1]])):
        os.makedirs(f"{out}/{name}", exist_ok=True)
        answers = [answer for batch in batches for answer in llm.generate(batch, one, use_tqdm=False)]
        for k, answer in enumerate(answers):
            path = answer.kv_transfer_params["hidden_states_path"]
            # Written a step after the answer.
            for _ in range(200):
                if os.path.exists(path):
                    break
                time.sleep(0.05)
            time.sleep(0.05)
            shutil.move(path, f"{out}/{name}/text-{k:03d}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
