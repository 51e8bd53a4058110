/** @file Greedy choices along given tokens: how far they agree with a draft, and what comes where they part. */
import type { Tensor } from '../engine/index.ts';
import { argmaxWithGap, type Decoder } from '../models/index.ts';

/** A greedy completion: its tokens without the stop token, and what ended it. */
export interface Draft {
  readonly ids: readonly number[];
  readonly finish: 'stop' | 'length';
}

/** The difference of two logits behind `prefix` (completion tokens, taken as given): logit(up) − logit(down). */
export interface Probe {
  readonly prefix: readonly number[];
  readonly up: number;
  readonly down: number;
}

/** What to check in one row of residuals [C,D] that have passed all blocks. */
export interface Check {
  /** Column whose logits choose the first expected token. */
  readonly column: number;
  /** Tokens the greedy choice is compared with, one a column from `column` on. */
  readonly expected: readonly number[];
  /** How many choices to look at, at most `expected.length + 1`. */
  readonly steps: number;
  /** Logits wanted whatever the choices are; its step is `probe.prefix.length`. */
  readonly probe?: Probe | undefined;
}

/** What a check found. */
export interface Verdict {
  /** Expected tokens that are the greedy choice, up to the first that is not. */
  readonly accepted: number;
  /** The choice behind them; undefined when `steps` ended first. */
  readonly next: number | undefined;
  /** Smallest distance between the two best logits among the choices counted. */
  readonly gap: number;
  /** logit(up) − logit(down), when a probe was given. */
  readonly probe?: number;
}

/** Logits held at once, elements: 64 MiB. */
const LOGITS = 1 << 24;

/**
 * Check rows of a residual tensor [B,C,D] from the last block. Choices are looked at in waves of 1, 2, 4, … steps, so that a
 * row that parts early costs the head little.
 */
export async function verify(
  decoder: Decoder,
  { data, shape }: Tensor<'f32'>,
  checks: readonly Check[],
): Promise<Verdict[]> {
  const columns = shape[1] as number;
  const states = checks.map(() => ({
    accepted: 0,
    next: undefined as number | undefined,
    gap: Number.POSITIVE_INFINITY,
    probe: undefined as number | undefined,
  }));
  const longest = Math.max(0, ...checks.map((c) => (c.probe === undefined ? c.steps : Math.max(1, c.steps))));
  for (let from = 0, wave = 1; from < longest; from += wave, wave *= 2) {
    const wanted: { row: number; step: number; probing: boolean }[] = [];
    checks.forEach((check, row) => {
      const probeStep = check.probe?.prefix.length;
      if (from === 0 && probeStep !== undefined) wanted.push({ row, step: probeStep, probing: true });
      if (states[row]!.next !== undefined) return;
      for (let step = from; step < Math.min(check.steps, from + wave); step++)
        wanted.push({ row, step, probing: false });
    });
    if (wanted.length === 0) break;
    const at = wanted.map(({ row, step }) => row * columns + checks[row]!.column + step);
    let k = 0;
    for await (const logits of logitRows(decoder, data, at)) {
      const { row, step, probing } = wanted[k++]!;
      const state = states[row]!;
      const check = checks[row]!;
      if (probing) {
        state.probe = logits[check.probe!.up]! - logits[check.probe!.down]!;
        continue;
      }
      if (state.next !== undefined) continue;
      const best = argmaxWithGap(logits);
      state.gap = Math.min(state.gap, best.gap);
      if (best.index === check.expected[step]) state.accepted++;
      else state.next = best.index;
    }
  }
  return states.map(({ probe, ...rest }) => (probe === undefined ? rest : { ...rest, probe }));
}

/** The probe of every row in a plain pass over prompt + prefix. Rows of like length share a batch of at most `batch` (defaults to 32). */
export async function probeUnpatched(
  decoder: Decoder,
  rows: readonly { readonly ids: readonly number[]; readonly probe: Probe }[],
  options: { readonly batch?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<number[]> {
  const { batch = 32, signal } = options;
  const out: number[] = [];
  const order = rows.map((_, i) => i).sort((a, b) => rows[a]!.ids.length - rows[b]!.ids.length || a - b);
  for (let at = 0; at < order.length; at += batch) {
    const part = order.slice(at, at + batch).map((i) => rows[i]!);
    const embedded = decoder.embed(part.map(({ ids, probe }) => [...ids, ...probe.prefix]));
    const { tensor } = await decoder.run(embedded, signal === undefined ? {} : { signal });
    const checks = part.map(({ ids, probe }) => ({ column: ids.length - 1, expected: [], steps: 0, probe }));
    (await verify(decoder, tensor, checks)).forEach((verdict, j) => {
      out[order[at + j]!] = verdict.probe!;
    });
  }
  return out;
}

/** Logits [V] behind single columns of `data` (flat column numbers), in that order, a view that the next one overwrites. */
export async function* logitRows(
  decoder: Decoder,
  data: Float32Array,
  columns: readonly number[],
): AsyncGenerator<Float32Array, void, undefined> {
  const { dModel: d, vocabSize: v } = decoder.config;
  const most = Math.max(1, Math.floor(LOGITS / v));
  for (let at = 0; at < columns.length; at += most) {
    const part = columns.slice(at, at + most);
    const rows = new Float32Array(part.length * d);
    part.forEach((column, i) => {
      rows.set(data.subarray(column * d, (column + 1) * d), i * d);
    });
    const logits = await decoder.unembed({ dtype: 'f32', shape: [part.length, d], data: rows });
    for (let i = 0; i < part.length; i++) yield logits.data.subarray(i * v, (i + 1) * v);
  }
}

/** Whether `ids` begins with `prefix`. */
export function beginsWith(ids: readonly number[], prefix: readonly number[]): boolean {
  return prefix.length <= ids.length && prefix.every((id, i) => ids[i] === id);
}
