/**
 * @file Rows of activations and what a map makes of them, for `peer_maps.py`: a safetensors file with `x` [rows, ds] and `y` [rows, dt]. The rows
 * scatter about the mean of the fit.
 *
 *   npx tsx test/interop/mapped-rows.ts MAP_FOLDER rows.safetensors
 */
import { Rng } from '../../src/base/index.ts';
import { loadMap } from '../../src/maps/index.ts';
import { writeSafetensors } from '../../src/models/index.ts';

const ROWS = 256;
const [folder = '', out = ''] = process.argv.slice(2);
const map = await loadMap(folder);
const { width: ds } = map.source;
const rng = new Rng(1);
const x = Float32Array.from(
  { length: ROWS * ds },
  (_, i) => (map.sourceMean[i % ds] as number) + rng.normal(),
);
const y = map.apply(x, ROWS);
await writeSafetensors(out, [
  { name: 'x', dtype: 'F32', shape: [ROWS, ds], data: x },
  { name: 'y', dtype: 'F32', shape: [ROWS, map.target.width], data: y },
]);
