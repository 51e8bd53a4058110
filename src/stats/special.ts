/**
 * @file Incomplete gamma and beta functions with both tails, good to about 1e-13 relative far into the tails.
 * Leading factors by saddle-point deviance (C. Loader, "Fast and accurate computation of binomial probabilities", 2000), which
 * keeps digits where exp(log-gamma differences) would lose them; then a power series or a continued fraction
 * (Abramowitz & Stegun 6.5.29, 6.5.31 and 26.5.8) evaluated by Lentz's method.
 */
import { CrosspatchError } from '../base/index.ts';

/** Lower and upper tail; they sum to 1 and each keeps its own relative precision. */
export interface Tails {
  readonly lower: number;
  readonly upper: number;
}

/** Regularised incomplete gamma: lower P(a, x), upper Q(a, x) for a > 0, x ≥ 0. */
export function incompleteGamma(a: number, x: number): Tails {
  if (!(a > 0) || !(x >= 0)) throw new RangeError(`incompleteGamma: wanted a > 0, x ≥ 0, got ${a}, ${x}`);
  if (x === 0) return { lower: 0, upper: 1 };
  if (x === Number.POSITIVE_INFINITY) return { lower: 1, upper: 0 };
  const density = poissonDensity(a, x); // e^-x x^a / Γ(a+1)
  if (x < a + 1) {
    let term = 1;
    let sum = 1;
    for (let k = 1; term > sum * 1e-17; k++) sum += term *= x / (a + k);
    const lower = density * sum;
    return { lower, upper: 1 - lower };
  }
  // Γ(a,x) = e^-x x^a / (x+1-a - 1(1-a)/(x+3-a - 2(2-a)/(x+5-a - …)))
  const fraction = lentz(
    x + 1 - a,
    (k) => -k * (k - a),
    (k) => x + 1 - a + 2 * k,
  );
  const upper = (density * a) / fraction;
  return { lower: 1 - upper, upper };
}

/** Regularised incomplete beta: lower I_x(a, b), upper 1 − I_x(a, b). Pass `y` = 1 − x where it is known without cancellation. */
export function incompleteBeta(a: number, b: number, x: number, y = 1 - x): Tails {
  if (!(a > 0 && b > 0 && x >= 0 && y >= 0))
    throw new RangeError(`incompleteBeta: wanted a, b > 0 and 0 ≤ x ≤ 1, got ${a}, ${b}, ${x}`);
  if (x === 0) return { lower: 0, upper: 1 };
  if (y === 0) return { lower: 1, upper: 0 };
  if (x > (a + 1) / (a + b + 2)) {
    const swapped = incompleteBeta(b, a, y, x);
    return { lower: swapped.upper, upper: swapped.lower };
  }
  // x^a y^b / (a B(a,b)) = binomial density(a; a+b, x) · b / (a+b)
  const front = (binomialDensity(a, b, x, y) * b) / (a + b);
  const fraction = lentz(
    1,
    (k) => {
      const m = k >> 1;
      return k % 2 === 0
        ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
        : -((a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    },
    () => 1,
  );
  const lower = Math.min(1, front / fraction);
  return { lower, upper: 1 - lower };
}

/** b₀ + a₁/(b₁ + a₂/(b₂ + …)) by the modified Lentz recurrence. */
function lentz(b0: number, a: (k: number) => number, b: (k: number) => number): number {
  const tiny = 1e-300;
  let value = b0 === 0 ? tiny : b0;
  let c = value;
  let d = 0;
  for (let k = 1; k <= 200_000; k++) {
    d = b(k) + a(k) * d;
    c = b(k) + a(k) / c;
    d = 1 / (d === 0 ? tiny : d);
    if (c === 0) c = tiny;
    const step = c * d;
    value *= step;
    if (Math.abs(step - 1) < 2e-16) return value;
  }
  throw new CrosspatchError('lentz: continued fraction did not converge in 200000 terms', {
    id: 'not-a-number',
  });
}

/** e^-m m^x / Γ(x+1) for real x > 0. */
function poissonDensity(x: number, m: number): number {
  return Math.exp(-stirlingError(x) - deviance(x, m)) / Math.sqrt(2 * Math.PI * x);
}

/** Γ(a+b+1)/(Γ(a+1)Γ(b+1)) p^a q^b for real a, b > 0. */
function binomialDensity(a: number, b: number, p: number, q: number): number {
  const n = a + b;
  const log =
    stirlingError(n) - stirlingError(a) - stirlingError(b) - deviance(a, n * p) - deviance(b, n * q);
  return Math.exp(log) * Math.sqrt(n / (2 * Math.PI * a * b));
}

/** ln Γ(n+1) − ln(√(2πn) (n/e)^n): Stirling's series above 15, below by the recurrence δ(n) = δ(n+1) + (n+½) ln(1+1/n) − 1. */
function stirlingError(n: number): number {
  let shift = 0;
  let x = n;
  for (; x < 15; x++) shift += (x + 0.5) * Math.log1p(1 / x) - 1;
  const r = 1 / (x * x);
  const series =
    (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - (r * 691) / 360360))))) / x;
  return shift + series;
}

/** x ln(x/m) + m − x ≥ 0, without cancellation when x ≈ m. */
function deviance(x: number, m: number): number {
  if (Math.abs(x - m) >= 0.1 * (x + m)) return x * Math.log(x / m) + m - x;
  // x ln(x/m) + m − x = (x−m) v + 2x Σ_{j≥1} v^{2j+1}/(2j+1), v = (x−m)/(x+m)
  const v = (x - m) / (x + m);
  let sum = (x - m) * v;
  let power = 2 * x * v;
  for (let j = 1; ; j++) {
    power *= v * v;
    const next = sum + power / (2 * j + 1);
    if (next === sum) return sum;
    sum = next;
  }
}
