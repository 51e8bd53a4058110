/**
 * @file Captures on disk: safetensors shards with vLLM's keys (`hidden_states` [tokens, layers, d], `token_ids` [tokens]) and
 * `index.json`, which says where each text's rows lie. Whole texts in a shard; the index is written after every shard, so a capture
 * that was killed goes on after its last one and ends in the same bytes.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hashFile, hashJson, InputError, SEAL, writeJsonAtomic } from '../base/index.ts';
import {
  type Decoder,
  readSafetensors,
  readTensorFloat32,
  refuseNonFinite,
  type TensorInfo,
  writeSafetensors,
} from '../models/index.ts';
import {
  type CapturedText,
  type CaptureOptions,
  type CaptureText,
  captureActivations,
  captureHooks,
} from './capture.ts';

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
  /** Of the rest of this document. */
  sha256: z.string(),
});

/** `index.json` of a capture, without its own hash. */
type CaptureIndex = Omit<z.infer<typeof indexSchema>, 'sha256'>;

const INDEX = 'index.json';

/** Who was captured; content hashes, as `Checkpoint.contentHash` and `tokenizerHash` give them. */
interface CaptureIdentity {
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
  const { shardRows = 65_536 } = options;
  if (texts.length === 0) throw new InputError('capture: no texts were given', { id: 'data-missing' });
  if (new Set(texts.map((t) => t.id)).size < texts.length)
    throw new InputError('capture: two texts have the same id; ids must be unique', { id: 'data-invalid' });
  let index = await resume(folder, freshIndex(decoder, texts, options));
  const done = index.prompts.length;
  if (index.complete) return index;
  let held: CapturedText[] = [];
  let rows = 0;
  const close = async (): Promise<void> => {
    index = await writeShard(folder, index, texts, held, rows, done);
    held = [];
    rows = 0;
  };
  for await (const text of captureActivations(decoder, texts.slice(done), options)) {
    held.push(text);
    rows += (texts[done + text.index] as CaptureText).ids.length;
    if (rows >= shardRows) await close();
  }
  if (rows > 0) await close();
  index = { ...index, complete: true };
  await writeIndex(folder, index);
  return index;
}

async function writeIndex(folder: string, index: CaptureIndex): Promise<void> {
  await writeJsonAtomic(join(folder, INDEX), { ...index, sha256: hashJson(index) });
}

function freshIndex(
  decoder: Decoder,
  texts: readonly CaptureText[],
  { hooks, dtype = 'F32', model, modelHash, tokenizerHash }: WriteCaptureOptions,
): CaptureIndex {
  return {
    format: 'crosspatch-activations',
    version: 1,
    hooks: captureHooks(decoder, hooks),
    d_model: decoder.config.dModel,
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
  for (const key of Object.keys(identity) as (keyof typeof identity)[])
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

async function writeShard(
  folder: string,
  index: CaptureIndex,
  texts: readonly CaptureText[],
  held: readonly CapturedText[],
  rows: number,
  done: number,
): Promise<CaptureIndex> {
  const file = `shard-${String(index.shards.length).padStart(5, '0')}.safetensors`;
  const members = held.map((h) => texts[done + h.index] as CaptureText);
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
      data: BigInt64Array.from(members.flatMap((t) => t.ids.map(BigInt))),
    },
  ]);
  let offset = index.rows;
  const next: CaptureIndex = {
    ...index,
    rows: index.rows + rows,
    shards: [...index.shards, { file, start: index.rows, rows, sha256: await hashFile(join(folder, file)) }],
    prompts: [
      ...index.prompts,
      ...members.map(({ id, ids }) => {
        const entry = { id, offset, tokens: ids.length };
        offset += ids.length;
        return entry;
      }),
    ],
  };
  await writeIndex(folder, next);
  return next;
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

/**
 * Read back one hook of the texts with these ids, in this order, as {@link captureActivations} would give them. `hook` is an index
 * into `hooks` or a canonical name and defaults to the first. Reads a text at a time.
 */
export async function* readCapture(
  folder: string,
  ids: readonly string[],
  hook: number | string = 0,
): AsyncGenerator<CapturedText, void, undefined> {
  const index = await readCaptureIndex(folder);
  if (!index.complete)
    throw new InputError(`${folder}: the capture is not complete; run it again to go on`, {
      id: 'capture-damaged',
    });
  const layer = typeof hook === 'number' ? hook : index.hooks.indexOf(hook);
  if (index.hooks[layer] === undefined)
    throw new InputError(`${folder}: holds ${index.hooks.join(', ')}, not hook ${hook}`, {
      id: 'hook-unknown',
    });
  const places = new Map(index.prompts.map((p) => [p.id, p]));
  const files = new Map<string, TensorInfo>();
  for (const [at, id] of ids.entries()) {
    const place = places.get(id);
    if (place === undefined)
      throw new InputError(`${folder}: text ${id} was not captured`, { id: 'data-invalid' });
    const shard = index.shards.findLast((s) => s.start <= place.offset) as CaptureIndex['shards'][number];
    let info = files.get(shard.file);
    if (info === undefined) {
      const path = join(folder, shard.file);
      if ((await hashFile(path).catch(() => undefined)) !== shard.sha256)
        throw new InputError(`${path}: is missing or was changed; run the capture again to mend it`, {
          id: 'capture-damaged',
        });
      const { tensors } = await readSafetensors(path);
      info = tensors.find((t) => t.name === 'hidden_states');
      if (info === undefined)
        throw new InputError(`${join(folder, shard.file)}: no tensor hidden_states`, {
          id: 'capture-damaged',
        });
      files.set(shard.file, info);
    }
    const all = await readRows(info, place.offset - shard.start, place.tokens);
    refuseNonFinite(all, `${info.file}: hidden_states of text ${id}`);
    yield { index: at, hidden: layerOf(all, layer, index.hooks.length, index.d_model) };
  }
}

async function readRows(info: TensorInfo, from: number, rows: number): Promise<Float32Array> {
  const rowBytes = info.byteLength / (info.shape[0] as number);
  const slice: TensorInfo = {
    ...info,
    shape: [rows, ...info.shape.slice(1)],
    offset: info.offset + from * rowBytes,
    byteLength: rows * rowBytes,
  };
  return (await readTensorFloat32(slice)).data;
}

/** [T,H,D] → [T,D] of one hook. */
function layerOf(hidden: Float32Array, layer: number, layers: number, d: number): Float32Array {
  if (layers === 1) return hidden;
  const rows = hidden.length / (layers * d);
  const out = new Float32Array(rows * d);
  for (let t = 0; t < rows; t++)
    out.set(hidden.subarray((t * layers + layer) * d, (t * layers + layer + 1) * d), t * d);
  return out;
}
