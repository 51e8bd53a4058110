/** @file Stage `transfer-spans`: what the parts of a transfer share: both models' activations at the spans, and α of every map. */
import { join } from 'node:path';
import {
  labelledPrompts,
  type PreparedTransfer,
  prepareMaps,
  spansFrom,
  spanTensors,
  type TransferInput,
} from '../../evaluate/index.ts';
import { readSafetensors, readTensorFloat32, writeSafetensors } from '../../models/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, type StageInput } from '../stage.ts';
import { detectorOf } from './runs.ts';
import {
  carriedInputs,
  sourcesOf,
  steeredOf,
  type TransferStageParams,
  transferParams,
  transferRng,
  validationOf,
} from './transfer-setup.ts';

const SPANS = 'spans.safetensors';

export type TransferSpansOutput = Pick<PreparedTransfer, 'alphas' | 'notes'>;

export const transferSpansStage = defineStage({
  name: 'transfer-spans',
  version: '1',
  module: import.meta.url,
  child: true,
  params: transferParams,
  inputs: carriedInputs,
  estimate: ({ transfer: t, ...p }, info) => {
    const read = 3 * (t.prompts + labelledPrompts({ transfer: t, worth: p.worth })) * promptTokens(info);
    const completions = t.modes.includes('add') ? 2 * t.alpha_prompts * t.alphas.length * p.maps.length : 0;
    return {
      tokens: 2 * read + completions * (promptTokens(info) + p.evaluation.max_tokens),
      memory_bytes: pairBytes(info.models, ['source']),
    };
  },
  async run({ params: p, inputs, folder, seed, model, ...env }): Promise<TransferSpansOutput> {
    const [source, target] = [await model('source'), await model('target')];
    const clean = inputs.cleanSource && (await model('cleanSource'));
    await using detector = await detectorOf(p, { inputs, ...env });
    const prepared = await prepareMaps(
      {
        ...(await steeredOf(target, p, inputs, detector)),
        source: sourcesOf({ source, clean }, inputs.maps.output),
        validation: await validationOf(target, p, inputs, detector),
      },
      p,
      { ...env, seed, rng: transferRng(seed) },
    );
    const tensors = spanTensors(prepared.spans);
    await writeSafetensors(
      join(folder, SPANS),
      tensors.map((one) => ({ ...one, dtype: 'F32' })),
    );
    const { alphas, notes } = prepared;
    return { alphas, notes };
  },
});

/** What a finished stage prepared, for the same prompts. */
export async function readPrepared(
  { folder, output }: StageInput<TransferSpansOutput>,
  { subject, training }: Pick<TransferInput, 'subject' | 'training'>,
  p: TransferStageParams,
): Promise<PreparedTransfer> {
  const { tensors } = await readSafetensors(join(folder, SPANS));
  const read = new Map(
    await Promise.all(tensors.map(async (info) => [info.name, await readTensorFloat32(info)] as const)),
  );
  const spans = spansFrom(
    (name) => {
      const found = read.get(name);
      return found && { shape: found.shape as [number, number], data: found.data };
    },
    { subject: subject.cases, labelled: training, static_prompts: p.transfer.static_prompts },
  );
  return { spans, ...output };
}
