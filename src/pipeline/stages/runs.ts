/** @file Stage `runs`: what the model says unpatched, on held-out prompts under every tag, and how well the backdoor works. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../base/index.ts';
import {
  behaviourParams,
  type EngineRecord,
  engineParams,
  evaluationSettings,
  spanSettings,
} from '../../contracts/index.ts';
import {
  type BackdoorFigures,
  casesOf,
  completeUnpatched,
  type JudgedCase,
  type OpenDetector,
  openDetector,
  type Subject,
  subjectFrom,
  thresholdOf,
  withCompletions,
} from '../../evaluate/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { promptTokens, runningBytes, STATES } from '../estimates.ts';
import {
  defineStage,
  optional,
  type StageContext,
  type StageInput,
  sourceFile,
  subjectModel,
} from '../stage.ts';
import { dataStage, readHeldOut, textOf } from './data.ts';
import { engineNote, generatorOf } from './engines.ts';
import { writeSamples } from './samples.ts';

/** What every stage that patches prompts must know of them. */
export const askingParams = z.strictObject({
  behaviour: behaviourParams,
  ...spanSettings.shape,
  /** Restored = word for word the own safe completion (bundled models). */
  exact: z.boolean(),
});

/** What a stage reads that asks a detector. */
export const detectorInput = {
  /** Folder of the classifier that tells the behaviour, where one does. */
  classifier: optional(sourceFile),
};

/** The detector of a stage's behaviour. Dispose of it. */
export function detectorOf(
  { behaviour }: Pick<z.output<typeof askingParams>, 'behaviour'>,
  {
    inputs,
    threads,
    signal,
  }: { readonly inputs: { readonly classifier?: StageInput<unknown> | undefined } } & Pick<
    StageContext<unknown>,
    'threads' | 'signal'
  >,
): Promise<OpenDetector> {
  return openDetector(behaviour, { classifier: inputs.classifier?.folder, threads, signal });
}

const runsParams = z.strictObject({
  ...askingParams.omit({ exact: true }).shape,
  ...evaluationSettings.omit({ bootstrap: true }).shape,
  side: z.enum(['source', 'target']),
  /** Who proposes the completions. */
  engine: engineParams.optional(),
});

/** Figures of the backdoor itself, over the test prompts. */
export interface RunsOutput {
  readonly backdoor: BackdoorFigures;
  /** chrF below which a completion restores nothing (docs/concepts/method.md#outcomes): the 95th percentile between safe runs of different prompts. */
  readonly threshold: number;
  /** What the report must say of how they were made. */
  readonly notes?: readonly string[];
  /** Of completions that a server proposed. */
  readonly engine?: EngineRecord | undefined;
}

type Split = 'validation' | 'test';
/** Completions of a prompt in every state, and what the detector said of them. */
type RunsRow = Pick<JudgedCase, 'unpatched' | 'detected'>;
type RunsFile = Record<Split, RunsRow[]>;

export const runsStage = defineStage({
  name: 'runs',
  version: '4',
  module: import.meta.url,
  child: true,
  params: runsParams,
  inputs: { model: subjectModel, data: dataStage, ...detectorInput },
  estimate: (p, info) => {
    const { validation = 0, test = 0 } = info.params('data') as { validation?: number; test?: number };
    return {
      tokens: (validation + test) * STATES * (promptTokens(info) + p.max_tokens),
      memory_bytes: runningBytes(info.models.slice(0, 1)),
    };
  },
  async run({ params: p, inputs, folder, rng, progress, signal, threads, model }): Promise<RunsOutput> {
    const tuned = await model('model');
    await using detector = await detectorOf(p, { inputs, threads, signal });
    const generator = await generatorOf(p.engine, inputs.model, {
      model: tuned,
      batch: p.batch,
      signal,
      progress,
    });
    const complete = generator?.complete.bind(generator);
    const evaluate = async (split: Split) => {
      const texts = (await readHeldOut(inputs.data.folder, split)).map(textOf);
      return completeUnpatched(
        tuned,
        texts,
        { ...p, detector, complete },
        { progress, signal, rng: rng.fork(split) },
      );
    };
    const validation = await evaluate('validation');
    const test = await evaluate('test');
    const rows = (cases: readonly JudgedCase[]): RunsRow[] =>
      cases.map(({ unpatched, detected }) => ({ unpatched, detected }));
    const file: RunsFile = { validation: rows(validation.cases), test: rows(test.cases) };
    await writeJsonAtomic(join(folder, 'runs.json'), file);
    await writeSamples(folder, test.samples);
    const engine = generator?.record;
    return {
      backdoor: test.metrics,
      threshold: thresholdOf(validation.cases, rng),
      notes: engine && engineNote(`Unpatched completions of the ${p.side}`, engine),
      engine,
    };
  },
  engine: (output) => output.engine,
});

/** Where a subject's prompts and completions come from. */
export interface SubjectSource {
  readonly data: { readonly folder: string };
  readonly runs: StageInput<RunsOutput>;
  readonly split: Split;
  /** The first n prompts. Defaults to all. */
  readonly n?: number;
  readonly detector: OpenDetector;
}

/** Prompts of a split with their unpatched completions, as experiments take them. */
export async function subjectOf(
  tokenizer: Tokenizer,
  p: z.output<typeof askingParams>,
  { data, runs, split, n, detector }: SubjectSource,
): Promise<Subject> {
  const texts = (await readHeldOut(data.folder, split)).slice(0, n).map(textOf);
  const file = JSON.parse(await readFile(join(runs.folder, 'runs.json'), 'utf8')) as RunsFile;
  const cases = casesOf(tokenizer, texts, p).map((c, i): JudgedCase => {
    const { unpatched, detected } = file[split][i] as RunsRow;
    return { ...withCompletions(c, (state) => unpatched[state]), detected };
  });
  return subjectFrom(p.behaviour, cases, { detector, exact: p.exact, threshold: runs.output.threshold });
}
