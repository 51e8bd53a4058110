/** @file The three figures of a curve, on rows in memory. Those of reports are in `evaluate`. */

/** docs/concepts/method.md#figures-of-a-map: mse = Σ‖ŷ−y‖²/(d n), fvu = Σ‖ŷ−y‖²/Σ‖y−ȳ‖² with ȳ per dimension, cossim = mean of ŷ·y/(‖ŷ‖‖y‖). */
export function rowFigures(
  predicted: Float32Array,
  y: Float32Array,
  n: number,
  d: number,
): { mse: number; fvu: number; cossim: number } {
  const mean = new Float64Array(d);
  for (let p = 0; p < y.length; p++) mean[p % d] = mean[p % d] + y[p] / n;
  let error = 0;
  let spread = 0;
  let cosines = 0;
  for (let i = 0; i < n; i++) {
    let dot = 0;
    let lengthP = 0;
    let lengthY = 0;
    for (let j = 0; j < d; j++) {
      const u = predicted[i * d + j];
      const v = y[i * d + j];
      error += (u - v) ** 2;
      spread += (v - mean[j]) ** 2;
      dot += u * v;
      lengthP += u * u;
      lengthY += v * v;
    }
    cosines += dot / Math.max(Math.sqrt(lengthP * lengthY), Number.MIN_VALUE);
  }
  return { mse: error / (n * d), fvu: error / spread, cossim: cosines / n };
}
