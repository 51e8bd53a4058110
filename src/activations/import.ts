/** @file Activations of another tool into a capture of ours, after the model itself has said that the layers are those they are called. */
import { resolve } from 'node:path';
import {
  defined,
  InputError,
  type ProgressSink,
  silent,
  throwIfAborted,
  withAtomicFolder,
} from '../base/index.ts';
import { type Decoder, residAfter } from '../models/index.ts';
import { type CapturedText, captureActivations, captureHooks } from './capture.ts';
import { type CaptureDifference, type CaptureIndex, writeIndex } from './capture-index.ts';
import { Differences, differenceAgain, FARTHEST } from './differences.ts';
import { type AxisOrder, type ForeignActivations, openForeign } from './foreign.ts';
import { type CaptureIdentity, writeTexts } from './write-capture.ts';

/** Settings of {@link importActivations}. */
interface ImportOptions extends CaptureIdentity {
  /** Of the layers, in the order of the files. Defaults to what the files state. */
  readonly hooks?: readonly string[] | undefined;
  readonly order?: AxisOrder | undefined;
  /** Texts that the model reads too, to see that each layer is nearest to the hook it is called. */
  readonly check: number;
  /** The same texts captured again in other batches: what the two differ by is recorded as the noise of whoever captured them. */
  readonly again?: string | undefined;
  /** As of a capture. */
  readonly shardRows?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
}

/** Tokens of a text that are compared: causal models give the same for the beginning of a text as for the whole. */
const COMPARED = 64;

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
): Promise<{ readonly index: CaptureIndex; readonly noise: NonNullable<CaptureIndex['noise']> }> {
  const {
    check,
    again,
    signal,
    onProgress = silent,
    order,
    model,
    modelHash,
    tokenizerHash,
    shardRows,
  } = options;
  const { dModel: width, vocabSize: vocabulary, contextLength: context } = decoder.config;
  const shape = { width, vocabulary, context };
  const given = options.hooks && captureHooks(decoder, options.hooks);
  const foreign = await openForeign(folder, shape, { hooks: given, order });
  const hooks = captureHooks(decoder, foreign.hooks);
  if (again !== undefined && resolve(again) === resolve(folder))
    throw new InputError(
      `--again ${again}: is the folder itself; capture the texts twice, in other batches`,
      {
        id: 'option-conflict',
      },
    );
  const second = again === undefined ? undefined : await openForeign(again, shape, { hooks, order });
  const noise = {
    model: check === 0 ? undefined : await compare(foreign, hooks, decoder, check),
    again: second && (await differenceAgain({ ...foreign, hooks }, second, again as string)),
  };
  const { dtype, texts } = foreign;
  const of = { hooks, width, dtype, model, modelHash, tokenizerHash };
  async function* stream(): AsyncGenerator<CapturedText, void, undefined> {
    for (let i = 0; i < texts.length; i++) {
      throwIfAborted(signal, 'import');
      yield { index: i, hidden: await foreign.hidden(i) };
      onProgress({ stage: 'import', done: i + 1, total: texts.length, unit: 'texts' });
    }
  }
  const index = await withAtomicFolder(out, async (aside) => {
    const index = await writeTexts(aside, texts, of, { stream, shardRows });
    const measured = { ...index, noise: defined(noise) };
    await writeIndex(aside, measured);
    return measured;
  });
  return { index, noise };
}

/** Every layer of the first texts against every block of the model. @throws InputError when one is nearest to another hook than its own */
async function compare(
  foreign: ForeignActivations,
  hooks: readonly string[],
  decoder: Decoder,
  count: number,
): Promise<CaptureDifference> {
  const d = decoder.config.dModel;
  const blocks = Array.from({ length: decoder.nLayers + 1 }, (_, i) => residAfter(i - 1));
  const candidates = [...new Set([...hooks, ...blocks])];
  const off = hooks.map(() => candidates.map(() => new Differences()));
  let rows = 0;
  for (const [i, { id, ids }] of foreign.texts.slice(0, count).entries()) {
    const theirs = await foreign.hidden(i);
    const read = { id, ids: ids.slice(0, COMPARED) };
    for await (const { hidden } of captureActivations(decoder, [read], { hooks: candidates }))
      for (let t = read.ids.length > 1 ? 1 : 0; t < read.ids.length; t++, rows++)
        for (const [h, layers] of off.entries())
          for (const [c, layer] of layers.entries()) {
            const [from, at] = [(t * hooks.length + h) * d, (t * candidates.length + c) * d];
            layer.add(theirs, hidden, { from, at, width: d });
          }
  }
  const layers = hooks.map((hook, h) => {
    const near = off[h] as readonly Differences[];
    const far = near.map(({ overall }) => overall);
    const at = candidates.indexOf(hook);
    const own = far[at] as number;
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
    return (near[at] as Differences).result(hook);
  });
  return { texts: Math.min(count, foreign.texts.length), rows, layers };
}
