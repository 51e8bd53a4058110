/**
 * @file Captures on disk: safetensors shards with vLLM's keys (`hidden_states` [tokens, layers, d], `token_ids` [tokens]) and
 * `index.json`, which says where each text's rows lie. Whole texts in a shard; the index is written after every shard, so a capture
 * that was killed goes on after its last one and ends in the same bytes.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile, hashJson, InputError, SEAL } from '../base/index.ts';
import { type Decoder, writeSafetensors } from '../models/index.ts';
import {
  type CapturedText,
  type CaptureOptions,
  type CaptureText,
  captureActivations,
  captureHooks,
} from './capture.ts';
import { type CaptureIndex, IDENTITY, INDEX, readCaptureIndex, writeIndex } from './capture-index.ts';

/** Who was captured; content hashes, as `Checkpoint.contentHash` and `tokenizerHash` give them. */
export interface CaptureIdentity {
  readonly model: string;
  readonly modelHash: string;
  readonly tokenizerHash: string;
}

/** Options of {@link writeCapture}. */
interface WriteCaptureOptions extends CaptureOptions, CaptureIdentity {
  /** A shard is closed once it holds this many rows. Defaults to 65,536. */
  readonly shardRows?: number;
  /** Defaults to F32 (exact). */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
}

/**
 * Capture into `folder`; holds one shard. Texts already in shards of the same capture (same model, tokenizer, texts, hooks, dtype) are
 * not computed again; anything else that lies there is an error.
 */
export async function writeCapture(
  folder: string,
  decoder: Decoder,
  texts: readonly CaptureText[],
  options: WriteCaptureOptions,
): Promise<CaptureIndex> {
  const { dtype, model, modelHash, tokenizerHash } = options;
  const hooks = captureHooks(decoder, options.hooks);
  return writeTexts(
    folder,
    texts,
    { hooks, width: decoder.config.dModel, dtype, model, modelHash, tokenizerHash },
    { shardRows: options.shardRows, stream: (rest) => captureActivations(decoder, rest, options) },
  );
}

/** What a capture is of, canonical hook names included. */
interface CaptureOf extends CaptureIdentity {
  readonly hooks: readonly string[];
  readonly width: number;
  readonly dtype?: CaptureIndex['dtype'] | undefined;
}

/** Texts into shards, wherever their activations come from: `stream` gives those of a list of texts, in its order. */
export async function writeTexts(
  folder: string,
  texts: readonly CaptureText[],
  of: CaptureOf,
  {
    stream,
    shardRows = 65_536,
  }: {
    readonly stream: (texts: readonly CaptureText[]) => AsyncIterable<CapturedText>;
    readonly shardRows?: number | undefined;
  },
): Promise<CaptureIndex> {
  if (texts.length === 0) throw new InputError('capture: no texts were given', { id: 'data-missing' });
  if (new Set(texts.map((t) => t.id)).size < texts.length)
    throw new InputError('capture: two texts have the same id; ids must be unique', { id: 'data-invalid' });
  let index = await resume(folder, freshIndex(texts, of));
  const done = index.prompts.length;
  if (index.complete) return index;
  let held: HeldText[] = [];
  let rows = 0;
  const close = async (): Promise<void> => {
    index = await writeShard(folder, index, held);
    held = [];
    rows = 0;
  };
  for await (const { index: at, hidden } of stream(texts.slice(done))) {
    const text = texts[done + at] as CaptureText;
    held.push({ ...text, hidden });
    rows += text.ids.length;
    if (rows >= shardRows) await close();
  }
  if (held.length > 0) await close();
  index = { ...index, complete: true };
  await writeIndex(folder, index);
  return index;
}

function freshIndex(
  texts: readonly CaptureText[],
  { hooks, width, dtype = 'F32', model, modelHash, tokenizerHash }: CaptureOf,
): CaptureIndex {
  return {
    format: 'crosspatch-activations',
    version: 1,
    hooks: [...hooks],
    d_model: width,
    dtype,
    model,
    model_hash: modelHash,
    tokenizer_hash: tokenizerHash,
    texts_hash: hashJson(texts.map((t) => [t.id, t.ids])),
    complete: false,
    rows: 0,
    shards: [],
    prompts: [],
  };
}

/** Half-written files of a capture that was killed, and shards that no index names. */
const LEFTOVER = /^(shard-\d{5,}\.safetensors|\.(shard-\d{5,}\.safetensors|index\.json)\..*)$/;

/** What is already there and whole, if it is the same capture. */
async function resume(folder: string, fresh: CaptureIndex): Promise<CaptureIndex> {
  const names = (await readdir(folder).catch((): string[] => [])).filter((name) => name !== SEAL);
  if (names.length === 0) return fresh;
  if (!names.includes(INDEX)) {
    const foreign = names.find((name) => !LEFTOVER.test(name));
    if (foreign !== undefined)
      throw new InputError(`${folder}: holds ${foreign} and no capture; give an empty folder`, {
        id: 'out-not-ours',
      });
    await Promise.all(names.map((n) => rm(join(folder, n))));
    return fresh;
  }
  const found = await readCaptureIndex(folder);
  for (const key of IDENTITY)
    if (JSON.stringify(found[key]) !== JSON.stringify(fresh[key]))
      throw new InputError(
        `${folder}: holds another capture (${key} is ${JSON.stringify(found[key])}, wanted ${JSON.stringify(fresh[key])}); give another folder`,
        { id: 'out-not-ours' },
      );
  return upToDamage(folder, found);
}

/** The index as it was before the first shard that is missing or was changed: that one and those after it are captured again. */
async function upToDamage(folder: string, index: CaptureIndex): Promise<CaptureIndex> {
  for (const [i, { file, start, sha256 }] of index.shards.entries()) {
    const hash = await hashFile(join(folder, file)).catch(() => undefined);
    if (hash === sha256) continue;
    const prompts = index.prompts.filter((p) => p.offset < start);
    return { ...index, complete: false, rows: start, shards: index.shards.slice(0, i), prompts };
  }
  return index;
}

/** A text with its activations [T,H,D], on its way into a shard. */
interface HeldText extends CaptureText {
  readonly hidden: Float32Array;
}

async function writeShard(
  folder: string,
  index: CaptureIndex,
  held: readonly HeldText[],
): Promise<CaptureIndex> {
  const rows = held.reduce((n, { ids }) => n + ids.length, 0);
  const file = `shard-${String(index.shards.length).padStart(5, '0')}.safetensors`;
  await writeSafetensors(join(folder, file), [
    {
      name: 'hidden_states',
      dtype: index.dtype,
      shape: [rows, index.hooks.length, index.d_model],
      data: async function* () {
        for (const { hidden } of held) yield hidden;
      },
    },
    {
      name: 'token_ids',
      dtype: 'I64',
      shape: [rows],
      data: BigInt64Array.from(held.flatMap((t) => t.ids.map(BigInt))),
    },
  ]);
  let offset = index.rows;
  const next: CaptureIndex = {
    ...index,
    rows: index.rows + rows,
    shards: [...index.shards, { file, start: index.rows, rows, sha256: await hashFile(join(folder, file)) }],
    prompts: [
      ...index.prompts,
      ...held.map(({ id, ids }) => {
        const entry = { id, offset, tokens: ids.length };
        offset += ids.length;
        return entry;
      }),
    ],
  };
  await writeIndex(folder, next);
  return next;
}
