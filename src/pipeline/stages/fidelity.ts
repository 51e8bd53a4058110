/** @file Stage `fidelity`: does the target go on as it would have, on mapped activations? And the inverse maps, the other way round. */
import { join } from 'node:path';
import { z } from 'zod';
import type { OnnxJudgeParams, Sample } from '../../contracts/index.ts';
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
import { mapsIn } from './transfer.ts';

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
  /** Steering of the source by the target's activations through each inverse. */
  readonly inverse: InverseSteering['outcomes'];
}

/** Arms beside the maps: mean-ablated, ceiling and three control maps. */
const OTHER_ARMS = 5;

/** Unpatched, mapped and its controls: completions per prompt and map. */
const FIDELITY_STATES = 7;

export const fidelityStage = defineStage({
  name: 'fidelity',
  version: '6',
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
    const forwards = f ? f.prompts * f.maps.length * FIDELITY_STATES : 0;
    const backwards = inverse ? inverse.prompts * inverse.methods.length : 0;
    const llm = f ? f.llm : undefined;
    const judged =
      f && llm
        ? judgeCost(llm, {
            prompts: 2 * f.prompts,
            maps: f.maps.length,
            others: OTHER_ARMS,
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
    const forwards = p.fidelity && p.fidelity.maps.length > 0 && (await measured(p.fidelity));
    async function measured(settings: Exclude<typeof p.fidelity, false>): Promise<FidelityResult> {
      const held = (await readHeldOut(inputs.data.folder, 'test')).slice(0, settings.prompts);
      const judge = settings.llm && llmJudge(settings.llm, { signal: env.signal, onProgress: env.progress });
      await using local = await openOnnxJudges(
        inputs.onnxJudges.map(({ folder: files }, i) => ({
          folder: files,
          settings: settings.onnx[i] as OnnxJudgeParams,
        })),
        env,
      );
      const found = await fidelity(
        {
          source,
          target,
          prompts: fidelityPrompts(
            held.map(textOf),
            { source: source.tokenizer, target: target.tokenizer },
            p,
          ),
          maps: await Promise.all(
            settings.maps.map(async ({ label, fit }) => ({ label, map: await maps.open(label, fit) })),
          ),
          controls: {
            shuffled: await maps.control('shuffled'),
            token_mean: await maps.control('token-mean'),
            random: await maps.control('random'),
          },
          behaviour: p.behaviour.name,
          further: [...local.judges, ...(judge === undefined ? [] : [judge])],
        },
        { ...settings, ...p.evaluation },
        { ...env, rng: env.rng.fork('fidelity') },
      );
      if (judge !== undefined)
        env.progress({
          stage: 'judge',
          done: judge.usage.requests + judge.usage.cached,
          unit: 'questions',
          message: usageText(judge.usage),
        });
      return found;
    }
    await using detector = await detectorOf(p, { inputs, ...env });
    const backwards = p.inverse && p.inverse.methods.length > 0 && (await inverted(p.inverse));
    async function inverted(settings: Exclude<typeof p.inverse, false>): Promise<InverseSteering> {
      const open = async (method: string) => [
        method,
        await loadMap(join(inputs.maps.folder, 'inverse', method)),
      ];
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
          inverses: Object.fromEntries(await Promise.all(settings.methods.map(open))),
        },
        p.evaluation,
        env,
      );
    }
    const samples: readonly Sample[] = [
      ...(forwards ? forwards.samples : []),
      ...(backwards ? backwards.samples : []),
    ];
    await writeSamples(folder, samples);
    return {
      fidelity: forwards ? forwards.fidelity : {},
      ceiling_changed: forwards ? forwards.ceiling_changed : undefined,
      inverse: backwards ? backwards.outcomes : {},
    };
  },
});

/** What a judge was asked: said while it runs and in the log, not in results, which a second run must repeat. */
function usageText({ requests, cached, promptTokens, completionTokens, cost }: JudgeUsage): string {
  const paid = cost === undefined ? '' : `, cost ${cost.toPrecision(3)}`;
  return `judge: ${requests} requests, ${cached} answers known already, ${promptTokens} + ${completionTokens} tokens${paid}`;
}
