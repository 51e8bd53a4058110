"""GSM8K of lm-evaluation-harness on `crosspatch serve`, through `local-completions`, beside `crosspatch capabilities` on the same rows and shots.

    python lm_eval_served.py BASE_URL ROWS.jsonl SHOTS.jsonl OUT MODEL=OURS.jsonl [MODEL=OURS.jsonl ...]

ROWS, SHOTS: rows of GSM8K (question, answer). OURS: what `capabilities --data gsm8k=ROWS --shots gsm8k=SHOTS --samples OURS.jsonl` wrote
for the model that is served under that name. What OUT holds already is not asked again. Needs lm-eval[api]; crosspatch itself needs no Python.
"""

import glob
import importlib.util
import json
import os
import subprocess
import sys

FILTERS = ("strict-match", "flexible-extract")


def task_file(folder, rows, shots):
    """The harness's own gsm8k, with rows from files."""
    package = os.path.dirname(importlib.util.find_spec("lm_eval").origin)
    own = os.path.join(package, "tasks", "gsm8k", "gsm8k.yaml")
    files = json.dumps({"train": os.path.abspath(shots), "test": os.path.abspath(rows)})
    with open(os.path.join(folder, "gsm8k_rows.yaml"), "w") as out:
        out.write(f"include: {own}\ntask: gsm8k_rows\ntag: null\ndataset_path: json\ndataset_name: null\ndataset_kwargs:\n  data_files: {files}\n")


def asked(base_url, model, folder):
    out = os.path.join(folder, model.replace("/", "_"))
    arguments = f"model={model},base_url={base_url}/completions,tokenizer_backend=None,num_concurrent=16,max_retries=1,timeout=3600"
    found = os.path.join(out, "**", "samples_gsm8k_rows_*.jsonl")
    if not glob.glob(found, recursive=True):
        subprocess.run(
            [sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args", arguments, "--tasks", "gsm8k_rows",
             "--include_path", folder, "--log_samples", "--output_path", out],
            check=True,
        )
    items = {}
    for path in glob.glob(found, recursive=True):
        for line in open(path):
            row = json.loads(line)
            item = items.setdefault(row["doc_id"], {"text": row["resps"][0][0]})
            item[row["filter"]] = row["exact_match"]
    return items


def main(base_url, rows, shots, folder, *models):
    os.makedirs(folder, exist_ok=True)
    task_file(folder, rows, shots)
    questions = [json.loads(line)["question"] for line in open(rows)]
    for named in models:
        model, ours_file = named.split("=", 1)
        theirs = asked(base_url, model, folder)
        ours = [json.loads(line) for line in open(ours_file)]
        assert len(ours) == len(theirs) == len(questions), (len(ours), len(theirs), len(questions))
        texts = sum(one["completion"].strip() == theirs[i]["text"].strip() for i, one in enumerate(ours))
        print(f"{model}: {len(ours)} items, completions equal {texts}")
        for name in FILTERS:
            mine = [one["scores"][name] for one in ours]
            other = [theirs[i][name] for i in range(len(ours))]
            print(f"  exact_match {name}: crosspatch {sum(mine)}, harness {sum(other)}, item by item equal {sum(a == b for a, b in zip(mine, other))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
