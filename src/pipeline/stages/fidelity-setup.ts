/** @file What the stages of fidelity share: parameters, what both models say on mapped activations, the judges, and how many parts they judge in. */
import { join } from 'node:path';
import { z } from 'zod';
import { type Owned, Rng } from '../../base/index.ts';
import {
  evaluationSettings,
  fidelitySettings,
  inverseSettings,
  MAP_FITS,
  type MapFit,
  type OnnxJudgeParams,
  onnxJudgeParams,
} from '../../contracts/index.ts';
import {
  type FidelityRow,
  fidelityPrompts,
  fidelityRows,
  type InverseSteering,
  type Judge,
  type JudgeUsage,
  llmJudge,
  openOnnxJudges,
  ROWS_JUDGED_AT_ONCE,
  steerByInverses,
} from '../../evaluate/index.ts';
import { loadMap } from '../../maps/index.ts';
import { type OutputsOf, type StageContext, type StageInput, subjectModel } from '../stage.ts';
import { dataStage, readHeldOut, textOf } from './data.ts';
import { mapsStage } from './maps.ts';
import { askingParams, detectorInput, detectorOf, runsStage, subjectOf } from './runs.ts';
import { mapsIn } from './transfer-setup.ts';

/** Fidelity's section, with the maps measured, in one fit each, and the local judges as they are opened. */
const sectionParams = fidelitySettings.extend({
  maps: z.array(z.strictObject({ label: z.string(), fit: z.enum(MAP_FITS) })),
  onnx: z.array(onnxJudgeParams),
});
type Section = z.output<typeof sectionParams>;

export const fidelityParams = z.strictObject({
  ...askingParams.shape,
  evaluation: evaluationSettings.omit({ batch: true }),
  fidelity: z.union([z.literal(false), sectionParams]),
  /** Inverse methods whose steering of the source is measured. */
  inverse: z.union([z.literal(false), inverseSettings.omit({ rtol: true })]),
});
export type FidelityStageParams = z.output<typeof fidelityParams>;

/** What both models' completions hang on. */
export const saidInputs = {
  source: subjectModel,
  target: subjectModel,
  data: dataStage,
  /** The source's unpatched runs, for steering it by the inverses. */
  sourceRuns: runsStage,
  maps: mapsStage,
  ...detectorInput,
};

/** Rows of one prompt: under the safe tag, and under the bad one. */
const ROWS_A_PROMPT = 2;

/** How many parts the completions are judged in, where a judge takes its time; the recipe alone decides. */
export function judgeParts({ fidelity: f }: Pick<FidelityStageParams, 'fidelity'>): number {
  if (!f || (f.llm === undefined && f.onnx.length === 0)) return 1;
  return Math.ceil((ROWS_A_PROMPT * f.prompts) / ROWS_JUDGED_AT_ONCE);
}

/** The stream of all stages of fidelity. */
export function fidelityRng(seed: number): Rng {
  return new Rng(seed).fork('fidelity');
}

/** The target's completions on the source's activations, and by the inverses the source's on the target's. */
export const WAYS = ['forwards', 'backwards'] as const;
export type Way = (typeof WAYS)[number];

/** What models said, and how the inverses steer. */
export interface Said {
  readonly rows: Readonly<Partial<Record<Way, readonly FidelityRow[]>>>;
  readonly inverses: readonly { readonly label: string; readonly map: { readonly fit: MapFit } }[];
  readonly steered: InverseSteering | undefined;
}

type SaidContext = Pick<
  StageContext<FidelityStageParams, OutputsOf<typeof saidInputs>>,
  'params' | 'inputs' | 'model' | 'progress' | 'signal' | 'threads' | 'seed'
>;

/** Run both models on every prompt, both ways. */
export async function completeBothWays({
  params: p,
  inputs,
  model,
  seed,
  ...rest
}: SaidContext): Promise<Said> {
  const env = { ...rest, seed, rng: fidelityRng(seed) };
  const [source, target] = [await model('source'), await model('target')];
  const inverses = await Promise.all(
    (p.inverse ? p.inverse.methods : []).map(async (method) => ({
      label: method,
      map: await loadMap(join(inputs.maps.folder, 'inverse', method)),
    })),
  );
  const rows: Partial<Record<Way, readonly FidelityRow[]>> = {};
  if (p.fidelity) {
    const { fidelity: settings } = p;
    const held = (await readHeldOut(inputs.data.folder, 'test')).slice(0, settings.prompts).map(textOf);
    const asking = { ...settings, ...p.evaluation };
    const [a, b] = [source.tokenizer, target.tokenizer];
    const maps = mapsIn(inputs.maps);
    if (settings.maps.length > 0) {
      const prompts = fidelityPrompts(held, { source: a, target: b }, p);
      const tested = await Promise.all(
        settings.maps.map(async ({ label, fit }) => ({ label, map: await maps.open(label, fit) })),
      );
      const controls = {
        shuffled: await maps.control('shuffled'),
        token_mean: await maps.control('token-mean'),
        random: await maps.control('random'),
      };
      rows.forwards = await fidelityRows({ source, target, prompts, maps: tested, controls }, asking, env);
    }
    if (inverses.length > 0) {
      const prompts = fidelityPrompts(held, { source: b, target: a }, p);
      const turned = { source: target, target: source, prompts, maps: inverses, controls: {} };
      rows.backwards = await fidelityRows(turned, asking, env);
    }
  }
  const { source_block, target_block } = inputs.maps.output;
  await using detector = await detectorOf(p, { inputs, ...env });
  const steered =
    p.inverse && inverses.length > 0
      ? await steerByInverses(
          {
            behaviour: p.behaviour.name,
            source: { model: source, block: source_block },
            target: { model: target, block: target_block },
            subject: await subjectOf(source.tokenizer, p, {
              data: inputs.data,
              runs: inputs.sourceRuns,
              split: 'test',
              n: p.inverse.prompts,
              detector,
            }),
            inverses: Object.fromEntries(inverses.map(({ label, map }) => [label, map])),
          },
          p.evaluation,
          env,
        )
      : undefined;
  return { rows, inverses, steered };
}

/** Judges that are models: local ones and the one behind a server. */
export interface OpenJudges extends Owned {
  readonly judges: readonly Judge[];
  /** Say what the server was asked. */
  tell(): void;
}

/** Open the judges of a recipe; `files` are the folders of the local ones, in their order. */
export async function openJudges(
  { llm, onnx }: Pick<Section, 'llm' | 'onnx'>,
  files: readonly StageInput<unknown>[],
  env: Pick<StageContext<unknown>, 'progress' | 'signal' | 'threads'>,
): Promise<OpenJudges> {
  const server = llm && llmJudge(llm, { signal: env.signal, onProgress: env.progress });
  const local = await openOnnxJudges(
    files.map(({ folder }, i) => ({ folder, settings: onnx[i] as OnnxJudgeParams })),
    env,
  );
  return {
    judges: [...local.judges, ...(server === undefined ? [] : [server])],
    tell: () => {
      if (server === undefined) return;
      const done = server.usage.requests + server.usage.cached;
      env.progress({ stage: 'judge', done, unit: 'questions', message: usageText(server.usage) });
    },
    [Symbol.asyncDispose]: () => local[Symbol.asyncDispose](),
  };
}

/** What a judge was asked: said while it runs and in the log, not in results, which a second run must repeat. */
function usageText({ requests, cached, promptTokens, completionTokens, cost }: JudgeUsage): string {
  const paid = cost === undefined ? '' : `, cost ${cost.toPrecision(3)}`;
  return `judge: ${requests} requests, ${cached} answers known already, ${promptTokens} + ${completionTokens} tokens${paid}`;
}
