/** @file `index.json` of a capture: what was captured, and in which shard each text's rows lie. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hashJson, InputError, writeJsonAtomic } from '../base/index.ts';

const identity = {
  format: z.literal('crosspatch-activations'),
  version: z.literal(1),
  /** The `layers` axis: canonical hook names. */
  hooks: z.array(z.string()).min(1),
  d_model: z.int().min(1),
  dtype: z.enum(['F32', 'F16', 'BF16']),
  /** Name and content hash of the model, hash of its vocabulary, hash of ids and tokens of all texts. */
  model: z.string(),
  model_hash: z.string(),
  tokenizer_hash: z.string(),
  texts_hash: z.string(),
};
/** How far the activations are from another reading of the same tokens, relative to their length. */
const differenceSchema = z.strictObject({
  texts: z.int().min(0),
  rows: z.int().min(0),
  /** `difference` = √(Σ‖Δ‖² / Σ‖h‖²) over all rows; `median` and `max` of ‖Δ‖/‖h‖. */
  layers: z.array(
    z.strictObject({ hook: z.string(), difference: z.number(), median: z.number(), max: z.number() }),
  ),
});

const indexSchema = z.strictObject({
  ...identity,
  complete: z.boolean(),
  rows: z.int().min(0),
  /** `start` = the shard's first row; `sha256` of its file. */
  shards: z.array(
    z.strictObject({
      file: z.string().regex(/^shard-\d{5,}\.safetensors$/),
      start: z.int().min(0),
      rows: z.int().min(1),
      sha256: z.string(),
    }),
  ),
  /** In the order given; `offset` = first row. */
  prompts: z.array(z.strictObject({ id: z.string(), offset: z.int().min(0), tokens: z.int().min(1) })),
  /** Of an imported capture: from the model as our own engine runs it, and from the same texts captured again in other batches. */
  noise: z
    .strictObject({ model: differenceSchema.optional(), again: differenceSchema.optional() })
    .optional(),
  /** Of the rest of this document. */
  sha256: z.string(),
});

/** `index.json` of a capture, without its own hash. */
export type CaptureIndex = Omit<z.infer<typeof indexSchema>, 'sha256'>;

export type CaptureDifference = z.infer<typeof differenceSchema>;

/** Its name. */
export const INDEX = 'index.json';

/** What tells one capture from another. */
export const IDENTITY = Object.keys(identity) as readonly (keyof typeof identity)[];

/** Write the index, with its own hash. */
export async function writeIndex(folder: string, index: CaptureIndex): Promise<void> {
  await writeJsonAtomic(join(folder, INDEX), { ...index, sha256: hashJson(index) });
}

/** Read and check `index.json` of a capture. */
export async function readCaptureIndex(folder: string): Promise<CaptureIndex> {
  const path = join(folder, INDEX);
  if ((await stat(path).catch(() => undefined)) === undefined)
    throw new InputError(`${folder}: no index.json; is this a folder made by capture?`, {
      id: 'capture-damaged',
    });
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new InputError(`${path}: is not JSON; capture again`, { id: 'capture-damaged', cause });
  }
  const parsed = indexSchema.safeParse(value);
  if (!parsed.success)
    throw new InputError(`${path}: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' ')}`, {
      id: 'capture-damaged',
    });
  const { sha256, ...index } = parsed.data;
  if (hashJson(index) !== sha256)
    throw new InputError(`${path}: was changed after it was written; capture again into another folder`, {
      id: 'capture-damaged',
    });
  return index;
}
