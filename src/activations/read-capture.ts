/** @file Captures read back from disk, a text at a time. */
import { join } from 'node:path';
import { hashFile, InputError } from '../base/index.ts';
import { readSafetensors, readTensorFloat32, refuseNonFinite, type TensorInfo } from '../models/index.ts';
import type { CapturedText } from './capture.ts';
import { type CaptureIndex, readCaptureIndex } from './capture-index.ts';

/**
 * Read back one hook of the texts with these ids, in this order, as {@link captureActivations} would give them. `hook` is an index
 * into `hooks` or a canonical name and defaults to the first. Reads a text at a time.
 */
export async function* readCapture(
  folder: string,
  ids: readonly string[],
  hook: number | string = 0,
): AsyncGenerator<CapturedText, void, undefined> {
  const capture = await OpenCapture.open(folder);
  const { index } = capture;
  const layer = typeof hook === 'number' ? hook : index.hooks.indexOf(hook);
  if (index.hooks[layer] === undefined)
    throw new InputError(`${folder}: holds ${index.hooks.join(', ')}, not hook ${hook}`, {
      id: 'hook-unknown',
    });
  const places = new Map(index.prompts.map((p) => [p.id, p]));
  for (const [at, id] of ids.entries()) {
    const place = places.get(id);
    if (place === undefined)
      throw new InputError(`${folder}: text ${id} was not captured`, { id: 'data-invalid' });
    const all = await capture.hidden(place);
    yield { index: at, hidden: layerOf(all, layer, index.hooks.length, index.d_model) };
  }
}

/** A text of a capture with all of its hooks. */
export interface StoredText {
  readonly id: string;
  readonly ids: readonly number[];
  /** [T,H,D] */
  readonly hidden: Float32Array;
}

type Place = CaptureIndex['prompts'][number];

/** A whole capture on disk. A shard is hashed when it is first read. */
export class OpenCapture {
  readonly index: CaptureIndex;
  readonly #folder: string;
  readonly #shards = new Map<string, ReadonlyMap<string, TensorInfo>>();

  /** @throws InputError for a folder that is not a complete capture */
  static async open(folder: string): Promise<OpenCapture> {
    const index = await readCaptureIndex(folder);
    if (!index.complete)
      throw new InputError(`${folder}: the capture is not complete; run it again to go on`, {
        id: 'capture-damaged',
      });
    return new OpenCapture(folder, index);
  }

  private constructor(folder: string, index: CaptureIndex) {
    this.#folder = folder;
    this.index = index;
  }

  /** Every text, in the order of the capture, one at a time. */
  async *texts(): AsyncGenerator<StoredText, void, undefined> {
    for (const place of this.index.prompts) {
      yield { id: place.id, ids: await this.ids(place), hidden: await this.hidden(place) };
    }
  }

  /** Token ids of one text. */
  async ids(place: Place): Promise<number[]> {
    const [info, from] = await this.#tensor('token_ids', place);
    return [...(await readRows(info, from, place.tokens))];
  }

  /** Activations of one text, [T,H,D]. */
  async hidden(place: Place): Promise<Float32Array> {
    const [info, from] = await this.#tensor('hidden_states', place);
    const data = await readRows(info, from, place.tokens);
    refuseNonFinite(data, `${info.file}: hidden_states of text ${place.id}`);
    return data;
  }

  /** The tensor of the shard that holds a text, and the text's first row in it. */
  async #tensor(name: string, { offset }: Place): Promise<[TensorInfo, from: number]> {
    const shard = this.index.shards.findLast((s) => s.start <= offset) as CaptureIndex['shards'][number];
    const path = join(this.#folder, shard.file);
    let tensors = this.#shards.get(shard.file);
    if (tensors === undefined) {
      if ((await hashFile(path).catch(() => undefined)) !== shard.sha256)
        throw new InputError(`${path}: is missing or was changed; run the capture again to mend it`, {
          id: 'capture-damaged',
        });
      tensors = new Map((await readSafetensors(path)).tensors.map((t) => [t.name, t]));
      this.#shards.set(shard.file, tensors);
    }
    const info = tensors.get(name);
    if (info === undefined) throw new InputError(`${path}: no tensor ${name}`, { id: 'capture-damaged' });
    return [info, offset - shard.start];
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
