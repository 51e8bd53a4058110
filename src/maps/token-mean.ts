/** @file `token-mean`: ŷ = E[y | the target's token], a lookup that never sees x: does a map do more? Tokens not met get ȳ. */
import { selectPairs } from '../activations/index.ts';
import { InputError, throwIfAborted } from '../base/index.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import type { MapBody, MapTensor } from './map.ts';

/** From `tokens` [V'] (ids, exact in float32), `means` [V',dt] and `fallback` [dt]. */
export function tokenMeanBody(tensors: Readonly<Record<string, MapTensor>>): MapBody {
  const { tokens, means, fallback } = tensors as Record<'tokens' | 'means' | 'fallback', MapTensor>;
  const d = fallback.data.length;
  const rowOf = new Map(Array.from(tokens.data, (token, i) => [token, i]));
  return {
    tensors: { tokens, means, fallback },
    parameters: means.data.length + d,
    apply: (_rows, n, context) => {
      const ids = context?.tokenIds;
      if (ids?.length !== n)
        throw new InputError(
          `map token-mean: wanted the target's token of each of ${n} rows, got ${ids?.length ?? 0}`,
          { id: 'fit-impossible' },
        );
      const out = new Float32Array(n * d);
      for (let i = 0; i < n; i++) {
        const row = rowOf.get(ids[i]);
        out.set(row === undefined ? fallback.data : means.data.subarray(row * d, (row + 1) * d), i * d);
      }
      return out;
    },
  };
}

export async function fitTokenMean(data: FitData, _settings: unknown, context: FitContext): Promise<Fitted> {
  const { dy } = data.train;
  const sums = new Map<number, { n: number; sum: Float64Array }>();
  const total = new Float64Array(dy);
  let rows = 0;
  let seconds = 0;
  for await (const block of selectPairs(data.train, { leaveOut: leftOut(context.fit) }).rows()) {
    throwIfAborted(context.signal, 'map token-mean');
    const from = performance.now();
    for (let i = 0; i < block.n; i++) {
      const token = block.targetTokens[i];
      const entry = sums.get(token) ?? { n: 0, sum: new Float64Array(dy) };
      sums.set(token, entry);
      entry.n++;
      for (let j = 0; j < dy; j++) {
        const y = block.y[i * dy + j];
        entry.sum[j] = entry.sum[j] + y;
        total[j] = total[j] + y;
      }
    }
    rows += block.n;
    seconds += (performance.now() - from) / 1000;
  }
  if (rows === 0)
    throw new InputError('map token-mean: no rows are left to fit on; capture more text', {
      id: 'fit-impossible',
    });
  const met = [...sums].sort((a, b) => a[0] - b[0]);
  const means = new Float32Array(met.length * dy);
  met.forEach(([, { n, sum }], i) => {
    for (let j = 0; j < dy; j++) means[i * dy + j] = sum[j] / n;
  });
  return {
    body: tokenMeanBody({
      tokens: { shape: [met.length], data: Float32Array.from(met, ([token]) => token) },
      means: { shape: [met.length, dy], data: means },
      fallback: { shape: [dy], data: Float32Array.from(total, (s) => s / rows) },
    }),
    rows,
    seconds,
    settings: { tokens: met.length },
  };
}
