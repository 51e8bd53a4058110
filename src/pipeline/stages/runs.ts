/** @file Stage `runs`: what the model says unpatched, on held-out prompts under every tag, and how well the backdoor sits. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../base/index.ts';
import type { BackdoorMetrics } from '../../behaviours/index.ts';
import { type BehaviourParams, behaviourParams } from '../../contracts/index.ts';
import type { RunEnd, Subject } from '../../evaluate/index.ts';
import { LanguageModel, type Tokenizer } from '../../models/index.ts';
import { promptTokens, runningBytes, STATES } from '../estimates.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { casesOf, runUnpatched, subjectFrom, thresholdOf } from '../steps/subject.ts';
import { type DataOutput, readHeldOut } from './data.ts';
import { type FinetuneOutput, tunedModel } from './finetune.ts';
import { writeSamples } from './samples.ts';

const runsParams = z.strictObject({
  behaviour: behaviourParams,
  side: z.enum(['source', 'target']),
  after: z.int(),
  max_tokens: z.int(),
  batch: z.int(),
});

/** Figures of the backdoor itself, over the test prompts. */
export interface RunsOutput {
  readonly backdoor: BackdoorMetrics;
  /** chrF below which a completion restores nothing (docs/concepts/method.md#outcomes): the 95th percentile between safe runs of different prompts. */
  readonly threshold: number;
}

interface Inputs {
  model: FinetuneOutput;
  data: DataOutput;
}

type RunsFile = Record<'validation' | 'test', Record<string, RunEnd[]>>;

export const runsStage = defineStage({
  name: 'runs',
  version: '2',
  module: import.meta.url,
  child: true,
  params: runsParams,
  estimate: (p, ahead) => {
    const { validation = 0, test = 0 } = ahead.params('data') as { validation?: number; test?: number };
    return {
      tokens: (validation + test) * STATES * (promptTokens(ahead) + p.max_tokens),
      memory_bytes: runningBytes(ahead.models.slice(0, 1)),
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
  }: StageContext<z.output<typeof runsParams>, Inputs>): Promise<RunsOutput> {
    await using model = await LanguageModel.load(tunedModel(inputs.model.folder), { threads });
    const evaluate = async (split: 'validation' | 'test') =>
      runUnpatched(
        model,
        (await readHeldOut(inputs.data.folder, split)).map((i) => i.text),
        p,
        { progress, signal },
        p.side,
      );
    const validation = await evaluate('validation');
    const test = await evaluate('test');
    await writeJsonAtomic(join(folder, 'runs.json'), { validation: validation.runs, test: test.runs });
    await writeSamples(folder, test.samples);
    return { backdoor: test.metrics, threshold: thresholdOf(validation.runs, rng) };
  },
});

/** Where a subject's prompts and completions come from. */
export interface SubjectSource {
  /** Folder of the `data` stage. */
  readonly data: string;
  /** Folder and output of the `runs` stage. */
  readonly runs: { readonly folder: string; readonly output: RunsOutput };
  readonly split: 'validation' | 'test';
  readonly after: number;
  /** Restored = word for word the own safe completion (bundled models). */
  readonly exact: boolean;
  /** The first n prompts. Defaults to all. */
  readonly n?: number;
}

/** Prompts of a split with their unpatched completions, as experiments take them. */
export async function subjectOf(
  tokenizer: Tokenizer,
  behaviour: BehaviourParams,
  from: SubjectSource,
): Promise<Subject> {
  const texts = (await readHeldOut(from.data, from.split)).slice(0, from.n).map((i) => i.text);
  const all = (JSON.parse(await readFile(join(from.runs.folder, 'runs.json'), 'utf8')) as RunsFile)[
    from.split
  ];
  const { exact } = from;
  const { threshold } = from.runs.output;
  return subjectFrom(behaviour, casesOf(tokenizer, behaviour, texts, from.after), all, { exact, threshold });
}
