/** @file Stage `fidelity`: does the target go on as it would have, on mapped activations? And the inverse maps, the other way round. */
import { join } from 'node:path';
import { z } from 'zod';
import { behaviourParams, type FidelityScores, type MapFit, type Rate } from '../../contracts/index.ts';
import {
  fidelity,
  fidelityPrompts,
  prepareTransfer,
  transferMap,
  transferShared,
} from '../../evaluate/index.ts';
import { loadMap } from '../../maps/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { mapFn } from '../steps/steer.ts';
import { type DataOutput, readHeldOut } from './data.ts';
import { type FinetuneOutput, tunedModel } from './finetune.ts';
import type { MapsOutput } from './maps.ts';
import { type RunsOutput, subjectOf } from './runs.ts';
import { writeSamples } from './samples.ts';

const fidelityParams = z.strictObject({
  behaviour: behaviourParams,
  after: z.int(),
  exact: z.boolean(),
  max_tokens: z.int(),
  bootstrap: z.int(),
  prompts: z.int(),
  lexical: z.boolean(),
  likelihood: z.boolean(),
  replace: z.enum(['prefill', 'all']),
  maps: z.array(z.strictObject({ label: z.string(), fit: z.string() })),
  /** Inverse methods whose steering of the source is measured. */
  inverses: z.array(z.string()),
  inverse_prompts: z.int(),
});

type BySafety = {
  readonly safe?: Readonly<Record<string, FidelityScores>>;
  readonly bad?: Readonly<Record<string, FidelityScores>>;
};

/** Sections of results.json. */
export interface FidelityOutput {
  readonly fidelity: Readonly<Record<string, Readonly<Partial<Record<MapFit, BySafety>>>>>;
  /** Share of prompts whose ceiling completion differs from the unpatched one; must be 0. */
  readonly ceiling_changed?: Rate;
  /** Steering of the source by the target's activations through each inverse. */
  readonly inverse: Readonly<
    Record<
      string,
      {
        readonly removal?: Rate | undefined;
        readonly restoration?: Rate | undefined;
        readonly elicitation?: Rate | undefined;
      }
    >
  >;
}

interface Inputs {
  source: FinetuneOutput;
  target: FinetuneOutput;
  data: DataOutput;
  /** The source's unpatched runs, for steering it by the inverses. */
  sourceRuns: RunsOutput;
  maps: MapsOutput;
}

/** Unpatched, mapped and its controls: completions a prompt and map. */
const FIDELITY_STATES = 7;

export const fidelityStage = defineStage({
  name: 'fidelity',
  version: '3',
  module: import.meta.url,
  child: true,
  params: fidelityParams,
  estimate: (p, ahead) => {
    const completions =
      2 * (p.prompts * p.maps.length * FIDELITY_STATES + p.inverse_prompts * p.inverses.length);
    return {
      tokens: completions * (promptTokens(ahead) + p.max_tokens),
      memory_bytes: runningBytes(ahead.models),
    };
  },
  async run({
    params: p,
    inputs,
    folder,
    rng,
    progress,
    signal,
    threads,
  }: StageContext<z.output<typeof fidelityParams>, Inputs>): Promise<FidelityOutput> {
    await using source = await LanguageModel.load(tunedModel(inputs.source.folder), { threads });
    await using target = await LanguageModel.load(tunedModel(inputs.target.folder), { threads });
    const open = (label: string, fit: string) => loadMap(join(inputs.maps.folder, 'maps', `${label}.${fit}`));
    const entries = inputs.maps.output.entries;
    const control = async (label: string) => {
      const fit = Object.keys(entries[label] ?? {})[0];
      return fit === undefined ? undefined : await open(label, fit);
    };
    const [shuffled, tokenMean, random] = await Promise.all([
      control('shuffled'),
      control('token-mean'),
      control('random'),
    ]);

    const items = (await readHeldOut(inputs.data.folder, 'test')).slice(0, p.prompts);
    const prompts = fidelityPrompts(
      p.behaviour,
      items.map((i) => i.text),
      { source: source.tokenizer, target: target.tokenizer },
      p.after,
    );
    const result =
      p.maps.length === 0
        ? undefined
        : await fidelity({
            source,
            target,
            prompts,
            maps: await Promise.all(
              p.maps.map(async ({ label, fit }) => ({ label, map: await open(label, fit) })),
            ),
            controls: {
              ...(shuffled && { shuffled }),
              ...(tokenMean && { token_mean: tokenMean }),
              ...(random && { random }),
            },
            ...(p.lexical ? {} : { judges: [] }),
            likelihood: p.likelihood,
            replace: p.replace,
            behaviour: p.behaviour.name,
            generation: { maxNewTokens: p.max_tokens },
            rng: rng.fork('fidelity'),
            resamples: p.bootstrap,
            signal,
            onProgress: progress,
          });

    const inverse: Record<
      string,
      { removal?: Rate | undefined; restoration?: Rate | undefined; elicitation?: Rate | undefined }
    > = {};
    const inverseSamples = [];
    if (p.inverses.length > 0) {
      // The target's safe activations, mapped back, steer the source.
      const subject = await subjectOf(source.tokenizer, p.behaviour, {
        data: inputs.data.folder,
        runs: inputs.sourceRuns,
        split: 'test',
        n: p.inverse_prompts,
        after: p.after,
        exact: p.exact,
      });
      const data = await prepareTransfer(
        { model: target, block: inputs.maps.output.target_block },
        { model: source, block: inputs.maps.output.source_block },
        subject,
        { signal },
      );
      const tags = { behaviour: p.behaviour.name, stage: 'inverse', side: 'source' } as const;
      const shared = { maxNewTokens: p.max_tokens, progress, signal, tags };
      const common = await transferShared(data, {
        ...shared,
        rng: rng.fork('inverse'),
        arms: ['native'],
        draws: 1,
      });
      for (const method of p.inverses) {
        const map = await loadMap(join(inputs.maps.folder, 'inverse', method));
        const { entry, samples } = await transferMap(
          data,
          common,
          { mapped: mapFn(map) },
          {
            ...shared,
            rng: rng.fork(`inverse ${method}`),
            arms: ['mapped'],
            modes: ['set'],
            bootstrap: p.bootstrap,
          },
        );
        const { removal, restoration, elicitation } = entry.arms.mapped ?? {};
        inverse[method] = Object.fromEntries(
          Object.entries({ removal, restoration, elicitation }).filter(([, v]) => v !== undefined),
        );
        inverseSamples.push(
          ...samples
            .filter((s) => s.arm === 'mapped')
            .map((s) => ({ ...s, id: `${s.id}/${method}`, arm: method })),
        );
      }
    }
    await writeSamples(folder, [...(result?.samples ?? []), ...inverseSamples]);
    return {
      fidelity: result?.fidelity ?? {},
      inverse,
      ceiling_changed: result?.ceilingChanged,
    };
  },
});
