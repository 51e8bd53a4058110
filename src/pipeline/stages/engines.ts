/**
 * @file Servers that generate, as a plan has them: asked what they are before anything runs, since that belongs to the key of what they
 * make. What a server said is kept, so that what is finished can be looked at while it is down.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashJson, type ProgressSink, parseJson, writeJsonAtomic } from '../../base/index.ts';
import {
  type EngineParams,
  type EngineRecord,
  type EngineSettings,
  engineParams,
} from '../../contracts/index.ts';
import { openServed, ServedGenerator } from '../../evaluate/index.ts';
import { cacheRoot, type LanguageModel } from '../../models/index.ts';
import type { ExpandOptions } from '../experiment.ts';
import type { StageInput } from '../stage.ts';

/** Settings of a recipe as stages take them. A plan that is only looked at asks nobody. */
export async function plannedEngine(
  settings: EngineSettings | undefined,
  { weights, signal }: ExpandOptions,
): Promise<EngineParams | undefined> {
  if (settings === undefined) return undefined;
  const { base_url, model } = settings;
  const file = join(cacheRoot(), 'servers', `${hashJson({ base_url, model })}.json`);
  const known = await readKnown(file);
  if (weights === false) return { ...settings, server: known ?? {} };
  try {
    const { server } = await openServed(settings, { signal });
    await writeJsonAtomic(file, server);
    return { ...settings, server };
  } catch (error) {
    if (known === undefined) throw error;
    return { ...settings, server: known };
  }
}

/** The generator of a stage, where its parameters name an engine. */
export async function generatorOf(
  engine: EngineParams | undefined,
  input: StageInput<unknown> | undefined,
  options: {
    readonly model: LanguageModel;
    readonly batch: number;
    readonly signal: AbortSignal;
    readonly progress: ProgressSink;
  },
): Promise<ServedGenerator | undefined> {
  if (engine === undefined) return undefined;
  const { progress, ...rest } = options;
  return ServedGenerator.open(engine, { ...rest, modelKey: input?.key ?? '', onProgress: progress });
}

/** What the report must say of what a server generated; `what`: `Answers`, `Unpatched completions of the target`. */
export function engineNote(what: string, record: EngineRecord | undefined): string[] {
  if (record === undefined) return [];
  const { model, kind, version, completions, checked, verified } = record;
  const who = [kind ?? 'a server', version].filter((part) => part !== undefined).join(' ');
  const near = `Of the first ${checked.completions}, ${checked.equal} were token for token what our own engine gives; of their ${checked.tokens} tokens ${checked.agreed} were its greedy choice`;
  return verified === undefined
    ? [`${what} (${completions}) were written by ${model} on ${who}, not by our own engine. ${near}.`]
    : [
        `${what} (${completions}) were proposed by ${model} on ${who}, and all verified by our own engine: ${verified} stood as they were, the others were decoded here.`,
      ];
}

async function readKnown(file: string): Promise<EngineParams['server'] | undefined> {
  try {
    return engineParams.shape.server.parse(parseJson(await readFile(file, 'utf8'), file));
  } catch {
    return undefined;
  }
}
