/**
 * @file A stage as a job of the queue: what another machine needs to compute it from the shared store. Inputs go by their keys, code by
 * its place within crosspatch; what a stage wrote never passes through the queue.
 */
import { relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { CrosspatchError, InputError } from '../../base/index.ts';
import { modelProvider } from '../../engine/index.ts';
import { findStage } from '../find-stage.ts';
import { packageRoot } from '../machine.ts';
import { needs, type Plan, type SourceNode, type StageNode, stageKey } from '../plan.ts';
import { estimateOf } from '../plan-info.ts';
import { type RemoteError, revive } from '../remote-error.ts';
import type { AnyStage } from '../stage.ts';
import type { Asked } from './capacity.ts';

const key = z.string().regex(/^[0-9a-f]{64}$/);
const inputSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('stage'),
    id: z.string(),
    stage: z.string().regex(/^[\w-]+$/),
    key,
    /** Place of the model in the folder, where it leaves one. */
    model: z.string().optional(),
  }),
  z.strictObject({
    kind: z.literal('source'),
    id: z.string(),
    key,
    name: z.string(),
    sha256: key,
    /** Where the submitter has it: an absolute path, or one within crosspatch's own folder. */
    path: z.string(),
    bundled: z.boolean(),
    /** Its name as a model. */
    model: z.string().optional(),
    weights: z.enum(['f32', 'packed']).optional(),
  }),
]);
/** What a stage reads, as a job names it. */
export type JobInput = z.infer<typeof inputSchema>;
export type JobSource = Extract<JobInput, { kind: 'source' }>;

const jobSchema = z.strictObject({
  /** crosspatch's version. */
  crosspatch: z.string(),
  id: z.string(),
  key,
  stage: z.string().regex(/^[\w-]+$/),
  stage_version: z.string(),
  /** Place of the module that exports the stage, from crosspatch's code folder, without its ending. */
  module: z.string(),
  params: z.unknown(),
  seed: z.number(),
  threads: z.int().min(1),
  provider: z.string(),
  inputs: z.record(z.string(), z.union([inputSchema, z.array(inputSchema)])),
  memory_bytes: z.number().optional(),
  work: z.strictObject({ tokens: z.number(), parameters: z.number() }).optional(),
});
export type StageJob = z.infer<typeof jobSchema>;

const askingSchema = z.object({
  crosspatch: z.string(),
  threads: z.number(),
  provider: z.string().optional(),
  memory_bytes: z.number().optional(),
});
const packedSchema = askingSchema.extend({ job: z.string() });
/** A job as the queue holds it: what it asks for, and all of it as text, since PostgreSQL sorts the keys of objects and takes no NUL in strings. */
export type PackedJob = z.infer<typeof packedSchema>;

export function packJob(job: StageJob): PackedJob {
  const { crosspatch, threads, provider, memory_bytes } = job;
  return { crosspatch, threads, provider, memory_bytes, job: JSON.stringify(job) };
}

/** The queue's own name of a job: that of the folder in the store, so that one result is never asked for twice at the same time. */
export function jobId({
  key,
  stage,
}: {
  readonly key: string;
  readonly stage: { readonly name: string };
}): string {
  return `${stage.name}-${key.slice(0, 20)}`;
}

/** Where the submitter has an input from outside. */
export type SourcePlace = Pick<JobSource, 'path' | 'bundled'>;

/** What a job says beside its stage. */
export interface JobSettings {
  readonly version: string;
  readonly threads: number;
  readonly place: (source: SourceNode) => SourcePlace;
}

/** `node` as a job. */
export function jobOf(plan: Plan, node: StageNode, { version, threads, place }: JobSettings): StageJob {
  const input = (id: string): JobInput => {
    const read = plan.get(id);
    if (read.kind === 'stage')
      return { kind: 'stage', id, stage: read.stage.name, key: read.key, model: read.stage.model };
    const { output, about } = read;
    const { name: model, weights } = about.model ?? {};
    return { kind: 'source', id, key: read.key, ...output, ...place(read), model, weights };
  };
  const { estimate, work } = estimateOf(plan, node);
  return {
    crosspatch: version,
    id: node.id,
    key: node.key,
    stage: node.stage.name,
    stage_version: node.stage.version,
    module: placeOf(node.stage.module),
    params: node.params,
    seed: node.seed,
    threads,
    provider: modelProvider(),
    inputs: Object.fromEntries(
      Object.entries(node.inputs).map(([name, ids]) => [
        name,
        typeof ids === 'string' ? input(ids) : ids.map(input),
      ]),
    ),
    memory_bytes: estimate.memory_bytes,
    work,
  };
}

/** Sources a job reads. */
export function sourcesOf(plan: Plan, node: StageNode): SourceNode[] {
  return needs(node).flatMap((id) => {
    const read = plan.get(id);
    return read.kind === 'source' ? [read] : [];
  });
}

/** What a job asks for; of a job of another version only that is read. */
export function askedBy(data: unknown): Asked {
  const asking = askingSchema.safeParse(data).data;
  return {
    version: asking?.crosspatch ?? 'of another kind',
    provider: asking?.provider ?? 'cpu',
    cores: asking?.threads ?? 1,
    memory_bytes: asking?.memory_bytes ?? 0,
  };
}

/**
 * What a worker of the same version makes of a job's data. The key is computed again: what does not fit its address, because it was changed or
 * comes from other code, is refused.
 */
export async function openJob(data: unknown): Promise<{ readonly job: StageJob; readonly node: StageNode }> {
  const job = jobSchema.parse(JSON.parse(packedSchema.parse(data).job));
  const stage: AnyStage = await findStage({ module: moduleAt(job.module), name: job.stage });
  const keys = Object.entries(job.inputs).map(([name, read]) => [
    name,
    Array.isArray(read) ? read.map((one) => one.key) : read.key,
  ]);
  const { params, seed, id } = job;
  const content = {
    stage: stage.name,
    version: stage.version,
    params,
    seed,
    inputs: Object.fromEntries(keys),
  };
  if (stageKey(content) !== job.key)
    throw new InputError(
      `${id}: what the job says does not give its key; submitter and worker run other code: install the same crosspatch on both`,
      { id: 'queue-mismatch' },
    );
  return { job, node: { kind: 'stage', id, key: job.key, stage, params, seed, inputs: {}, publish: {} } };
}

/** A failed job's reason: an error that was sent, or the queue's own word for a worker that was lost twice or could not say that it was done. */
export function failureOf(reason: string, id: string): Error {
  const sent = readSent(reason);
  if (sent) return revive(sent);
  const what = reason.includes('stalled')
    ? 'two workers in a row were lost with it (out of memory, killed, or cut off)'
    : 'the queue lost it';
  return new CrosspatchError(`${id}: ${what}; run again to go on from here`, {
    id: 'worker-died',
    cause: reason,
  });
}

/** Whether a job's reason of failure is the error of its stage, and not the queue's own. */
export function isOfStage(reason: string): boolean {
  return readSent(reason) !== undefined;
}

function readSent(reason: string): RemoteError | undefined {
  try {
    const value = JSON.parse(reason) as RemoteError;
    return typeof value?.message === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The folder that holds `pipeline`: `src`, or `dist` once built. */
const codeRoot = new URL('../../', import.meta.url);

function placeOf(module: string): string {
  return relative(fileURLToPath(codeRoot), fileURLToPath(module))
    .replaceAll('\\', '/')
    .replace(/\.[jt]s$/, '');
}

function moduleAt(place: string): string {
  const url = new URL(`${place}.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, codeRoot);
  if (!url.href.startsWith(`${pathToFileURL(packageRoot()).href}/`))
    throw new InputError(`${place}: no module of crosspatch`, { id: 'queue-mismatch' });
  return url.href;
}
