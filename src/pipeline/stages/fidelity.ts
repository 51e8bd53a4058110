/** @file Stage `fidelity`: does the target go on as it would have, on mapped activations? And the inverse maps, the other way round. */
import { join } from 'node:path';
import { z } from 'zod';
import type { InverseEntry, OnnxJudgeParams, Outcome, Sample } from '../../contracts/index.ts';
import {
  evaluationSettings,
  fidelitySettings,
  inverseSettings,
  onnxJudgeParams,
} from '../../contracts/index.ts';
import {
  type FidelityResult,
  fidelity,
  fidelityPrompts,
  type InverseSteering,
  type JudgeUsage,
  judgeCost,
  llmJudge,
  openOnnxJudges,
  steerByInverses,
} from '../../evaluate/index.ts';
import { loadMap } from '../../maps/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, sourceFile, subjectModel } from '../stage.ts';
import { dataStage, readHeldOut, textOf } from './data.ts';
import { mapsStage } from './maps.ts';
import { askingParams, detectorInput, detectorOf, runsStage, subjectOf } from './runs.ts';
import { writeSamples } from './samples.ts';
import { mapsIn } from './transfer-setup.ts';

const fidelityParams = z.strictObject({
  ...askingParams.shape,
  evaluation: evaluationSettings.omit({ batch: true }),
  /** With the maps measured, in one fit each. */
  fidelity: z.union([
    z.literal(false),
    fidelitySettings.extend({
      maps: z.array(z.strictObject({ label: z.string(), fit: z.string() })),
      onnx: z.array(onnxJudgeParams),
    }),
  ]),
  /** Inverse methods whose steering of the source is measured. */
  inverse: z.union([z.literal(false), inverseSettings.omit({ rtol: true })]),
});

/** Sections of results.json. */
export interface FidelityOutput {
  readonly fidelity: FidelityResult['fidelity'];
  /** Share of prompts whose ceiling completion differs from the unpatched one; must be 0. */
  readonly ceiling_changed?: FidelityResult['ceiling_changed'] | undefined;
  /** By inverse: steering of the source by the target's activations, and the source's completions on them. */
  readonly inverse: Readonly<Record<string, Outcome & Pick<InverseEntry, 'fidelity'>>>;
}

/** Arms beside the maps: mean-ablated, ceiling and three control maps. */
const OTHER_ARMS = 5;

/** Arms beside the inverses: mean-ablated and ceiling. */
const BACK_ARMS = 2;

/** Unpatched, mapped and its controls: completions per prompt and map. */
const FIDELITY_STATES = 7;

export const fidelityStage = defineStage({
  name: 'fidelity',
  version: '7',
  module: import.meta.url,
  child: true,
  params: fidelityParams,
  inputs: {
    source: subjectModel,
    target: subjectModel,
    data: dataStage,
    /** The source's unpatched runs, for steering it by the inverses. */
    sourceRuns: runsStage,
    maps: mapsStage,
    /** Folders of the judges that are local ONNX models, in their order. */
    onnxJudges: [sourceFile],
    ...detectorInput,
  },
  estimate: ({ fidelity: f, inverse, evaluation }, info) => {
    const back = inverse ? inverse.methods.length : 0;
    const forwards = f ? f.prompts * (f.maps.length * FIDELITY_STATES + back) : 0;
    const backwards = inverse ? inverse.prompts * back : 0;
    const llm = f ? f.llm : undefined;
    const judged =
      f && llm
        ? judgeCost(llm, {
            prompts: 2 * f.prompts,
            maps: f.maps.length + back,
            others: back > 0 ? OTHER_ARMS + BACK_ARMS : OTHER_ARMS,
            tokens: evaluation.max_tokens,
          })
        : {};
    return {
      ...judged,
      tokens: 2 * (forwards + backwards) * (promptTokens(info) + evaluation.max_tokens),
      memory_bytes: pairBytes(info.models),
    };
  },
  async run({ params: p, inputs, folder, model, ...env }): Promise<FidelityOutput> {
    const [source, target] = [await model('source'), await model('target')];
    const { source_block, target_block } = inputs.maps.output;
    const maps = mapsIn(inputs.maps);
    const inverses = p.inverse
      ? await Promise.all(
          p.inverse.methods.map(async (method) => ({
            label: method,
            map: await loadMap(join(inputs.maps.folder, 'inverse', method)),
          })),
        )
      : [];
    const texts = p.fidelity && (await bothWays(p.fidelity));
    /** Completions on mapped activations: the target's on the source's, and by the inverses the source's on the target's. */
    async function bothWays(
      settings: Exclude<typeof p.fidelity, false>,
    ): Promise<{ readonly forwards?: FidelityResult; readonly backwards?: FidelityResult }> {
      const held = (await readHeldOut(inputs.data.folder, 'test')).slice(0, settings.prompts).map(textOf);
      const judge = settings.llm && llmJudge(settings.llm, { signal: env.signal, onProgress: env.progress });
      await using local = await openOnnxJudges(
        inputs.onnxJudges.map(({ folder: files }, i) => ({
          folder: files,
          settings: settings.onnx[i] as OnnxJudgeParams,
        })),
        env,
      );
      const behaviour = p.behaviour.name;
      const further = [...local.judges, ...(judge === undefined ? [] : [judge])];
      const asking = { ...settings, ...p.evaluation };
      const tokenizers = { source: source.tokenizer, target: target.tokenizer };
      const forwards =
        settings.maps.length === 0
          ? undefined
          : await fidelity(
              {
                source,
                target,
                prompts: fidelityPrompts(held, tokenizers, p),
                maps: await Promise.all(
                  settings.maps.map(async ({ label, fit }) => ({ label, map: await maps.open(label, fit) })),
                ),
                controls: {
                  shuffled: await maps.control('shuffled'),
                  token_mean: await maps.control('token-mean'),
                  random: await maps.control('random'),
                },
                behaviour,
                further,
              },
              asking,
              { ...env, rng: env.rng.fork('fidelity') },
            );
      const turned = { source: tokenizers.target, target: tokenizers.source };
      const backwards =
        inverses.length === 0
          ? undefined
          : await fidelity(
              {
                source: target,
                target: source,
                prompts: fidelityPrompts(held, turned, p),
                maps: inverses,
                controls: {},
                behaviour,
                further,
                samplesOf: { stage: 'inverse-fidelity', side: 'source' },
              },
              asking,
              { ...env, rng: env.rng.fork('fidelity') },
            );
      if (judge !== undefined)
        env.progress({
          stage: 'judge',
          done: judge.usage.requests + judge.usage.cached,
          unit: 'questions',
          message: usageText(judge.usage),
        });
      return { forwards, backwards };
    }
    await using detector = await detectorOf(p, { inputs, ...env });
    const steered = p.inverse && inverses.length > 0 && (await inverted(p.inverse));
    async function inverted(settings: Exclude<typeof p.inverse, false>): Promise<InverseSteering> {
      return steerByInverses(
        {
          behaviour: p.behaviour.name,
          source: { model: source, block: source_block },
          target: { model: target, block: target_block },
          subject: await subjectOf(source.tokenizer, p, {
            data: inputs.data,
            runs: inputs.sourceRuns,
            split: 'test',
            n: settings.prompts,
            detector,
          }),
          inverses: Object.fromEntries(inverses.map(({ label, map }) => [label, map])),
        },
        p.evaluation,
        env,
      );
    }
    const { forwards, backwards } = texts || {};
    const samples: readonly Sample[] = [
      ...(forwards?.samples ?? []),
      ...(steered ? steered.samples : []),
      ...(backwards?.samples ?? []),
    ];
    await writeSamples(folder, samples);
    return {
      fidelity: forwards?.fidelity ?? {},
      ceiling_changed: forwards?.ceiling_changed,
      inverse: Object.fromEntries(
        inverses.map(({ label, map }) => [
          label,
          {
            ...(steered ? steered.outcomes[label] : undefined),
            fidelity: backwards?.fidelity[label]?.[map.fit],
          },
        ]),
      ),
    };
  },
});

/** What a judge was asked: said while it runs and in the log, not in results, which a second run must repeat. */
function usageText({ requests, cached, promptTokens, completionTokens, cost }: JudgeUsage): string {
  const paid = cost === undefined ? '' : `, cost ${cost.toPrecision(3)}`;
  return `judge: ${requests} requests, ${cached} answers known already, ${promptTokens} + ${completionTokens} tokens${paid}`;
}
