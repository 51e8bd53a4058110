/** @file Trained weights as a Hugging Face folder. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withAtomicFolder } from '../base/index.ts';
import { allTensors, parseModelConfig, writeSafetensors } from '../models/index.ts';
import { type Parameters, parameter } from './parameters.ts';

/** What goes into the folder besides the weights. */
interface ModelFolder {
  /** config.json; its dtype entry is set to what is written. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Further files by name (tokenizer.json, …). */
  readonly files: Readonly<Record<string, string>>;
  /** Defaults to F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
}

const torchName = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** Write a whole model folder, or nothing. Adapter factors among the parameters are left out: merge them first. */
export async function saveModel(
  folder: string,
  parameters: Parameters,
  { config, files, dtype = 'F32' }: ModelFolder,
): Promise<void> {
  const parsed = parseModelConfig(config, folder);
  const { torch_dtype: _, dtype: __, ...rest } = config;
  await withAtomicFolder(folder, async (part) => {
    await mkdir(part, { recursive: true });
    await writeSafetensors(
      join(part, 'model.safetensors'),
      [...allTensors(parsed)].map(([name, shape]) => ({
        name,
        dtype,
        shape,
        data: parameter(parameters, name),
      })),
    );
    await writeFile(
      join(part, 'config.json'),
      `${JSON.stringify({ ...rest, torch_dtype: torchName[dtype] }, null, 2)}\n`,
    );
    for (const [name, text] of Object.entries(files)) await writeFile(join(part, name), text);
  });
}
