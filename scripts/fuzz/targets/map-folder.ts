/** @file Map folders: `map.json` and the tensors beside it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rng } from '../../../src/base/index.ts';
import { affineOf } from '../../../src/maps/affine.ts';
import { ActivationMap, loadMap, saveMap } from '../../../src/maps/index.ts';
import { bytesOf, mostly, mutateBytes, mutateFiles, mutateJsonBytes } from '../mutate.ts';
import { type Files, refill, type StartTarget, target } from '../target.ts';

export const start: StartTarget = async (scratch) => {
  const sound = join(scratch, 'sound');
  await saveMap(affineMap(), sound);
  const files: Files = {};
  for (const name of ['map.json', 'map.safetensors'])
    files[name] = new Uint8Array(await readFile(join(sound, name)));
  const record = JSON.parse(new TextDecoder().decode(files['map.json']));
  const damage = (rng: Rng) => (name: string, bytes: Uint8Array) =>
    name === 'map.json' ? mutateJsonBytes(rng, record) : mutateBytes(rng, bytes);
  const folder = join(scratch, 'map');
  return target<Files>({
    sources: /\/src\/maps\/(store|kinds|map|affine|inverse)\.ts/,
    make: (rng) => mostly(rng, 10, files, () => mutateFiles(rng, files, damage(rng))),
    size: bytesOf,
    async attempt(given) {
      await refill(folder, given);
      const map = await loadMap(folder);
      map.applyRow(map.sourceMean, 0);
    },
  });
};

/** A map from width 3 to width 2. */
function affineMap(): ActivationMap {
  const end = { model: 'a', name: 'a', block: 1, hook: 'blocks.1.hook_resid_post' };
  return new ActivationMap(
    {
      kind: 'affine',
      fit: 'with_tags',
      source: { ...end, width: 3 },
      target: { ...end, width: 2 },
      sourceTokenizer: 'x',
      targetTokenizer: 'x',
      data: 'x',
      seed: 1,
      rows: 9,
      fitSeconds: 1,
      settings: { lambda: 0.1 },
      metrics: { r2: 0.5 },
    },
    affineOf({ weight: new Float64Array(6).fill(0.5), bias: new Float64Array(2) }, 3, 2),
    new Float32Array(3).fill(1),
  );
}
