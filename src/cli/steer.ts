/** @file Interventions of a command: documents read from files, other models and maps opened, proof of effect afterwards. */
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Owned, parseJson, readTextFile } from '../base/index.ts';
import { type InterventionDocument, type InterventionEffect, parseIntervention } from '../contracts/index.ts';
import {
  type AppliedIntervention,
  applyIntervention,
  measureEffect,
  type PromptInput,
  steeringDocument,
} from '../interventions/index.ts';
import type { FwdHook, LanguageModel } from '../models/index.ts';
import { documentResolvers } from '../pipeline/index.ts';
import type { Cli, CommonOptions } from './cli.ts';
import { otherModels } from './model.ts';

/** Documents at work on one list of prompts. Dispose of it to free the other models it opened. */
export interface Steering extends Owned {
  readonly fwdHooks: readonly FwdHook[];
  /** After a run: what was done, effects[prompt][edit]; with `kl` also how far the next token moved. Throws where nothing was. */
  effects(options: { readonly kl: boolean }): Promise<InterventionEffect[][]>;
}

/** Read `files` and make them ready for `prompts` (templates included). No file, no hooks. */
export async function steer(
  model: LanguageModel,
  { files, prompts }: { readonly files: readonly string[]; readonly prompts: readonly PromptInput[] },
  cli: Cli,
  options: CommonOptions,
): Promise<Steering> {
  const others = otherModels(cli, options);
  try {
    const documents = await Promise.all(
      files.map(async (path) => {
        const { document, folder } = await readSteering(path);
        return { document, resolvers: documentResolvers(folder, others.open) };
      }),
    );
    const applied: AppliedIntervention[] = [];
    for (const { document, resolvers } of documents)
      applied.push(await applyIntervention(model, document, prompts, resolvers));
    return {
      fwdHooks: applied.flatMap((a) => a.fwdHooks),
      effects: async ({ kl }) => {
        const done = applied.map((a) => a.proof());
        const rows = prompts.map((_, row) => done.flatMap((effects) => effects[row] ?? []));
        if (!kl) return rows;
        const lengths = applied[0]?.ids.map((ids) => ids.length) ?? [];
        const inPrompt = rows.every(
          (effects, row) =>
            effects.length === 0 || effects.some((e) => e.positions.some((p) => p < (lengths[row] ?? 0))),
        );
        // Edits of generated tokens alone leave the next token as it is; there is nothing to measure.
        if (!inPrompt) return rows;
        const measured: InterventionEffect[][][] = [];
        for (const { document, resolvers } of documents)
          measured.push(await measureEffect(model, document, prompts, resolvers));
        const divergences = measured.map((m) => m.map((effects) => effects[0]?.kl_div));
        return prompts.map((_, row) =>
          done.flatMap((effects, i) =>
            (effects[row] ?? []).map((e) => ({ ...e, ...klOf(divergences[i]?.[row]) })),
          ),
        );
      },
      [Symbol.asyncDispose]: () => others[Symbol.asyncDispose](),
    };
  } catch (error) {
    await others[Symbol.asyncDispose]();
    throw error;
  }
}

/** `set at blocks.3.hook_resid_post, 4 positions, changed by 0.41 of its length` */
export function effectLine(effect: InterventionEffect): string {
  const { hook, op, positions, relative_change } = effect;
  return `${op} at ${hook}, ${positions.length} positions, changed by ${Number(relative_change.toPrecision(3))} of its length`;
}

function klOf(value: number | undefined): { kl_div?: number } {
  return value === undefined ? {} : { kl_div: value };
}

/** A document, and where it was read. */
export interface ReadSteering {
  readonly document: InterventionDocument;
  readonly file: string;
  /** Folder that its paths are relative to. */
  readonly folder: string;
}

/**
 * An intervention (`.json`), the recommended use of a folder of `crosspatch vector`, or a file of vectors (`.gguf`, `.safetensors`), each added
 * after its block at every position. Throws {@link InputError} for what does not fit.
 */
export async function readSteering(path: string): Promise<ReadSteering> {
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (!isFolder && /\.(gguf|safetensors)$/i.test(path))
    return { document: await steeringDocument(resolve(path)), file: path, folder: dirname(path) };
  const file = isFolder ? join(path, 'intervention.json') : path;
  const text = await readTextFile(file);
  return {
    document: parseIntervention(parseJson(text, file, { next: 'correct the file' }), file),
    file,
    folder: dirname(file),
  };
}
