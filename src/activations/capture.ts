/**
 * @file Activations of one model at some hook points, streamed text by text.
 *
 * T tokens of a text, H hooks, D width of the residual stream; `hidden` is [T,H,D] float32.
 */
import { InputError, type ProgressSink, silent, throwIfAborted } from '../base/index.ts';
import {
  type Decoder,
  type FwdHook,
  type HookFn,
  HookTable,
  hookName,
  parseHookName,
  type Residual,
  reading,
} from '../models/index.ts';

type HookPoint = ReturnType<typeof parseHookName>;

/** A text as token ids; `id` is unique in a capture. */
export interface CaptureText {
  readonly id: string;
  readonly ids: readonly number[];
}

/** What one text gave. */
export interface CapturedText {
  /** Index in the list of texts. */
  readonly index: number;
  /** [T,H,D], hooks in the order asked for. */
  readonly hidden: Float32Array;
}

/** Options of {@link captureActivations}. */
export interface CaptureOptions {
  /** Names in any known spelling; one or more. */
  readonly hooks: readonly string[];
  /** Rows of a forward pass. Defaults to 32. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
  /** Name in progress events. Defaults to `capture`. */
  readonly stage?: string;
}

/** Batches whose texts are sorted by length together, so that little is padding; also what is held at once. */
const WINDOW = 4;

/** Canonical names of the hooks, checked against the model. */
export function captureHooks({ nLayers }: Pick<Decoder, 'nLayers'>, hooks: readonly string[]): string[] {
  if (hooks.length === 0)
    throw new InputError('capture: wanted at least one hook name', { id: 'hook-unknown' });
  return hooks.map((name) => hookName(parseHookName(name, nLayers)));
}

/**
 * Run the texts through the model as far as the last hook needs and yield what the hooks saw, in the order of the texts. Holds
 * four batches at a time. A text's numbers do not depend on its neighbours (the decoder is bit-equal across batch and padding).
 *
 * @throws InputError for an unknown hook, an empty text, a token outside the vocabulary, a text beyond the context
 */
export async function* captureActivations(
  decoder: Decoder,
  texts: readonly CaptureText[],
  options: CaptureOptions,
): AsyncGenerator<CapturedText, void, undefined> {
  const { batch = 32, signal, onProgress = silent, stage = 'capture' } = options;
  const points = captureHooks(decoder, options.hooks).map((name) => parseHookName(name, decoder.nLayers));
  for (const text of texts) checkText(decoder, text);
  for (let at = 0; at < texts.length; at += WINDOW * batch) {
    const window = Array.from({ length: Math.min(WINDOW * batch, texts.length - at) }, (_, i) => at + i);
    const byLength = window.toSorted(
      (a, b) => (texts[a] as CaptureText).ids.length - (texts[b] as CaptureText).ids.length || a - b,
    );
    const found = new Map<number, Float32Array>();
    for (let from = 0; from < byLength.length; from += batch) {
      throwIfAborted(signal, stage);
      const members = byLength.slice(from, from + batch);
      const rows = members.map((i) => (texts[i] as CaptureText).ids);
      const hidden = await captureBatch(decoder, rows, points, signal);
      members.forEach((i, b) => {
        found.set(i, hidden[b] as Float32Array);
      });
    }
    for (const index of window) yield { index, hidden: found.get(index) as Float32Array };
    onProgress({ stage, done: at + window.length, total: texts.length, unit: 'texts' });
  }
}

/** For every row its [T,H,D]: one forward pass, or several where the model could not hold what all rows give. */
async function captureBatch(
  decoder: Decoder,
  ids: readonly (readonly number[])[],
  points: readonly HookPoint[],
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const columns = Math.max(...ids.map((row) => row.length));
  const all = decoder.rowsHeld(
    columns,
    hooksFor(decoder, points, () => {}),
  );
  const out: Float32Array[] = [];
  for (let at = 0; at < ids.length; at += all)
    out.push(...(await captureRows(decoder, ids.slice(at, at + all), points, signal)));
  return out;
}

/** One forward pass. */
async function captureRows(
  decoder: Decoder,
  ids: readonly (readonly number[])[],
  points: readonly HookPoint[],
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const d = decoder.config.dModel;
  const out = ids.map((row) => new Float32Array(row.length * points.length * d));
  const hooks = hooksFor(decoder, points, (h, activation) => {
    const columns = activation.shape[1] as number;
    ids.forEach((row, b) => {
      for (let t = 0; t < row.length; t++) {
        const from = (b * columns + t) * d;
        (out[b] as Float32Array).set(activation.data.subarray(from, from + d), (t * points.length + h) * d);
      }
    });
  });
  const normalized = points.some((p) => p.site === 'normalized');
  const to = normalized ? decoder.nLayers : Math.max(...points.map((p) => p.layer)) + 1;
  const residual = await decoder.run(decoder.embed(ids, { hooks }), {
    to,
    hooks,
    signal,
  });
  if (normalized) await fireNormalized(decoder, residual, hooks);
  return out;
}

/** Hooks at the points that only read; `read` gets the place of the point in the list. */
function hooksFor(
  decoder: Decoder,
  points: readonly HookPoint[],
  read: (point: number, activation: Parameters<HookFn>[0]) => void,
): HookTable {
  return new HookTable(
    points.map((point, h): FwdHook => [hookName(point), reading((activation) => read(h, activation))]),
    decoder.nLayers,
  );
}

async function fireNormalized(
  decoder: Decoder,
  { tensor, counts }: Residual,
  hooks: HookTable,
): Promise<void> {
  const [b, t, d] = tensor.shape as [number, number, number];
  const rows = decoder.normalise({ ...tensor, shape: [b * t, d] });
  hooks.fire(
    { site: 'normalized', layer: -1 },
    { ...rows, shape: [b, t, d] },
    { counts, starts: counts.map(() => 0), rows: counts.map((_, i) => i), phase: 'prompt' },
  );
}

function checkText(decoder: Decoder, { id, ids }: CaptureText): void {
  const { contextLength } = decoder.config;
  if (ids.length === 0)
    throw new InputError(`capture: text ${id} has no tokens; leave it out`, { id: 'prompt-invalid' });
  if (ids.length > contextLength)
    throw new InputError(
      `capture: text ${id} has ${ids.length} tokens, the model's context holds ${contextLength}; cut it`,
      { id: 'prompt-invalid' },
    );
}
