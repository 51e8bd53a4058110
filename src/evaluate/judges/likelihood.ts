/**
 * @file Judge `likelihood` (docs/concepts/method.md#judges): how much less probable the model finds its own unpatched completion once the prompt's
 * activations are replaced. Scoring the patched text under the clean model would reward repetition; this does not.
 */
import { InputError } from '../../base/index.ts';
import { type Decoder, logSumExp, type Residual } from '../../models/index.ts';
import { logitRows } from '../drafts/verify.ts';

/** Name of the metric: nats a token, 0 = nothing lost, lower = worse. */
export const LIKELIHOOD_METRIC = 'logprob_difference';

/** A prompt and what the unpatched model made of it. */
export interface LikelihoodCase {
  readonly prompt: readonly number[];
  readonly completion: readonly number[];
  /** What takes the place of B's residual after `block` at prompt positions 1…, by arm: [T,d], row 0 unused. */
  readonly replacements: Readonly<Record<string, Float32Array>>;
}

/**
 * For every arm, and every case: mean over the completion's tokens of ln p(token | patched) − ln p(token | unpatched), teacher-forced.
 * Null where the completion is empty. All cases run as one batch; blocks up to `block` are computed once.
 */
export async function likelihoodDifferences(
  decoder: Decoder,
  block: number,
  cases: readonly LikelihoodCase[],
  signal?: AbortSignal,
): Promise<Record<string, (number | null)[]>> {
  const arms = Object.keys(cases[0]?.replacements ?? {});
  if (cases.length === 0) return {};
  const abort = { signal };
  const ids = cases.map((c) => [...c.prompt, ...c.completion]);
  const base = await decoder.run(decoder.embed(ids), { to: block + 1, ...abort });
  const plain = await meanLogprobs(decoder, await decoder.run(base, { from: block + 1, ...abort }), cases);
  const out: Record<string, (number | null)[]> = {};
  for (const arm of arms) {
    const patched = replaceRows(
      base,
      cases.map((c) => {
        const rows = c.replacements[arm];
        if (rows === undefined)
          throw new InputError(`likelihood: a case lacks the replacement ${arm}`, { id: 'internal' });
        return rows;
      }),
    );
    const means = await meanLogprobs(
      decoder,
      await decoder.run(patched, { from: block + 1, ...abort }),
      cases,
    );
    out[arm] = means.map((m, b) => (m === null ? null : m - (plain[b] as number)));
  }
  return out;
}

/** A copy of `base` in which positions 1… of row b are those of `rows[b]` [T,d], as far as it reaches. */
export function replaceRows(base: Residual, rows: readonly Float32Array[]): Residual {
  const [, columns, d] = base.tensor.shape as [number, number, number];
  const data = base.tensor.data.slice();
  rows.forEach((values, b) => {
    data.set(values.subarray(d), (b * columns + 1) * d);
  });
  return { ...base, tensor: { ...base.tensor, data } };
}

async function meanLogprobs(
  decoder: Decoder,
  residual: Residual,
  cases: readonly LikelihoodCase[],
): Promise<(number | null)[]> {
  const columns = residual.tensor.shape[1];
  const rows: number[] = [];
  const wanted: { b: number; token: number }[] = [];
  cases.forEach(({ prompt, completion }, b) => {
    completion.forEach((token, i) => {
      rows.push(b * columns + prompt.length - 1 + i);
      wanted.push({ b, token });
    });
  });
  const sums = cases.map(() => 0);
  let i = 0;
  for await (const logits of logitRows(decoder, residual.tensor.data, rows)) {
    const { b, token } = wanted[i++];
    sums[b] = sums[b] + logits[token] - logSumExp(logits);
  }
  return sums.map((sum, b) => {
    const n = cases[b].completion.length;
    return n === 0 ? null : sum / n;
  });
}
