/**
 * @file Export for SAELens ≥ 6: a folder with `cfg.json` and `sae_weights.safetensors`, architecture `skip_transcoder`,
 * f(x) = ReLU(x W_enc + b_enc) W_dec + x W_skipᵀ + b_dec.
 */
import { join } from 'node:path';
import { InputError, withAtomicFolder, writeJsonAtomic } from '../base/index.ts';
import { writeSafetensors } from '../models/index.ts';
import type { ActivationMap, MapTensor } from './map.ts';

/** Write `map` (affine, mean or autoencoder) for SAELens. Throws `InputError` for a kind it cannot say. */
export async function exportSaelens(map: ActivationMap, path: string): Promise<void> {
  const tensors = skipTranscoder(map);
  const { source, target, kind, fit, record } = { ...map.record, record: map.record };
  const dSae = tensors.b_enc.data.length;
  await withAtomicFolder(path, async (folder) => {
    await writeSafetensors(
      join(folder, 'sae_weights.safetensors'),
      Object.entries(tensors).map(([name, { shape, data }]) => ({ name, dtype: 'F32', shape, data })),
    );
    await writeJsonAtomic(join(folder, 'cfg.json'), {
      architecture: 'skip_transcoder',
      d_in: source.width,
      d_out: target.width,
      d_sae: dSae,
      dtype: 'float32',
      device: 'cpu',
      apply_b_dec_to_input: false,
      normalize_activations: 'none',
      reshape_activations: 'none',
      metadata: {
        model_name: source.name,
        hook_name: source.hook,
        hook_head_index: null,
        target_model_name: target.name,
        hook_name_out: target.hook,
        source_model_hash: source.model,
        target_model_hash: target.model,
        map_kind: kind,
        map_fit: fit,
        rows: record.rows,
        seed: record.seed,
        made_by: 'crosspatch',
      },
    });
  });
}

/** W_enc [ds,h], b_enc [h], W_dec [h,dt], W_skip [dt,ds], b_dec [dt]. */
function skipTranscoder(map: ActivationMap): Record<string, MapTensor> {
  const dx = map.source.width;
  const dy = map.target.width;
  const zeros = (...shape: number[]): MapTensor => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  const { tensors } = map.body;
  const skip = tensors.weight;
  const offset = tensors.bias ?? tensors.mean;
  if (offset !== undefined)
    return {
      W_enc: zeros(dx, 1),
      b_enc: zeros(1),
      W_dec: zeros(1, dy),
      W_skip: skip ?? zeros(dy, dx),
      b_dec: offset,
    };
  const w1 = tensors['encoder.weight'];
  const w2 = tensors['decoder.weight'];
  if (w1 === undefined || w2 === undefined)
    throw new InputError(
      `export saelens: a ${map.kind} map is not of the form skip_transcoder; export an affine, mean or autoencoder map`,
      { id: 'map-mismatch' },
    );
  return {
    W_enc: transposed(w1),
    b_enc: tensors['encoder.bias'],
    W_dec: transposed(w2),
    W_skip: zeros(dy, dx),
    b_dec: tensors['decoder.bias'],
  };
}

function transposed({ shape, data }: MapTensor): MapTensor {
  const [r, c] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let i = 0; i < r; i++) for (let j = 0; j < c; j++) out[j * r + i] = data[i * c + j];
  return { shape: [c, r], data: out };
}
