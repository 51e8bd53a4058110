/** @file Span activations of two models over the same prompts, and their mapped counterparts (docs/concepts/method.md#paired-activations, #transfer). */
import { InputError } from '../../base/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import { alignTokens, type LanguageModel } from '../../models/index.ts';
import {
  alignRows,
  type ContrastCase,
  type StatePrompt,
  spanPositions,
  type TaggedState,
} from '../subject/cases.ts';

/**
 * A map's arithmetic: rows [n, d_source] → [n, d_target]; `tokens` are the target's token ids of these rows (for lookups). An
 * `ActivationMap` m fits as `(rows, tokens) => m.apply(rows, tokens.length, { tokenIds: tokens })`.
 */
export type MapFn = (rows: Float32Array, tokens: Int32Array) => Float32Array | Promise<Float32Array>;

/** Span activations by state: one [n,D] a case. */
export type StateSpans = Readonly<Record<TaggedState, readonly Float32Array[]>>;

/** The three states with a tag. */
export const TAGGED = ['bad', 'safe', 'other'] as const satisfies readonly TaggedState[];

/** A model and the block whose output is read or written. */
export interface BlockOf {
  readonly model: LanguageModel;
  readonly block: number;
}

/** Activations of `target` after its block at its own spans. */
export async function targetSpans(
  { model, block }: BlockOf,
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<StateSpans> {
  return byState(async (state) => {
    const rows = cases.map((c) => ({ ids: c[state].ids, positions: spanPositions(c, state) }));
    return (await captureResiduals(model.decoder, rows, [block], { signal })).map((r) => r[0]!);
  });
}

/**
 * Activations of `source` where the target's spans lie. Same tokens: by index; else at the last source token that ends at or before
 * the target's (docs/concepts/method.md#paired-activations: never later).
 */
export async function sourceSpans(
  { model, block }: BlockOf,
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<StateSpans> {
  return byState(async (state) => {
    const rows = cases.map((c) => sourceRow(model, c[state], spanPositions(c, state)));
    return (await captureResiduals(model.decoder, rows, [block], { signal })).map((r) => r[0]!);
  });
}

/** The source's tokens of a prompt, and its positions that stand for the target's. */
export function sourceRow(
  model: LanguageModel,
  prompt: StatePrompt,
  positions: readonly number[],
): { ids: readonly number[]; positions: readonly number[] } {
  const own = model.tokenizer.encode(prompt.prompt, { addSpecialTokens: 'auto' });
  if (own.ids.length === prompt.ids.length && own.ids.every((id, i) => id === prompt.ids[i]))
    return { ids: own.ids, positions };
  const { sourceOf } = alignTokens(own, { offsets: prompt.offsets });
  return {
    ids: own.ids,
    positions: positions.map((p) => {
      const at = sourceOf[p]!;
      if (at < 0)
        throw new InputError(
          `transfer: no source token ends at or before target position ${p} of ${JSON.stringify(prompt.prompt.slice(0, 60))}…`,
        );
      return at;
    }),
  };
}

/** All spans through a map, a state at a time. */
export async function mapSpans(
  fn: MapFn,
  spans: StateSpans,
  cases: readonly ContrastCase[],
  widths: { readonly source: number; readonly target: number },
): Promise<StateSpans> {
  return byState(async (state) => {
    const tokens = cases.map((c) => spanPositions(c, state).map((p) => c[state].ids[p]!));
    return mapRows(fn, spans[state], tokens, widths);
  });
}

/** Many rows of rows through a map in one call. */
export async function mapRows(
  fn: MapFn,
  rows: readonly Float32Array[],
  tokens: readonly (readonly number[])[],
  widths: { readonly source: number; readonly target: number },
): Promise<Float32Array[]> {
  const all = new Float32Array(rows.reduce((n, r) => n + r.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  const ids = Int32Array.from(tokens.flat());
  const mapped = await fn(all, ids);
  if (mapped.length !== ids.length * widths.target)
    throw new InputError(
      `transfer: the map gave ${mapped.length} numbers for ${ids.length} rows, the target is ${widths.target} wide`,
    );
  let from = 0;
  return rows.map((row) => {
    const n = (row.length / widths.source) * widths.target;
    from += n;
    return mapped.slice(from - n, from);
  });
}

/** Mean over spans at every distance from the span's end, for spans of n tokens: one static vector a position, [n,D]. */
export function meanSpan(spans: readonly Float32Array[], n: number, width: number): Float32Array {
  const sums = new Float64Array(n * width);
  for (const span of spans) {
    const aligned = alignRows(span, n, width);
    for (let i = 0; i < sums.length; i++) sums[i]! += aligned[i]!;
  }
  return Float32Array.from(sums, (x) => x / spans.length);
}

async function byState(read: (state: TaggedState) => Promise<Float32Array[]>): Promise<StateSpans> {
  const out = {} as Record<TaggedState, Float32Array[]>;
  for (const state of TAGGED) out[state] = await read(state);
  return out;
}
