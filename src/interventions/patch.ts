/**
 * @file The fast path of experiments: activations put into the residual stream after one block, at given prompt positions, once,
 * at prefill (docs/concepts/method.md#patch). No documents, no text: token ids, positions, numbers.
 */
import { CrosspatchError, InputError, throwIfAborted } from '../base/index.ts';
import { type Decoder, type FwdHook, HookTable, reading, residAfter } from '../models/index.ts';

/** `set` puts the values in place of the activation, `add` adds them to it. */
export type PatchMode = 'set' | 'add';

/** One row's patch at `blocks.{block}.hook_resid_post`. */
export interface Patch {
  /** Block after which the residual stream is changed, 0-based. */
  readonly block: number;
  /** Prompt positions, ascending, each once. */
  readonly positions: readonly number[];
  /** [positions, D], row-major. */
  readonly values: Float32Array;
  /** Defaults to `set`. */
  readonly mode?: PatchMode;
}

/** A patch a row of a call's input; rows without one stay as they are. */
export type PatchPlan = readonly (Patch | undefined)[];

/**
 * Hooks that carry out a plan in any pass that names its rows: `generate`, `forward`, `Decoder.run`. Generated tokens are not
 * touched, since positions are the prompt's. Throws {@link InputError} for a patch that does not fit the model.
 */
export function patchHooks(plan: PatchPlan, model: Pick<Decoder, 'config' | 'nLayers'>): FwdHook[] {
  const { dModel } = model.config;
  const blocks = new Set<number>();
  plan.forEach((patch, row) => {
    if (patch === undefined) return;
    checkPatch(patch, model, `patch of row ${row}`);
    blocks.add(patch.block);
  });
  return [...blocks].map((block): FwdHook => {
    return [
      `blocks.${block}.hook_resid_post`,
      (activation, { rows, starts, counts }) => {
        const columns = activation.shape[1];
        rows.forEach((row, b) => {
          const patch = plan[row];
          if (patch === undefined || patch.block !== block) return;
          const data = activation.data.subarray(b * columns * dModel, (b + 1) * columns * dModel);
          writePatch(patch, { data, width: dModel, start: starts[b], count: counts[b] });
        });
      },
    ];
  });
}

/** Refuse a patch that does not fit. `where` begins the message. */
export function checkPatch(patch: Patch, model: Pick<Decoder, 'config' | 'nLayers'>, where: string): void {
  const { block, positions, values } = patch;
  const { dModel } = model.config;
  if (!Number.isInteger(block) || block < 0 || block >= model.nLayers)
    throw new InputError(`${where}: block ${block}; the model has blocks 0…${model.nLayers - 1}`, {
      id: 'block-unknown',
    });
  if (positions.length === 0)
    throw new InputError(`${where}: no position was given`, { id: 'intervention-invalid' });
  if (values.length !== positions.length * dModel)
    throw new InputError(
      `${where}: wanted ${positions.length} × ${dModel} numbers (positions × width), got ${values.length}`,
      { id: 'intervention-invalid' },
    );
}

/** The columns of one row that stand for its positions start…start+count−1. */
export interface RowColumns {
  /** [C,width], C ≥ count: what follows the real columns is padding. */
  readonly data: Float32Array;
  readonly width: number;
  readonly start: number;
  readonly count: number;
}

/** Apply a patch to one row. */
export function writePatch(
  { positions, values, mode = 'set' }: Omit<Patch, 'block'>,
  { data, width, start, count }: RowColumns,
): void {
  positions.forEach((position, i) => {
    const column = position - start;
    if (column < 0 || column >= count) return;
    const value = values.subarray(i * width, (i + 1) * width);
    if (mode === 'set') data.set(value, column * width);
    else for (let j = 0, at = column * width; j < width; j++, at++) data[at] += value[j];
  });
}

/** A row of {@link captureResiduals}: token ids, and the positions whose activations are wanted. */
interface CaptureRow {
  readonly ids: readonly number[];
  readonly positions: readonly number[];
}

/**
 * The residual stream after `blocks` at chosen positions: result[row][k] is [positions, D] of block `blocks[k]`; −1 is what enters
 * block 0. Blocks after the last one asked for are not run. Rows of like length share a batch of at most `batch` (defaults to 32).
 */
export async function captureResiduals(
  decoder: Decoder,
  rows: readonly CaptureRow[],
  blocks: readonly number[],
  options: { readonly batch?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<Float32Array[][]> {
  const { batch = 32, signal } = options;
  const d = decoder.config.dModel;
  const last = Math.max(...blocks);
  if (blocks.length === 0 || Math.min(...blocks) < -1 || last >= decoder.nLayers)
    throw new InputError(`capture: blocks ${blocks.join(', ')}; the model has 0…${decoder.nLayers - 1}`, {
      id: 'block-unknown',
    });
  const out: Float32Array[][] = rows.map(() => blocks.map(() => new Float32Array(0)));
  const order = rows.map((_, i) => i).sort((a, b) => rows[a].ids.length - rows[b].ids.length || a - b);
  for (let at = 0; at < order.length; at += batch) {
    throwIfAborted(signal, 'capture');
    const members = order.slice(at, at + batch);
    const hooks = new HookTable(
      blocks.map(
        (block, k): FwdHook => [
          residAfter(block),
          reading((activation) => {
            const columns = activation.shape[1];
            members.forEach((row, b) => {
              out[row][k] = gather(activation.data, rows[row], b * columns, d);
            });
          }),
        ],
      ),
      decoder.nLayers,
    );
    const embedded = decoder.embed(
      members.map((i) => rows[i].ids),
      { hooks },
    );
    await decoder.run(embedded, { to: last + 1, hooks, signal });
  }
  return out;
}

function gather(data: Float32Array, row: CaptureRow, firstColumn: number, d: number): Float32Array {
  const values = new Float32Array(row.positions.length * d);
  row.positions.forEach((position, i) => {
    if (position < 0 || position >= row.ids.length)
      throw new CrosspatchError(`capture: position ${position} of a row of ${row.ids.length} tokens`, {
        id: 'intervention-invalid',
      });
    const from = (firstColumn + position) * d;
    values.set(data.subarray(from, from + d), i * d);
  });
  return values;
}
