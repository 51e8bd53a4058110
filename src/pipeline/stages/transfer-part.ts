/** @file Stage `transfer-part`: a part of the prompts, steered with every arm of every map. What is made of the runs is the business of `transfer`. */
import { join } from 'node:path';
import { z } from 'zod';
import { type JobDone, joinJobs, runTransfer, type Subject } from '../../evaluate/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, type StageInput } from '../stage.ts';
import { readCaseRows, writeCaseRows } from './case-rows.ts';
import { detectorOf } from './runs.ts';
import {
  steeredInputs,
  steeredOf,
  transferCompletions,
  transferParams,
  transferRng,
} from './transfer-setup.ts';
import { readPrepared, transferSpansStage } from './transfer-spans.ts';

const RUNS = 'runs.jsonl';

const partParams = z.strictObject({
  ...transferParams.shape,
  part: z.strictObject({ index: z.int().min(0), of: z.int().min(1) }),
});

/** Drafts by job; every job of the transfer is here. */
export interface TransferPartOutput {
  readonly jobs: Readonly<Record<string, Pick<JobDone, 'offeredTokens' | 'acceptedTokens'>>>;
}

/** A line of the file. */
type Row = { readonly job: string } & (
  | ({ readonly kind: 'run' } & JobDone['runs'][number])
  | ({ readonly kind: 'untagged' } & JobDone['untagged'][number])
);

export const transferPartStage = defineStage({
  name: 'transfer-part',
  version: '1',
  module: import.meta.url,
  child: true,
  params: partParams,
  inputs: { ...steeredInputs, spans: transferSpansStage },
  estimate: ({ part, ...p }, info) => ({
    tokens: Math.round(
      (transferCompletions(p, p.transfer.prompts) / part.of) * (promptTokens(info) + p.evaluation.max_tokens),
    ),
    memory_bytes: runningBytes(info.models.filter((m) => m.role === 'target')),
  }),
  async run({ params: { part, ...p }, inputs, folder, seed, model, ...env }): Promise<TransferPartOutput> {
    const target = await model('target');
    await using detector = await detectorOf(p, { inputs, ...env });
    const given = await steeredOf(target, p, inputs, detector);
    const { cases } = given.subject;
    const prepared = await readPrepared(inputs.spans, given, p);
    const own = cases.slice(
      Math.floor((part.index * cases.length) / part.of),
      Math.floor(((part.index + 1) * cases.length) / part.of),
    );
    const jobs: Record<string, Pick<JobDone, 'offeredTokens' | 'acceptedTokens'>> = {};
    const rows: Row[] = [];
    const ran = runTransfer({ ...given, part: own }, prepared, p, { ...env, seed, rng: transferRng(seed) });
    for await (const [job, { runs, untagged, ...drafts }] of ran) {
      jobs[job] = drafts;
      for (const run of runs) rows.push({ job, kind: 'run', ...run });
      for (const answers of untagged) rows.push({ job, kind: 'untagged', ...answers });
    }
    await writeCaseRows(join(folder, RUNS), rows, cases);
    return { jobs };
  },
});

/** The jobs of finished parts, each as one. */
export async function readParts(
  parts: readonly StageInput<TransferPartOutput>[],
  { cases }: Pick<Subject, 'cases'>,
): Promise<Map<string, JobDone>> {
  const done = new Map<string, JobDone[]>();
  for (const part of parts)
    for (const [job, of] of await readPart(part, cases)) done.set(job, [...(done.get(job) ?? []), of]);
  return new Map([...done].map(([job, of]) => [job, joinJobs(of)]));
}

async function readPart(
  { folder, output }: StageInput<TransferPartOutput>,
  cases: Subject['cases'],
): Promise<Map<string, JobDone>> {
  const found = new Map(
    Object.entries(output.jobs).map(([job, drafts]) => [
      job,
      { ...drafts, runs: [] as JobDone['runs'][number][], untagged: [] as JobDone['untagged'][number][] },
    ]),
  );
  for (const row of await readCaseRows<Row>(join(folder, RUNS), cases)) {
    const { job, kind: _kind, ...rest } = row;
    if (row.kind === 'run') found.get(job)?.runs.push(rest as JobDone['runs'][number]);
    else found.get(job)?.untagged.push(rest as JobDone['untagged'][number]);
  }
  return found;
}
