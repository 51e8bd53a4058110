/** @file Stage `transfer-part`: a part of the prompts, steered with every arm of every map. What is made of the runs is the business of `transfer`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../base/index.ts';
import { type JobDone, joinJobs, runTransfer, type Subject } from '../../evaluate/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, type StageInput } from '../stage.ts';
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

/** A line of the file: what a run came to, its prompt by its place among those of the transfer. */
type Line = { readonly job: string; readonly case: number } & (
  | { readonly run: Omit<JobDone['runs'][number], 'case'> }
  | { readonly untagged: Omit<JobDone['untagged'][number], 'case'> }
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
    const places = new Map<object, number>(cases.map((c, i) => [c, i]));
    const jobs: Record<string, Pick<JobDone, 'offeredTokens' | 'acceptedTokens'>> = {};
    const lines: Line[] = [];
    const ran = runTransfer({ ...given, part: own }, prepared, p, { ...env, seed, rng: transferRng(seed) });
    for await (const [job, { runs, untagged, ...drafts }] of ran) {
      jobs[job] = drafts;
      for (const { case: c, ...run } of runs) lines.push({ job, case: places.get(c) as number, run });
      for (const { case: c, ...states } of untagged)
        lines.push({ job, case: places.get(c) as number, untagged: states });
    }
    await writeFileAtomic(join(folder, RUNS), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
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
  for (const text of (await readFile(join(folder, RUNS), 'utf8')).split('\n')) {
    if (text === '') continue;
    const line = JSON.parse(text) as Line;
    const at = { case: cases[line.case] as Subject['cases'][number] };
    const job = found.get(line.job);
    if ('run' in line) job?.runs.push({ ...line.run, ...at });
    else job?.untagged.push({ ...line.untagged, ...at });
  }
  return found;
}
