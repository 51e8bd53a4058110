/** @file Stage `fidelity-judge`: a part of the completions, judged by the recipe's models. It holds none of the two that were asked. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../base/index.ts';
import {
  type JudgeScores,
  joinScores,
  judgeCost,
  judgeRows,
  ROWS_JUDGED_AT_ONCE,
} from '../../evaluate/index.ts';
import { defineStage, type StageInput, sourceFile } from '../stage.ts';
import { fidelityRunsStage, readSaid } from './fidelity-runs.ts';
import { type FidelityStageParams, fidelityParams, openJudges, WAYS, type Way } from './fidelity-setup.ts';

const SCORES = 'scores.json';

/** Arms beside the maps: mean-ablated, ceiling and three control maps. */
const OTHER_ARMS = 5;

/** Arms beside the inverses: mean-ablated and ceiling. */
const BACK_ARMS = 2;

/** Folders of the judges that are local ONNX models, in their order. */
export const judgeInput = { onnxJudges: [sourceFile] } as const;

/** Scores by judge, of the rows of each way. */
export type Judged = Readonly<Partial<Record<Way, Readonly<Record<string, JudgeScores>>>>>;

export const fidelityJudgeStage = defineStage({
  name: 'fidelity-judge',
  version: '1',
  module: import.meta.url,
  child: true,
  params: fidelityParams.extend({
    part: z.strictObject({ index: z.int().min(0), of: z.int().min(1) }),
  }),
  inputs: { runs: fidelityRunsStage, ...judgeInput },
  estimate: ({ part, ...p }) => {
    const { questions, cost } = questionsOf(p);
    return {
      questions: questions && Math.ceil(questions / part.of),
      cost: cost && cost / part.of,
    };
  },
  async run({ params: { part, ...p }, inputs, folder, ...env }): Promise<{ readonly rows: number }> {
    const { rows } = await readSaid(inputs.runs);
    const judged: Partial<Record<Way, Record<string, JudgeScores>>> = {};
    let count = 0;
    if (p.fidelity) {
      await using open = await openJudges(p.fidelity, inputs.onnxJudges, env);
      for (const way of WAYS) {
        const from = part.index * ROWS_JUDGED_AT_ONCE;
        const own = rows[way]?.slice(from, from + ROWS_JUDGED_AT_ONCE) ?? [];
        count += own.length;
        judged[way] = await judgeRows(own, open.judges);
      }
      open.tell();
    }
    await writeJsonAtomic(join(folder, SCORES), judged);
    return { rows: count };
  },
});

/** What a language model is asked about all completions, at most. */
export function questionsOf({
  fidelity: f,
  inverse,
  evaluation,
}: Pick<FidelityStageParams, 'fidelity' | 'inverse' | 'evaluation'>): {
  readonly questions?: number;
  readonly cost?: number | undefined;
} {
  if (!f || f.llm === undefined) return {};
  const back = inverse ? inverse.methods.length : 0;
  return judgeCost(f.llm, {
    prompts: 2 * f.prompts,
    maps: f.maps.length + back,
    others: back > 0 ? OTHER_ARMS + BACK_ARMS : OTHER_ARMS,
    tokens: evaluation.max_tokens,
  });
}

/** The scores of finished parts as those of all. */
export async function readJudged(parts: readonly StageInput<unknown>[]): Promise<Judged> {
  const read = await Promise.all(
    parts.map(async ({ folder }) => JSON.parse(await readFile(join(folder, SCORES), 'utf8')) as Judged),
  );
  return Object.fromEntries(WAYS.map((way) => [way, joinScores(read.map((one) => one[way] ?? {}))]));
}
