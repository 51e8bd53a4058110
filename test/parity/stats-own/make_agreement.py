"""Goldens of agreement: Krippendorff's alpha by the package krippendorff, isotonic regression by scipy. Writes agreement.json."""
import json
from importlib.metadata import version
from pathlib import Path

import krippendorff
import numpy as np
from scipy.optimize import isotonic_regression

rng = np.random.default_rng(11)
cases = []
for raters, units, levels, noise, holes in [(2, 40, 5, 0.6, 0.0), (4, 25, 5, 1.2, 0.3), (3, 30, 3, 9.0, 0.1), (2, 12, 7, 0.2, 0.0)]:
    truth = rng.integers(1, levels + 1, units)
    table = np.clip(np.rint(truth + rng.normal(0, noise, (raters, units))), 1, levels)
    table[rng.random(table.shape) < holes] = np.nan
    alphas = {level: krippendorff.alpha(reliability_data=table, level_of_measurement=level) for level in ("nominal", "ordinal", "interval")}
    cases.append({"units": [[int(v) for v in column if not np.isnan(v)] for column in table.T], "alphas": alphas})

curves = []
for n, digits in [(30, 6), (60, 1)]:
    x = np.round(rng.random(n), digits)
    y = np.round(3 * x + rng.normal(0, 1, n), 6)
    points, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.array([y[inverse == i].mean() for i in range(len(points))])
    fitted = isotonic_regression(means, weights=counts).x
    asked = np.round(np.concatenate([rng.random(20) * 1.4 - 0.2, points[:5]]), 6)
    curves.append({"x": x.tolist(), "y": y.tolist(), "asked": asked.tolist(), "wanted": np.interp(asked, points, fitted).tolist()})

out = {"versions": {name: version(name) for name in ("krippendorff", "scipy", "numpy")}, "alpha": cases, "isotonic": curves}
Path(__file__).with_name("agreement.json").write_text(json.dumps(out) + "\n")
