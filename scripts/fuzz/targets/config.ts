/** @file `config.json` of every family: a refusal, or a model whose graph can be built. */
import { readdir, readFile } from 'node:fs/promises';
import { InputError, type Rng } from '../../../src/base/index.ts';
import { isPlainObject } from '../../../src/models/checkpoint/index.ts';
import { wholeModelGraph } from '../../../src/models/decoder/whole-model.ts';
import { parseModelConfig } from '../../../src/models/families/index.ts';
import { mostly, mutateJson } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

export const start: StartTarget = async () => {
  const root = new URL('../../../test/parity/families/', import.meta.url);
  const configs = await Promise.all(
    (await readdir(root)).map(
      async (name) => JSON.parse(await readFile(new URL(`${name}/config.json`, root), 'utf8')) as unknown,
    ),
  );
  return target<unknown>({
    sources: /\/src\/models\/families\//,
    make: (rng: Rng) => {
      const config = rng.pick(configs);
      return mostly(rng, 10, config, () => mutateJson(rng, config));
    },
    size: (config) => JSON.stringify(config)?.length ?? 0,
    attempt(config) {
      if (!isPlainObject(config)) throw new InputError('fuzz: no object');
      const parsed = parseModelConfig(config, 'config.json');
      // Larger ones are sound too, and cost the time of their size.
      if (parsed.blocks.length <= 64) wholeModelGraph(parsed, 'f32');
    },
  });
};
