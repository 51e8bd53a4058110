"""Chat prompts as transformers renders them: python make_chat_template_goldens.py. Reads $CROSSPATCH_TOKENIZERS/<name>/; templates under Apache-2.0 only."""

import json
import os
from importlib.metadata import version
from pathlib import Path

from transformers import AutoTokenizer

CHATS = [
    [dict(role="user", content="What is the capital of France?")],
    [dict(role="system", content="Be brief. "), dict(role="user", content="Hi <b>\n"), dict(role="assistant", content=" Hello! "), dict(role="user", content="é 👍")],
]
out = dict(versions=dict(transformers=version("transformers")), models={})
for name in ("smollm2", "qwen3"):
    tok = AutoTokenizer.from_pretrained(Path(os.environ["CROSSPATCH_TOKENIZERS"]) / name)
    cases = [dict(messages=m, prompt=g, text=tok.apply_chat_template(m, tokenize=False, add_generation_prompt=g)) for m in CHATS for g in (False, True)]
    out["models"][name] = dict(template=tok.chat_template, cases=cases)
Path(__file__).resolve().with_name("tokenizers-chat.json").write_text(json.dumps(out, indent=1) + "\n")
