/** @file Greedy choices along given tokens: how far they agree with a draft, and what comes where they part. */
import { CrosspatchError } from '../../base/index.ts';
import type { Tensor } from '../../engine/index.ts';
import { choiceOf, type Decoder } from '../../models/index.ts';

/** A greedy completion: its tokens without the stop token, and what ended it. */
export interface Draft {
  readonly ids: readonly number[];
  readonly finish: 'stop' | 'length';
}

/** The difference of two logits after `prefix` (completion tokens, taken as given): logit(up) − logit(down). */
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
  /** The choice after them; undefined when `steps` ended first. */
  readonly next: number | undefined;
  /** Smallest distance between the two best logits among the choices counted. */
  readonly gap: number;
  /** logit(up) − logit(down), when a probe was given. */
  readonly probe?: number;
}

interface State {
  accepted: number;
  next: number | undefined;
  gap: number;
  probe: number | undefined;
}

/** Logits held at once, elements: 64 MiB. */
const LOGITS = 1 << 24;

/** Rows of logits that cost little more than one: below, reading the head takes the time, not multiplying by it. */
const FEW = 16;

/**
 * Check rows of a residual tensor [B,C,D] from the last block. Choices are looked at in waves of 1, 2, 4, … steps, so that a
 * row that parts early costs the head little; where few rows are left, of as many as come nearly for free.
 */
export async function verify(
  decoder: Decoder,
  residual: Tensor<'f32'>,
  checks: readonly Check[],
): Promise<Verdict[]> {
  const columns = residual.shape[1];
  const states = checks.map(
    (): State => ({ accepted: 0, next: undefined, gap: Number.POSITIVE_INFINITY, probe: undefined }),
  );
  const longest = Math.max(0, ...checks.map((c) => (c.probe === undefined ? c.steps : Math.max(1, c.steps))));
  for (let from = 0, wave = 1; from < longest; from += wave, wave *= 2) {
    const open = states.filter(({ next }, row) => next === undefined && checks[row].steps > from).length;
    wave = Math.max(wave, Math.floor(FEW / Math.max(1, open)));
    if (from === 0) await probeStates(decoder, residual, checks, states);
    const wanted: { row: number; step: number }[] = [];
    checks.forEach((check, row) => {
      if (states[row].next !== undefined) return;
      for (let step = from; step < Math.min(check.steps, from + wave); step++) wanted.push({ row, step });
    });
    if (wanted.length === 0) break;
    const at = wanted.map(({ row, step }) => row * columns + checks[row].column + step);
    let k = 0;
    for await (const choice of choices(decoder, residual.data, at)) {
      const { row, step } = wanted[k++];
      const state = states[row];
      if (state.next !== undefined) continue;
      if (Number.isNaN(choice.gap))
        throw new CrosspatchError(
          `drafts: run ${row}: no logit is a number at new token ${step + 1}; a patch or the weights hold NaN or infinity`,
          { id: 'not-a-number' },
        );
      state.gap = Math.min(state.gap, choice.gap);
      if (choice.index === checks[row].expected[step]) state.accepted++;
      else state.next = choice.index;
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
  const order = rows.map((_, i) => i).sort((a, b) => rows[a].ids.length - rows[b].ids.length || a - b);
  for (let at = 0; at < order.length; at += batch) {
    const part = order.slice(at, at + batch).map((i) => rows[i]);
    const embedded = decoder.embed(part.map(({ ids, probe }) => [...ids, ...probe.prefix]));
    const { tensor } = await decoder.run(embedded, { signal });
    const checks = part.map(({ ids, probe }) => ({ column: ids.length - 1, expected: [], steps: 0, probe }));
    (await verify(decoder, tensor, checks)).forEach((verdict, j) => {
      out[order[at + j]] = verdict.probe!;
    });
  }
  return out;
}

/** The probes of the rows that have one. */
async function probeStates(
  decoder: Decoder,
  { data, shape }: Tensor<'f32'>,
  checks: readonly Check[],
  states: readonly State[],
): Promise<void> {
  const columns = shape[1];
  const rows = checks.flatMap(({ probe }, row) => (probe === undefined ? [] : [row]));
  const at = rows.map((row) => row * columns + checks[row].column + checks[row].probe!.prefix.length);
  let k = 0;
  for await (const logits of logitRows(decoder, data, at)) {
    const row = rows[k++];
    const { up, down } = checks[row].probe!;
    states[row].probe = logits[up] - logits[down];
  }
}

/** Logits [V] after single columns of `data` (flat column numbers), in that order, a view that the next one overwrites. */
export function logitRows(
  decoder: Decoder,
  data: Float32Array,
  columns: readonly number[],
): AsyncGenerator<Float32Array, void, undefined> {
  return headRows(decoder, data, columns, (rows) => decoder.unembed(rows));
}

/** The greedy choices after single columns of `data` (flat column numbers), in that order; a choice that is none (NaN) is −1. */
export async function choicesAlong(
  decoder: Decoder,
  data: Float32Array,
  columns: readonly number[],
): Promise<number[]> {
  const out: number[] = [];
  for await (const { index, gap } of choices(decoder, data, columns))
    out.push(Number.isNaN(gap) ? -1 : index);
  return out;
}

/** The greedy choices after single columns of `data` (flat column numbers), in that order. */
async function* choices(
  decoder: Decoder,
  data: Float32Array,
  columns: readonly number[],
): AsyncGenerator<ReturnType<typeof choiceOf>, void, undefined> {
  const best = (rows: Tensor<'f32'>): Promise<Tensor<'f32'>> => decoder.best(decoder.normalise(rows));
  for await (const row of headRows(decoder, data, columns, best)) yield choiceOf(row, 0);
}

/** What `head` gives for single columns of `data`, a row each; as many go through at once as {@link LOGITS} allows. */
async function* headRows(
  decoder: Decoder,
  data: Float32Array,
  columns: readonly number[],
  head: (rows: Tensor<'f32'>) => Promise<Tensor<'f32'>>,
): AsyncGenerator<Float32Array, void, undefined> {
  const { dModel: d, vocabSize: v } = decoder.config;
  const most = Math.max(1, Math.floor(LOGITS / v));
  for (let at = 0; at < columns.length; at += most) {
    const part = columns.slice(at, at + most);
    const rows = new Float32Array(part.length * d);
    part.forEach((column, i) => {
      rows.set(data.subarray(column * d, (column + 1) * d), i * d);
    });
    const found = await head({ dtype: 'f32', shape: [part.length, d], data: rows });
    const width = found.shape[1];
    for (let i = 0; i < part.length; i++) yield found.data.subarray(i * width, (i + 1) * width);
  }
}

/** Whether `ids` begins with `prefix`. */
export function beginsWith(ids: readonly number[], prefix: readonly number[]): boolean {
  return prefix.length <= ids.length && prefix.every((id, i) => ids[i] === id);
}

/** The same tokens, ended the same way. */
export function sameDraft(a: Draft, b: Draft): boolean {
  return a.finish === b.finish && a.ids.length === b.ids.length && beginsWith(a.ids, b.ids);
}
