/**
 * @file What a transfer runs, apart from what is made of it: patched runs under names. A part of the prompts can be run in one place and
 * the rest in another; figures are made of all of them (docs/decisions/0016-sweeps-and-transfers-in-parts.md).
 */
import { CrosspatchError } from '../../base/index.ts';
import { type ArmOptions, type ArmPlan, type ArmRun, runArms } from '../arms/run.ts';
import type { BlockOf, Spans } from '../arms/spans.ts';
import { noStats } from '../drafts/run.ts';
import type { Subject } from '../subject/subject.ts';
import { runUntagged, type UntaggedAnswers } from './untagged.ts';

/** Runs under one name, unique within a transfer; progress is reported under it. */
export type TransferJob =
  | ({ readonly name: string; readonly kind: 'arms' } & Pick<ArmPlan, 'armsOf' | 'directions'>)
  | { readonly name: string; readonly kind: 'untagged'; readonly spans: Spans };

/** What came of a job. */
export interface JobDone {
  readonly runs: readonly ArmRun[];
  readonly untagged: readonly UntaggedAnswers[];
  /** Draft tokens checked, and those accepted. */
  readonly offeredTokens: number;
  readonly acceptedTokens: number;
}

/** A finished job by its name. Throws for one that was not run. */
export type DoneJobs = (name: string) => JobDone;

/** Run a job over a subject's prompts. */
export async function runJob(
  { target, subject }: { readonly target: BlockOf; readonly subject: Subject },
  job: TransferJob,
  given: Omit<ArmOptions, 'stage' | 'stats'>,
): Promise<JobDone> {
  const stats = noStats();
  const options = { ...given, stage: job.name, stats };
  const done = { runs: [] as ArmRun[], untagged: [] as readonly UntaggedAnswers[] };
  if (job.kind === 'untagged') done.untagged = await runUntagged({ target, subject }, job.spans, options);
  else {
    const plan = { blocks: [target.block], directions: job.directions, armsOf: job.armsOf };
    for await (const run of runArms(target.model, subject, plan, options)) done.runs.push(run);
  }
  const { offeredTokens, acceptedTokens } = stats;
  return { ...done, offeredTokens, acceptedTokens };
}

/** Lookup of finished jobs. */
export function doneJobs(done: ReadonlyMap<string, JobDone>): DoneJobs {
  return (name) => {
    const found = done.get(name);
    if (found === undefined) throw new CrosspatchError(`transfer: ${name} was not run`, { id: 'internal' });
    return found;
  };
}

/** Finished parts of the same job as one. */
export function joinJobs(parts: readonly JobDone[]): JobDone {
  const sum = (of: (done: JobDone) => number): number => parts.reduce((n, done) => n + of(done), 0);
  return {
    runs: parts.flatMap(({ runs }) => runs),
    untagged: parts.flatMap(({ untagged }) => untagged),
    offeredTokens: sum((done) => done.offeredTokens),
    acceptedTokens: sum((done) => done.acceptedTokens),
  };
}
