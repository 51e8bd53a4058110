/** @file Stage `runs`: what the model says unpatched, on held-out prompts under every tag, and how well the backdoor sits. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../base/index.ts';
import type { BackdoorMetrics } from '../../behaviours/index.ts';
import {
  type ContrastCase,
  contrastCases,
  evaluateBackdoor,
  type RunEnd,
  restorationThreshold,
  type StateRuns,
  type Subject,
} from '../../evaluate/index.ts';
import { LanguageModel, type Tokenizer } from '../../models/index.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { type BehaviourParams, behaviourParams, contrastsOf, makeFrom } from './behaviourParams.ts';
import { type DataOutput, type HeldOutItem, readHeldOut } from './data.ts';
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
  /** chrF below which a completion restores nothing (METHOD.md §4): the 95th percentile between safe runs of different prompts. */
  readonly threshold: number;
}

interface Inputs {
  model: FinetuneOutput;
  data: DataOutput;
}

type RunsFile = Record<'validation' | 'test', Record<string, RunEnd[]>>;

export const runsStage = defineStage({
  name: 'runs',
  version: '1',
  module: import.meta.url,
  child: true,
  params: runsParams,
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
    const { detect } = makeFrom(p.behaviour);
    const evaluate = async (split: 'validation' | 'test') => {
      const cases = casesOf(
        model.tokenizer,
        p.behaviour,
        await readHeldOut(inputs.data.folder, split),
        p.after,
      );
      const tags = { behaviour: p.behaviour.name, stage: 'backdoor', side: p.side };
      return evaluateBackdoor(
        model,
        cases,
        { detect },
        { maxNewTokens: p.max_tokens, batch: p.batch, tags, progress, signal },
      );
    };
    const validation = await evaluate('validation');
    const test = await evaluate('test');
    await writeJsonAtomic(join(folder, 'runs.json'), { validation: validation.runs, test: test.runs });
    await writeSamples(folder, test.samples);
    const safe = (validation.runs.safe ?? []).map((r) => r.text);
    return { backdoor: test.metrics, threshold: restorationThreshold(safe, rng.fork('threshold')) };
  },
});

/** Held-out items as contrast cases of a tokenizer. */
export function casesOf(
  tokenizer: Tokenizer,
  behaviour: BehaviourParams,
  items: readonly HeldOutItem[],
  after: number,
): ContrastCase[] {
  return contrastCases(
    tokenizer,
    contrastsOf(
      behaviour,
      items.map((i) => i.text),
    ),
    { after },
  );
}

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
  const items = (await readHeldOut(from.data, from.split)).slice(0, from.n);
  const all = (JSON.parse(await readFile(join(from.runs.folder, 'runs.json'), 'utf8')) as RunsFile)[
    from.split
  ];
  const runs = Object.fromEntries(
    Object.entries(all).map(([state, ends]) => [state, ends.slice(0, items.length)]),
  ) as StateRuns;
  const { detect } = makeFrom(behaviour);
  return {
    cases: casesOf(tokenizer, behaviour, items, from.after),
    runs,
    judging: { detect, exact: from.exact, threshold: from.runs.output.threshold },
  };
}
