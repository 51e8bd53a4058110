/**
 * @file Stage `transfer`: carry the fix over every map, with every arm; is it worth it; what it costs. Many prompts are steered in parts, by
 * stages of their own, and their figures made here; few are steered here.
 */
import { checkAnswer } from '../../behaviours/index.ts';
import {
  type CostItem,
  doneJobs,
  type Subject,
  type TransferResult,
  transferExperiment,
  transferResult,
} from '../../evaluate/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, optional, sourceFile } from '../stage.ts';
import { type HeldOutItem, readHeldOut } from './data.ts';
import { detectorOf } from './runs.ts';
import { writeSamples } from './samples.ts';
import { readParts, transferPartStage } from './transfer-part.ts';
import {
  carriedInputs,
  sourcesOf,
  steeredOf,
  transferCompletions,
  transferParams,
  transferParts,
  transferRng,
  validationOf,
} from './transfer-setup.ts';
import { readPrepared, transferSpansStage } from './transfer-spans.ts';

/** Sections of results.json. */
export type TransferOutput = Omit<TransferResult, 'samples'>;

export const transferStage = defineStage({
  name: 'transfer',
  version: '7',
  module: import.meta.url,
  child: true,
  params: transferParams,
  inputs: {
    ...carriedInputs,
    cleanTarget: optional(sourceFile),
    /** What was steered in parts; left out where one part is all. */
    spans: optional(transferSpansStage),
    parts: [transferPartStage],
  },
  estimate: ({ transfer: t, evaluation, capabilities, ...p }, info) => {
    const states = capabilities ? capabilities.states : [];
    const items = capabilities ? capabilities.items * states.length : 0;
    const here =
      transferParts(t.prompts) > 1
        ? 0
        : transferCompletions({ ...p, transfer: t, evaluation, capabilities }, t.prompts) +
          t.alpha_prompts * t.alphas.length;
    return {
      tokens: (here + items) * (promptTokens(info) + evaluation.max_tokens),
      memory_bytes: pairBytes(info.models, states.includes('clean') ? ['source', 'target'] : ['source']),
    };
  },
  async run({ params: p, inputs, folder, seed, model, ...rest }): Promise<TransferOutput> {
    const env = { ...rest, seed, rng: transferRng(seed) };
    const [source, target] = [await model('source'), await model('target')];
    const clean = inputs.cleanSource && (await model('cleanSource'));
    await using detector = await detectorOf(p, { inputs, ...env });
    const given = await steeredOf(target, p, inputs, detector);
    const input = {
      ...given,
      source: sourcesOf({ source, clean }, inputs.maps.output),
      cost: {
        items: costItems(given.subject, await readHeldOut(inputs.data.folder, 'test'), p.capabilities),
        clean: inputs.cleanTarget && (() => model('cleanTarget')),
      },
    };
    const { samples, ...found } =
      inputs.spans === undefined
        ? await transferExperiment(
            { ...input, validation: await validationOf(target, p, inputs, detector) },
            p,
            env,
          )
        : await transferResult(
            input,
            {
              prepared: await readPrepared(inputs.spans, given, p),
              done: doneJobs(await readParts(inputs.parts, given.subject)),
            },
            p,
            env,
          );
    await writeSamples(folder, samples);
    return found;
  },
});

/** The first held-out questions as task items. */
function costItems(
  { cases }: Subject,
  held: readonly HeldOutItem[],
  settings: false | { readonly items: number },
): CostItem[] {
  return cases.slice(0, settings ? settings.items : 0).flatMap((c, i): CostItem[] => {
    const item = held[i];
    if (item === undefined) return [];
    const { family, answer } = item;
    const isRight = (completion: string): boolean =>
      family === undefined ? completion.trim() === answer.trim() : checkAnswer(family, completion, answer);
    return [{ task: 'bundled', case: c, isRight }];
  });
}
