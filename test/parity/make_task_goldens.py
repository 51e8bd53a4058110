"""What lm-evaluation-harness asks and scores on the rows of tasks/*.jsonl: python make_task_goldens.py [model …] (see README.md).

Per model and case: the request strings (context, continuations), log-likelihoods, generated texts and scores of every item.
$CROSSPATCH_SMOLLM2_HF names a Hugging Face folder of SmolLM2-135M-Instruct in float32 (`crosspatch models convert`).
"""

import gzip
import json
import os
import pathlib
import random
import sys
import tempfile
from importlib.metadata import version

import lm_eval
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lm_eval.api.metrics import exact_match_fn
from lm_eval.api.task import ConfigurableTask
from lm_eval.filters.extraction import RegexFilter
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent
ROWS = HERE / "tasks"
TINY = HERE.parent.parent / "assets" / "tiny"
SPLITS = dict(
    gsm8k=("test", "train"),
    arc_easy=("test", "train"),
    arc_challenge=("test", "train"),
    mmlu=("test", "dev"),
    hellaswag=("validation", "train"),
)


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


INDEX = TaskManager().task_index


def config_of(name):
    """The harness's own settings of a task, its data aside."""
    return dict(load_yaml(INDEX[name].yaml_path))


def task_of(name, rows, shots, folder):
    """A task of the harness over rows of our own."""
    config = config_of(name)
    test, few = SPLITS["mmlu" if name.startswith("mmlu_") else name]
    files = {}
    for split, part in ((test, rows), (few, shots)):
        if part:
            files[split] = str(folder / f"{name}.{split}.jsonl")
            pathlib.Path(files[split]).write_text("".join(json.dumps(r) + "\n" for r in part), encoding="utf-8")
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs=dict(data_files=files))
    # splits that are not there
    for key in ("training_split", "validation_split", "fewshot_split", "test_split"):
        if config.get(key) is not None and config[key] not in files:
            config[key] = None
    return ConfigurableTask(config=config)


def run(model, name, k, limit=None):
    """Items in the order of the file: doc, context, continuations or text, scores."""
    rows = rows_of(ROWS / f"{name}.jsonl")
    shots_file = ROWS / f"{name}.shots.jsonl"
    shots = rows_of(shots_file) if shots_file.exists() else []
    groups = {"": (rows, shots)}
    if name == "mmlu":
        groups = {
            s: ([r for r in rows if r["subject"] == s], [r for r in shots if r["subject"] == s])
            for s in dict.fromkeys(r["subject"] for r in rows)
        }
    items = []
    with tempfile.TemporaryDirectory() as folder:
        for subject, (part, few) in groups.items():
            task = task_of(f"{name}_{subject}" if subject else name, part, few, pathlib.Path(folder))
            found = lm_eval.simple_evaluate(
                model=model, tasks=[task], num_fewshot=k, limit=limit, log_samples=True, bootstrap_iters=0, verbosity="ERROR"
            )
            (samples,) = found["samples"].values()
            items += [item_of(subject, sample) for sample in samples]
    return dict(task=name, num_fewshot=k, limit=limit, items=merged(items))


def item_of(subject, sample):
    arguments = sample["arguments"]
    arguments = list(arguments.values()) if isinstance(arguments, dict) else arguments
    arguments = [list(a.values()) if isinstance(a, dict) else list(a) for a in arguments]
    item = dict(subject=subject, doc=sample["doc_id"], context=arguments[0][0])
    if "acc" in sample:
        item["continuations"] = [a[1] for a in arguments]
        item["logprobs"] = [round(float(r[0]), 6) for r in sample["filtered_resps"]]
        item["gold"] = int(sample["target"])
        item["scores"] = {m: sample[m] for m in ("acc", "acc_norm") if m in sample}
    else:
        item["text"] = sample["resps"][0][0]
        item["extracted"] = {sample["filter"]: sample["filtered_resps"][0]}
        item["scores"] = {sample["filter"]: sample["exact_match"]}
    return item


def merged(items):
    """A row per filter in the harness, one per document here."""
    out = {}
    for item in items:
        key = (item["subject"], item["doc"])
        if key not in out:
            out[key] = item
        else:
            out[key]["extracted"].update(item["extracted"])
            out[key]["scores"].update(item["scores"])
    return [out[k] for k in out]


COMPLETIONS = [
    (" 3 + 2 = <<3+2=5>>5 apples.\n#### 5", "x\n#### 5"),
    (" The answer is $1,234.50.", "y\n#### 1234.50"),
    (" #### 1,000", "z\n#### 1,000"),
    (" #### 12.", "z\n#### 12"),
    (" #### -7 degrees", "z\n#### -7"),
    (" first #### 3 then #### 4", "z\n#### 3"),
    (" first #### 3 then #### 4", "z\n#### 4"),
    ("", "z\n#### 4"),
    (" no number at all", "z\n#### 4"),
    (" #### four", "z\n#### 4"),
    (" so 4 and then -5", "z\n#### -5"),
    (" so it is 5...", "z\n#### 5"),
    (" costs $.", "z\n#### 5"),
    (" a,b . , .. 9", "z\n#### 9"),
    (" #### $18", "z\n#### 18"),
    ("####18", "z\n#### 18"),
    (" #### ٣", "z\n#### 3"),
    (" 7%", "z\n#### 7"),
    (" 1.5e3", "z\n#### 3"),
    (" ####  5", "z\n#### 5"),
]


def extraction():
    """The two filters and exact_match of gsm8k on completions of our own."""
    config = config_of("gsm8k")
    (metric,) = config["metric_list"]
    kwargs = {k: v for k, v in metric.items() if k not in ("metric", "aggregation", "higher_is_better")}
    out = []
    for text, answer in COMPLETIONS:
        item = dict(text=text, answer=answer)
        for entry in config["filter_list"]:
            first = {k: v for k, v in entry["filter"][0].items() if k != "function"}
            found = RegexFilter(**first).apply([[text]], [{}])
            (found,) = list(found)[0]
            score = exact_match_fn(references=[answer], predictions=[found], **kwargs)["exact_match"]
            item[entry["name"]] = dict(extracted=found, score=float(score))
        out.append(item)
    return out


def draws():
    """random.Random(1234).sample over ranges, one after another: how few-shot rows are drawn."""
    out = []
    for n, k in ((5, 5), (12, 2), (21, 5), (22, 5), (24, 3), (30, 5), (100, 8), (1000, 25), (40000, 10)):
        rng = random.Random(1234)
        out.append(dict(n=n, k=k, draws=[rng.sample(range(n), k) for _ in range(4)]))
    return out


def parquet():
    """Some of the rows as the hub's data sets hold them: columns of struct, list and int64, in its folders and file names."""
    for name, folder, split in (
        ("arc_easy", "ARC-Easy", "test"),
        ("arc_easy.shots", "ARC-Easy", "train"),
        ("mmlu", "all", "test"),
        ("hellaswag", "data", "validation"),
        ("gsm8k", "main", "test"),
    ):
        rows = rows_of(ROWS / f"{name}.jsonl")
        # two shards where there are shots
        parts = [rows[:30], rows[30:]] if name == "arc_easy" else [rows]
        for i, part in enumerate(parts):
            file = ROWS / "hub" / folder / f"{split}-{i:05d}-of-{len(parts):05d}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(part), file, compression="snappy")


def save(name, note):
    file = ROWS / f"{name}.json.gz"
    # mtime 0: the same bytes every time
    file.write_bytes(gzip.compress(json.dumps(note).encode(), 9, mtime=0))
    print(file, file.stat().st_size)


def make(name, path, cases):
    model = HFLM(pretrained=str(path), dtype="float32", device="cpu", batch_size=1)
    note = dict(model=name, versions={p: version(p) for p in ("lm_eval", "transformers", "torch", "datasets")})
    note["cases"] = [run(model, *case) for case in cases]
    for case in note["cases"]:
        scores = [i["scores"] for i in case["items"]]
        print(name, case["task"], case["num_fewshot"], len(scores), {m: sum(s[m] for s in scores) for m in scores[0]})
    save(name, note)


CASES = {
    "tiny-qwen": [
        ("arc_easy", 0),
        ("arc_easy", 3),
        ("arc_challenge", 0),
        ("mmlu", 0),
        ("mmlu", 2),
        ("hellaswag", 0),
        ("hellaswag", 2),
        ("gsm8k", 0),
        ("gsm8k", 5),
    ],
    "tiny-llama-s": [("arc_easy", 0), ("gsm8k", 1)],
    "smollm2": [("arc_easy", 0), ("mmlu", 2), ("hellaswag", 0), ("gsm8k", 5, 12)],
}

if __name__ == "__main__":
    parquet()
    save("gsm8k-answers", dict(versions=dict(lm_eval=version("lm_eval")), extraction=extraction(), draws=draws()))
    for name in sys.argv[1:] or CASES:
        folder = os.environ["CROSSPATCH_SMOLLM2_HF"] if name == "smollm2" else TINY / name
        make(name, folder, CASES[name])
