"""Logs of `crosspatch export samples --format inspect`, read by Inspect AI.

    python peer_inspect.py LOG_FOLDER

Needs inspect-ai; crosspatch itself needs no Python. Every log is listed, read in full and as a header, written again in both of Inspect's
formats, and its means and standard errors are computed again by Inspect's own metrics.
"""

import os
import sys
import tempfile

from inspect_ai.log import list_eval_logs, read_eval_log, write_eval_log
from inspect_ai.scorer import SampleScore, Score, mean, stderr


def arm(sample):
    name, part = sample.metadata["arm"], sample.metadata.get("part")
    return name if part is None else f"{name} {part.replace('_', ' ')}"


def largest_difference(log):
    """Between the means in the log and those of Inspect's mean() and stderr() over the samples of the same arm."""
    worst = 0.0
    for score in log.results.scores:
        scored = [s for s in log.samples if score.name in s.scores]
        assert len(scored) == score.scored_samples
        for name, metric in score.metrics.items():
            own = [s for s in scored if name == "mean" or arm(s) == name]
            values = [SampleScore(score=Score(value=float(s.scores[score.name].value))) for s in own]
            assert len(values) == metric.metadata["n"], (score.name, name)
            worst = max(worst, abs(mean()(values) - metric.value))
            if len(values) > 1:
                worst = max(worst, abs(stderr()(values) - metric.metadata["stderr"]))
    return worst


def by_id(log):
    return {s.id: s.model_dump() for s in log.samples}


def main(folder):
    listed = list_eval_logs(folder)
    total = 0
    for info in sorted(listed, key=lambda info: info.name):
        log = read_eval_log(info.name)
        header = read_eval_log(info.name, header_only=True)
        assert header.eval == log.eval and header.samples is None
        with tempfile.TemporaryDirectory() as place:
            for form in ("eval", "json"):
                path = os.path.join(place, f"again.{form}")
                write_eval_log(log, path)
                again = read_eval_log(path)
                assert by_id(again) == by_id(log)
        total += len(log.samples)
        summary = log.samples[0].summary()
        print(f"{info.task}: {log.eval.model}, {log.status}, {len(log.samples)} samples, scores "
              f"{', '.join(s.name for s in log.results.scores)}; means and errors within {largest_difference(log):.1e}; "
              f"first: {summary.id}, {summary.message_count} messages")
    print(f"{len(listed)} logs, {total} samples")


main(*sys.argv[1:])
