/** @file PEFT adapters: the config, then weights whose names or shapes may not fit. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rng } from '../../../src/base/index.ts';
import { parseModelConfig } from '../../../src/models/families/index.ts';
import { initAdapters } from '../../../src/train/adapters.ts';
import { loadAdapter, saveAdapter } from '../../../src/train/peft.ts';
import { bytesOf, mostly, mutateBytes, mutateFiles, mutateJsonBytes } from '../mutate.ts';
import { type Files, refill, type StartTarget, target } from '../target.ts';

const NAMES = ['adapter_config.json', 'adapter_model.safetensors'];

export const start: StartTarget = async (scratch) => {
  const json = JSON.parse(
    await readFile(new URL('../../../test/parity/families/llama/config.json', import.meta.url), 'utf8'),
  ) as Record<string, unknown>;
  const config = parseModelConfig(json, 'config.json');
  const lora = { rank: 2, alpha: 4, targets: ['q', 'v', 'down'] as const };
  const sound = join(scratch, 'sound');
  await saveAdapter(sound, config, { lora, factors: initAdapters(config, lora, new Rng(1)) }, { base: 'x' });
  const files: Files = {};
  for (const name of NAMES) files[name] = new Uint8Array(await readFile(join(sound, name)));
  const about = JSON.parse(new TextDecoder().decode(files['adapter_config.json']));
  const folder = join(scratch, 'adapter');
  const damage = (rng: Rng) => (name: string, bytes: Uint8Array) =>
    name.endsWith('.json') ? mutateJsonBytes(rng, about) : mutateBytes(rng, bytes, 2000);
  return target<Files>({
    sources: /\/src\/train\/(peft|peft-config|adapters)\.ts/,
    make: (rng) => mostly(rng, 10, files, () => mutateFiles(rng, files, damage(rng))),
    size: bytesOf,
    async attempt(given) {
      await refill(folder, given);
      await loadAdapter(folder, config);
    },
  });
};
