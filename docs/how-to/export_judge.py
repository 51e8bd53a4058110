"""A local judge or classifier for crosspatch: a checkpoint of transformers as a folder of model.onnx, tokenizer.json and config.json.

    python export_judge.py embedding sentence-transformers/all-MiniLM-L6-v2 judges/minilm
    python export_judge.py pair Elron/bleurt-base-128 judges/bleurt
    npx crosspatch fidelity … --onnx-judge embedding=judges/minilm --onnx-judge pair=judges/bleurt

The checkpoint is a folder or a name on the hub. `embedding`: a sentence-transformers model (mean, or the first token's); any other model is pooled by the mean.
`pair`: a sequence classifier with one label, which reads the reference and then the completion (BLEURT's layout). `classifier`: any sequence classifier, for the
detector of that name. Needs torch, transformers and onnx; crosspatch itself needs no Python.
"""

import argparse
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import cached_file

OPSET = 17
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Embedding(torch.nn.Module):
    """[texts, tokens] → [texts, tokens, width], of which crosspatch takes the mean; or the first token's, [texts, width]"""

    def __init__(self, checkpoint):
        super().__init__()
        self.first = pooling(checkpoint) == "cls"
        self.output = "sentence_embedding" if self.first else "last_hidden_state"
        self.model = AutoModel.from_pretrained(checkpoint, attn_implementation="eager", dtype=torch.float32)

    def forward(self, *inputs):
        hidden = self.model(**dict(zip(self.names, inputs))).last_hidden_state
        return hidden[:, 0] if self.first else hidden


class Classifier(torch.nn.Module):
    """[texts, tokens] → [texts, labels]"""

    output = "logits"

    def __init__(self, checkpoint):
        super().__init__()
        self.model = AutoModelForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager", dtype=torch.float32)

    def forward(self, *inputs):
        return self.model(**dict(zip(self.names, inputs))).logits


class Pair(Classifier):
    """[texts, tokens] → [texts, 1]"""

    def __init__(self, checkpoint):
        super().__init__(checkpoint)
        if self.model.config.num_labels != 1:
            raise SystemExit(f"{checkpoint}: wanted a model with one label, which is its score; it has {self.model.config.num_labels}")


KINDS = {"embedding": Embedding, "pair": Pair, "classifier": Classifier}


def pooling(checkpoint):
    """`mean` or `cls`, as the modules of a sentence-transformers model say; others are refused."""
    modules = read_json(checkpoint, "modules.json") or []
    for module in modules:
        kind = module["type"].split(".")[-1]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise SystemExit(f"{checkpoint}: has a module {kind}, which is not exported; take a model of Transformer, Pooling and Normalize")
    path = next((m["path"] for m in modules if m["type"].endswith("Pooling")), "1_Pooling")
    modes = [k.removeprefix("pooling_mode_") for k, on in (read_json(checkpoint, f"{path}/config.json") or {}).items() if k.startswith("pooling_mode_") and on is True]
    known = {"": "mean", "mean_tokens": "mean", "cls_token": "cls"}
    if "+".join(modes) not in known:
        raise SystemExit(f"{checkpoint}: is pooled by {' + '.join(modes)}; wanted mean_tokens or cls_token")
    return known["+".join(modes)]


def read_json(checkpoint, name):
    path = Path(checkpoint) / name
    if not Path(checkpoint).is_dir():
        path = cached_file(checkpoint, name, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(path).read_text()) if path and Path(path).is_file() else None


def export(kind, checkpoint, out):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if not tokenizer.is_fast:
        raise SystemExit(f"{checkpoint}: its tokenizer has no fast form, so there is no tokenizer.json to write")
    model = KINDS[kind](checkpoint).eval()
    given = tokenizer(["A short text.", "And a somewhat longer one"], ["one", "two"], padding=True, return_tensors="pt")
    model.names = names = [name for name in INPUTS if name in given]
    axes = {name: {0: "texts", 1: "tokens"} for name in names} | {model.output: {0: "texts"}}
    if model.output == "last_hidden_state":
        axes[model.output][1] = "tokens"
    part = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        torch.onnx.export(model, tuple(given[n] for n in names), part / "model.onnx", input_names=names,
                          output_names=[model.output], dynamic_axes=axes, opset_version=OPSET, dynamo=False)  # fmt: skip
        tokenizer.save_pretrained(part)
        model.model.config.save_pretrained(part)
        os.chmod(part, 0o755)
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    print(f"{out}: {kind}, inputs {', '.join(names)}, output {model.output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("checkpoint")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if args.out.exists():
        raise SystemExit(f"{args.out}: is there already")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    with torch.no_grad():
        export(args.kind, args.checkpoint, args.out)
