/**
 * @file The models of a recipe. What their small files say comes first, for every check and for `--dry-run`; their weights come last: it may
 * take hours to fetch them, and what a person has to mend should be said before.
 */
import { resolve } from 'node:path';
import { tokenizerHash } from '../../activations/index.ts';
import type { ProgressEvent } from '../../base/index.ts';
import {
  heldAs,
  inspectModelFiles,
  parameterCount,
  resolveModel,
  type WeightsForm,
} from '../../models/index.ts';
import type { ExpandOptions } from '../experiment.ts';
import type { NodeRef, Plan } from '../plan.ts';
import type { SourceOutput } from '../stage.ts';

/** A model by the name the recipe gives it, and what its files say. */
export type FoundModel = Awaited<ReturnType<typeof find>>;

/** The models of these names, without those weights that would have to be fetched. Refuses those that may not be fetched. */
export async function findModels(
  names: readonly string[],
  { signal }: ExpandOptions,
): Promise<ReadonlyMap<string, FoundModel>> {
  const found = new Map<string, FoundModel>();
  for (const name of names)
    if (!found.has(name)) found.set(name, await find(name, { weights: false, signal }));
  return found;
}

/** Fetch the weights that are missing, and look at the models again. */
export async function withWeights(
  models: ReadonlyMap<string, FoundModel>,
  { signal, onEvent }: ExpandOptions,
): Promise<ReadonlyMap<string, FoundModel>> {
  const whole = new Map(models);
  for (const [name, { missingBytes }] of models) {
    if (missingBytes === 0) continue;
    const stage = `pull ${name}`;
    const from = performance.now();
    onEvent?.({ state: 'started', stage, done: 0 });
    // Which file it is does not matter to who waits for all of them.
    const onProgress = ({ done, total, unit }: ProgressEvent): void =>
      onEvent?.({ state: 'running', stage, done, total, unit });
    whole.set(name, await find(name, { signal, onProgress }));
    onEvent?.({ state: 'done', stage, done: 1, total: 1, seconds: (performance.now() - from) / 1000 });
  }
  return whole;
}

async function find(name: string, options: NonNullable<Parameters<typeof resolveModel>[1]>) {
  const { kind, path, commit, missingBytes } = await resolveModel(name, options);
  return {
    name,
    // From whatever folder it is asked for.
    reference: kind === 'path' ? resolve(name) : name,
    path,
    commit,
    missingBytes,
    ...(await inspectModelFiles(path, { weights: missingBytes === 0 })),
  };
}

/** A model as a node. */
export function modelNode(
  plan: Plan,
  role: string,
  model: FoundModel,
  weights: WeightsForm | undefined,
): Promise<NodeRef<SourceOutput>> {
  const { name, path, commit, missingBytes, checkpoint, config, tokenizer } = model;
  return plan.source(`model.${role.replace(' ', '.')}`, path, {
    model: {
      role,
      name,
      commit,
      family: config.modelType,
      parameters: parameterCount(config),
      blocks: config.blocks.length,
      width: config.dModel,
      weights: heldAs(checkpoint, weights),
      tokenizer_sha256: tokenizerHash(tokenizer),
    },
    missingBytes,
  });
}
