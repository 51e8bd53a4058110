"""Files of `crosspatch export samples --format lm-eval`, read by lm-evaluation-harness's own functions and types.

    python peer_lm_eval.py FOLDER [REAL_SAMPLES.jsonl]

Needs lm-eval 0.4.13 or later; crosspatch itself needs no Python. Results and samples are checked against `lm_eval/result_schema.py`, means and
standard errors against `lm_eval.api.metrics`, and the table is the harness's. REAL_SAMPLES: a file the harness wrote, whose keys are compared.
"""

import glob
import json
import os
import sys

from lm_eval.api.metrics import mean, mean_stderr
from lm_eval.result_schema import EvalResults, SampleResult
from lm_eval.utils import (
    get_file_datetime,
    get_file_task_name,
    get_results_filenames,
    get_sample_results_filenames,
    make_table,
)

FIXED = set(SampleResult.__annotations__)


def main(folder, real=None):
    for model in sorted(os.listdir(folder)):
        if not os.path.isdir(os.path.join(folder, model)):
            continue
        files = sorted(glob.glob(os.path.join(glob.escape(folder), glob.escape(model), "*")))
        (results_file,) = get_results_filenames(files)
        results = json.load(open(results_file))
        unknown = set(results) - set(EvalResults.__annotations__)
        assert not unknown, unknown
        worst, rows = 0.0, 0
        for name in get_sample_results_filenames(files):
            task = get_file_task_name(os.path.basename(name))
            assert get_file_datetime(name) == get_file_datetime(results_file).removesuffix(".json")
            samples = [json.loads(line) for line in open(name)]
            rows += len(samples)
            figures = results["results"][task]
            for sample in samples:
                assert set(sample) == FIXED | set(sample["metrics"]), set(sample) ^ FIXED
            for key, value in figures.items():
                metric, _, kind = key.partition(",")
                if kind == "":
                    continue
                values = [s[metric.removesuffix("_stderr")] for s in samples
                          if s["filter"] == kind and metric.removesuffix("_stderr") in s["metrics"]]
                if metric.endswith("_stderr"):
                    assert (value == "N/A") == (len(values) < 2)
                    worst = max(worst, 0 if value == "N/A" else abs(mean_stderr(values) - value))
                else:
                    worst = max(worst, abs(mean(values) - value))
        print(f"{model}: {len(files)} files, {rows} rows, means and errors within {worst:.1e}")
        if len(results["results"]) <= 6:
            print(make_table(results))
        else:
            print(f"table of {len(make_table(results).splitlines())} lines, its first: {make_table(results).splitlines()[2]}")
        if "groups" in results:
            print(make_table(results, "groups"))
    if real is not None:
        keys = lambda path: set(json.loads(open(path).readline()))
        ours = keys(glob.glob(os.path.join(folder, "*", os.path.basename(real).rsplit("_", 1)[0] + "_*.jsonl"))[0])
        print(f"keys of a file of the harness: {'the same' if ours == keys(real) else ours ^ keys(real)}")


main(*sys.argv[1:])
