/** @file Activations of another tool into a capture of ours, after the model itself has said that the layers are those they are called. */
import { InputError, type ProgressSink, silent, throwIfAborted, withAtomicFolder } from '../base/index.ts';
import { type Decoder, residAfter } from '../models/index.ts';
import { type CapturedText, captureActivations, captureHooks } from './capture.ts';
import type { CaptureIndex } from './capture-index.ts';
import { type AxisOrder, type ForeignActivations, openForeign } from './foreign.ts';
import { type CaptureIdentity, writeTexts } from './write-capture.ts';

/** Settings of {@link importActivations}. */
interface ImportOptions extends CaptureIdentity {
  /** Of the layers, in the order of the files. Defaults to what the files state. */
  readonly hooks?: readonly string[] | undefined;
  readonly order?: AxisOrder | undefined;
  /** Texts that the model reads too, to see that each layer is nearest to the hook it is called. */
  readonly check: number;
  /** As of a capture. */
  readonly shardRows?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
}

/** How far the file's numbers at a hook are from the model's own: ‖Δ‖/‖h‖ over the tokens compared, the first left out. */
interface HookDifference {
  readonly hook: string;
  readonly difference: number;
}

/** Tokens of a text that are compared: causal models give the same for the beginning of a text as for the whole. */
const COMPARED = 64;

/** Above this no rounding or quantisation explains the difference. */
const FARTHEST = 0.5;

/**
 * Check a folder (see foreign.ts), compare its first texts with the model, and write it as a capture.
 *
 * @throws InputError for anything that is not certain: shapes, tokens, layers, numbers
 */
export async function importActivations(
  folder: string,
  out: string,
  decoder: Decoder,
  options: ImportOptions,
): Promise<{ readonly index: CaptureIndex; readonly checked: readonly HookDifference[] }> {
  const { check, signal, onProgress = silent, order, model, modelHash, tokenizerHash, shardRows } = options;
  const { dModel: width, vocabSize: vocabulary, contextLength: context } = decoder.config;
  const foreign = await openForeign(
    folder,
    { width, vocabulary, context },
    { hooks: options.hooks && captureHooks(decoder, options.hooks), order },
  );
  const hooks = captureHooks(decoder, foreign.hooks);
  const checked = await compare(foreign, hooks, decoder, check);
  const { dtype, texts } = foreign;
  const of = { hooks, width, dtype, model, modelHash, tokenizerHash };
  async function* stream(): AsyncGenerator<CapturedText, void, undefined> {
    for (let i = 0; i < texts.length; i++) {
      throwIfAborted(signal, 'import');
      yield { index: i, hidden: await foreign.hidden(i) };
      onProgress({ stage: 'import', done: i + 1, total: texts.length, unit: 'texts' });
    }
  }
  const index = await withAtomicFolder(out, (aside) => writeTexts(aside, texts, of, { stream, shardRows }));
  return { index, checked };
}

/** Every layer of the first texts against every block of the model. @throws InputError when one is nearest to another hook than its own */
async function compare(
  foreign: ForeignActivations,
  hooks: readonly string[],
  decoder: Decoder,
  count: number,
): Promise<HookDifference[]> {
  const d = decoder.config.dModel;
  const blocks = Array.from({ length: decoder.nLayers + 1 }, (_, i) => residAfter(i - 1));
  const candidates = [...new Set([...hooks, ...blocks])];
  const off = hooks.map(() => candidates.map(() => ({ squares: 0, of: 0 })));
  for (const [i, { id, ids }] of foreign.texts.slice(0, count).entries()) {
    const theirs = await foreign.hidden(i);
    const read = { id, ids: ids.slice(0, COMPARED) };
    for await (const { hidden } of captureActivations(decoder, [read], { hooks: candidates }))
      for (let t = read.ids.length > 1 ? 1 : 0; t < read.ids.length; t++)
        for (const [h, sums] of off.entries())
          for (const [c, sum] of sums.entries())
            for (let k = 0; k < d; k++) {
              const own = hidden[(t * candidates.length + c) * d + k] as number;
              sum.squares += ((theirs[(t * hooks.length + h) * d + k] as number) - own) ** 2;
              sum.of += own ** 2;
            }
  }
  if (count === 0) return [];
  return hooks.map((hook, h) => {
    const far = (off[h] ?? []).map(({ squares, of }) => Math.sqrt(squares / of));
    const own = far[candidates.indexOf(hook)] as number;
    const nearest = far.indexOf(Math.min(...far));
    const seen = `layer ${h} of the files differs by ${own.toPrecision(3)} of its length from what the model has at ${hook}`;
    if (own > (far[nearest] as number))
      throw new InputError(
        `${seen}, by ${far[nearest]?.toPrecision(3)} from ${candidates[nearest]}; name the layers as they are, or --check 0 if you know better`,
        { id: 'data-invalid' },
      );
    if (!(own <= FARTHEST))
      throw new InputError(
        `${seen}; another model or other texts were captured, or --check 0 if you know better`,
        {
          id: 'data-invalid',
        },
      );
    return { hook, difference: own };
  });
}
