/** @file What a fuzz target is: inputs made from a seed, and the code of ours that reads them. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rng } from '../../src/base/index.ts';

/** One kind of input. `I` is what the reader is given: bytes, text, a value, or files. */
export interface Target<I = unknown> {
  /** What may come out besides success: errors of other classes that the reader's contract names. Defaults to none. */
  readonly refusals?: (error: unknown) => boolean;
  /** Source files whose branches are counted. */
  readonly sources: RegExp;
  /** Input from `rng`: near a sound one, so that it reaches beyond the first check. */
  make(rng: Rng): I;
  /** Bytes of an input. */
  size(input: I): number;
  /** Read it. Returning is acceptance, an `InputError` or `CrosspatchError` a refusal, anything else a finding. */
  attempt(input: I): unknown;
}

/** Prepares a target; `scratch` is an empty folder of its own. */
export type StartTarget = (scratch: string) => Promise<Target>;

/** Type-checks a target and forgets its type of input. */
export function target<I>(given: Target<I>): Target {
  return given as Target;
}

/** Files by name. */
export type Files = Record<string, Uint8Array>;

/** Make `folder` hold these files and nothing else. */
export async function refill(folder: string, files: Files): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
}
