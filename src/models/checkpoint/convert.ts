/** @file `convertToHf`: any checkpoint as a Hugging Face folder with one safetensors file. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  claimFolder,
  InputError,
  type ProgressSink,
  SEAL,
  withAtomicFolder,
  writeFileAtomic,
  writeJsonAtomic,
} from '../../base/index.ts';
import { DTYPE_BYTES, type FloatDtype } from './dtypes.ts';
import { CheckpointError, show } from './errors.ts';
import { decodeToFloat32 } from './numbers.ts';
import { tensorPieces } from './safetensors-file.ts';
import { type TensorToWrite, type WritableDtype, writeSafetensors } from './safetensors-write.ts';
import type { Checkpoint, TensorInfo } from './types.ts';

/** Options of {@link convertToHf}. */
export interface ConvertOptions {
  /** Type of all float tensors, rounded to nearest even. Defaults to each tensor's own (F32 for a GGUF). */
  readonly dtype?: FloatDtype;
  /** More files for the folder, by name: the tokenizer's. Defaults to none. */
  readonly extraFiles?: Readonly<Record<string, string>>;
  /** Replace a folder that crosspatch wrote. Defaults to false: an empty or new one is wanted. */
  readonly overwrite?: boolean;
  /** Hears `checkpoint.convert` in bytes. Defaults to nobody. */
  readonly onProgress?: ProgressSink;
}

const TORCH_NAME: Record<FloatDtype, string> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/**
 * Write `checkpoint` to `outFolder`: `config.json`, `generation_config.json`, `model.safetensors` and `extraFiles`.
 * The folder appears when it is whole. Holds one 16 MiB piece of weights at a time.
 *
 * @throws InputError when `outFolder` holds what crosspatch did not write, or is not empty and `overwrite` is not set
 */
export async function convertToHf(
  checkpoint: Checkpoint,
  outFolder: string,
  options: ConvertOptions = {},
): Promise<void> {
  const { dtype, extraFiles = {}, overwrite = false, onProgress } = options;
  await using _claim = await claimFolder(outFolder, {
    reads: [checkpoint.path],
    makes: ['model.safetensors'],
  });
  const there = (await readdir(outFolder).catch(() => [])).filter((name) => name !== SEAL);
  if (there.length > 0 && !overwrite)
    throw new InputError(
      `${outFolder}: wanted an empty or new folder, got ${there.length} entries; choose another, or allow overwriting`,
      { id: 'out-not-ours' },
    );
  for (const name of Object.keys(extraFiles))
    if (name !== basename(name) || name === 'config.json' || name === 'model.safetensors')
      throw new InputError(`convertToHf: wanted a plain file name, got "${name}"; rename the extra file`, {
        id: 'checkpoint-damaged',
      });

  const infos = [...checkpoint.tensors.values()];
  const total = infos.reduce((n, t) => n + t.byteLength, 0);
  let done = 0;
  const advance = (bytes: number): void => {
    done += bytes;
    onProgress?.({ stage: 'checkpoint.convert', done, total, unit: 'bytes' });
  };
  const torch = dtype === undefined ? {} : { torch_dtype: TORCH_NAME[dtype] };
  await withAtomicFolder(outFolder, async (aside) => {
    await writeJsonAtomic(join(aside, 'config.json'), { ...checkpoint.config, ...torch });
    if (checkpoint.generationConfig !== undefined)
      await writeJsonAtomic(join(aside, 'generation_config.json'), checkpoint.generationConfig);
    for (const [name, text] of Object.entries(extraFiles)) await writeFileAtomic(join(aside, name), text);
    await writeSafetensors(
      join(aside, 'model.safetensors'),
      infos.map((t) => tensorToWrite(t, dtype, advance)),
    );
  });
}

function tensorToWrite(
  info: TensorInfo,
  dtype: FloatDtype | undefined,
  advance: (bytes: number) => void,
): TensorToWrite {
  const isFloat = ['F64', 'F32', 'F16', 'BF16'].includes(info.dtype);
  const target = isFloat && dtype !== undefined ? dtype : info.dtype === 'F64' ? 'F32' : info.dtype;
  if (!isWritable(target))
    throw new CheckpointError(`${info.file}: tensor ${show(info.name)}`, {
      id: 'model-unsupported',
      wanted: 'F64, F32, F16, BF16, I64 or I32',
      got: info.dtype,
      next: 'this checkpoint cannot be converted',
    });
  const data = async function* (): AsyncGenerator<Uint8Array | Float32Array> {
    for await (const bytes of tensorPieces(info)) {
      yield target === info.dtype ? bytes : decodeToFloat32(info.dtype, bytes);
      advance(bytes.byteLength);
    }
  };
  return { name: info.name, dtype: target, shape: info.shape, data };
}

function isWritable(dtype: string): dtype is WritableDtype {
  return dtype in DTYPE_BYTES && ['F32', 'F16', 'BF16', 'I64', 'I32'].includes(dtype);
}
