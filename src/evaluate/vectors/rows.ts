/**
 * @file One row per prompt and block: the mean residual stream of its positions, taken while the prompts run. N prompts, D width; rows
 * are [N,D] float32, summed in float64. Memory: a batch, and N·D numbers per block asked for.
 */
import { InputError, type ProgressSink, silent, throwIfAborted } from '../../base/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import { type Decoder, type FwdHook, HookTable, reading, residPost } from '../../models/index.ts';
import type { ReadPrompt } from './contrast.ts';

/** What the prompts gave at one block. */
export interface BlockRows {
  readonly block: number;
  /** [N,D] */
  readonly rows: Float32Array;
  /** Σ ‖h‖ over the prompts' tokens, the first of each left out, and how many they are. */
  readonly norms: { readonly sum: number; readonly tokens: number };
}

/** Options of {@link promptRows}. */
export interface RowOptions {
  /** Prompts per forward pass. Defaults to 16. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
  readonly progress?: ProgressSink;
  /** Hooks that change the run. Defaults to none. */
  readonly fwdHooks?: readonly FwdHook[];
}

/**
 * Run the prompts as far as the last of `blocks` and keep a row of each at every block, in the order given. Prompts that are one array
 * of `ids` run once.
 */
export async function promptRows(
  decoder: Decoder,
  prompts: readonly Pick<ReadPrompt, 'ids' | 'positions'>[],
  blocks: readonly number[],
  { batch = 16, signal, progress = silent, fwdHooks = [] }: RowOptions = {},
): Promise<BlockRows[]> {
  const d = decoder.config.dModel;
  checkPrompts(decoder, prompts);
  const out = blocks.map(() => new Float32Array(prompts.length * d));
  const norms = blocks.map(() => ({ sum: 0, tokens: 0 }));
  const readers = new Map<readonly number[], number[]>();
  for (const [i, { ids }] of prompts.entries()) readers.set(ids, [...(readers.get(ids) ?? []), i]);
  const order = [...readers].sort(([a], [b]) => a.length - b.length);
  for (let at = 0; at < order.length; at += batch) {
    throwIfAborted(signal, 'vector');
    const members = order.slice(at, at + batch);
    const keep = (k: number): FwdHook => [
      residPost(blocks[k]),
      reading((activation) => {
        for (const [b, [ids, own]] of members.entries()) {
          const row = (t: number): Float32Array => activation.row(b, t);
          for (const i of own) meanInto(out[k].subarray(i * d, (i + 1) * d), prompts[i].positions, row);
          for (let t = 1; t < ids.length; t++) norms[k].sum += lengthOf(row(t));
          norms[k].tokens += ids.length - 1;
        }
      }),
    ];
    const hooks = new HookTable([...fwdHooks, ...blocks.map((_, k) => keep(k))], decoder.nLayers);
    const embedded = decoder.embed(
      members.map(([ids]) => ids),
      { hooks },
    );
    await decoder.run(embedded, { to: Math.max(...blocks) + 1, hooks, signal });
    progress({ stage: 'vector', done: at + members.length, total: order.length, unit: 'prompts' });
  }
  return blocks.map((block, k) => ({ block, rows: out[k], norms: norms[k] }));
}

/** The residual stream after `block` at every token of the prompts but the first, one below the other: [tokens,D]. */
export async function tokenRows(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  block: number,
  options: { readonly batch?: number; readonly signal?: AbortSignal } = {},
): Promise<Float32Array> {
  const read = prompts.map((ids) => ({ ids, positions: ids.map((_, t) => t).slice(1) }));
  const found = await captureResiduals(decoder, read, [block], options);
  const out = new Float32Array(found.reduce((n, [rows]) => n + rows.length, 0));
  let at = 0;
  for (const [rows] of found) {
    out.set(rows, at);
    at += rows.length;
  }
  return out;
}

/** Euclidean norm, summed in float64. */
export function lengthOf(v: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < v.length; i++) squares += v[i] ** 2;
  return Math.sqrt(squares);
}

function meanInto(into: Float32Array, positions: readonly number[], row: (t: number) => Float32Array): void {
  const sum = new Float64Array(into.length);
  for (const t of positions) {
    const h = row(t);
    for (let j = 0; j < sum.length; j++) sum[j] += h[j];
  }
  for (let j = 0; j < sum.length; j++) into[j] = sum[j] / positions.length;
}

function checkPrompts(decoder: Decoder, prompts: readonly Pick<ReadPrompt, 'ids'>[]): void {
  const { contextLength } = decoder.config;
  const long = prompts.findIndex(({ ids }) => ids.length > contextLength);
  if (long >= 0)
    throw new InputError(
      `vector: prompt ${long + 1} has ${prompts[long].ids.length} tokens, the model's context holds ${contextLength}; cut it`,
      { id: 'prompt-invalid' },
    );
}
