/**
 * @file Stage `fidelity`: does the target go on as it would have, on mapped activations? And the inverse maps, the other way round. Many completions
 * are judged in parts, by stages of their own, and their figures made here.
 */
import type { InverseEntry, Outcome, Sample } from '../../contracts/index.ts';
import { type FidelityResult, fidelityFigures, judgeRows } from '../../evaluate/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, optional, type StageContext, type StageInput } from '../stage.ts';
import { fidelityJudgeStage, type Judged, judgeInput, questionsOf, readJudged } from './fidelity-judge.ts';
import { fidelityCompletions, fidelityRunsStage, readSaid } from './fidelity-runs.ts';
import {
  completeBothWays,
  type FidelityStageParams,
  fidelityParams,
  fidelityRng,
  judgeParts,
  openJudges,
  type Said,
  saidInputs,
  type Way,
} from './fidelity-setup.ts';
import { writeSamples } from './samples.ts';

/** Sections of results.json. */
export interface FidelityOutput {
  readonly fidelity: FidelityResult['fidelity'];
  /** Share of prompts whose ceiling completion differs from the unpatched one; must be 0. */
  readonly ceiling_changed?: FidelityResult['ceiling_changed'] | undefined;
  /** By inverse: steering of the source by the target's activations, and the source's completions on them. */
  readonly inverse: Readonly<Record<string, Outcome & Pick<InverseEntry, 'fidelity'>>>;
}

/** What the samples of each way are of. */
const SAMPLES_OF = {
  forwards: { stage: 'fidelity', side: 'target' },
  backwards: { stage: 'inverse-fidelity', side: 'source' },
} as const satisfies Record<Way, Pick<Sample, 'stage' | 'side'>>;

export const fidelityStage = defineStage({
  name: 'fidelity',
  version: '8',
  module: import.meta.url,
  child: true,
  params: fidelityParams,
  inputs: {
    ...saidInputs,
    ...judgeInput,
    /** What was said and judged in parts; left out where one part is all. */
    said: optional(fidelityRunsStage),
    judged: [fidelityJudgeStage],
  },
  estimate: (p, info) =>
    judgeParts(p) > 1
      ? {}
      : {
          ...questionsOf(p),
          tokens: fidelityCompletions(p) * (promptTokens(info) + p.evaluation.max_tokens),
          memory_bytes: pairBytes(info.models),
        },
  async run({ folder, ...ctx }): Promise<FidelityOutput> {
    const { params: p, inputs, seed } = ctx;
    const isHere = inputs.said === undefined;
    const said = isHere ? await completeBothWays(ctx) : await readSaid(inputs.said);
    const judged = isHere ? await judge(said, ctx) : await readJudged(inputs.judged);
    const rng = fidelityRng(seed).fork('fidelity');
    const figures = async (way: Way, maps: Said['inverses']): Promise<FidelityResult | undefined> => {
      const rows = said.rows[way];
      if (rows === undefined || !p.fidelity) return undefined;
      const of = { behaviour: p.behaviour.name, samplesOf: SAMPLES_OF[way], maps, rows };
      return fidelityFigures(
        { ...of, judged: judged[way] ?? {} },
        { ...p.fidelity, ...p.evaluation },
        { rng },
      );
    };
    const tested = p.fidelity ? p.fidelity.maps.map(({ label, fit }) => ({ label, map: { fit } })) : [];
    const forwards = await figures('forwards', tested);
    const backwards = await figures('backwards', said.inverses);
    const { steered } = said;
    await writeSamples(folder, [
      ...(forwards?.samples ?? []),
      ...(steered?.samples ?? []),
      ...(backwards?.samples ?? []),
    ]);
    return {
      fidelity: forwards?.fidelity ?? {},
      ceiling_changed: forwards?.ceiling_changed,
      inverse: Object.fromEntries(
        said.inverses.map(({ label, map }) => [
          label,
          { ...steered?.outcomes[label], fidelity: backwards?.fidelity[label]?.[map.fit] },
        ]),
      ),
    };
  },
});

/** Judge all rows here. */
async function judge(
  { rows }: Said,
  {
    params: { fidelity: settings },
    inputs,
    ...env
  }: { readonly params: FidelityStageParams } & {
    readonly inputs: { readonly onnxJudges: readonly StageInput<unknown>[] };
  } & Pick<StageContext<unknown>, 'progress' | 'signal' | 'threads'>,
): Promise<Judged> {
  if (!settings) return {};
  await using open = await openJudges(settings, inputs.onnxJudges, env);
  const judged: Partial<Record<Way, Awaited<ReturnType<typeof judgeRows>>>> = {};
  for (const [way, all] of Object.entries(rows)) judged[way as Way] = await judgeRows(all, open.judges);
  open.tell();
  return judged;
}
