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
