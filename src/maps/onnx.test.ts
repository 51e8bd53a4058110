import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { OnnxFile } from '../engine/index.ts';
import { ActivationMap, exportOnnx, type MapEnd } from './index.ts';
import { bodies } from './kinds.ts';
import type { MapKind, MapTensor } from './map.ts';
import { unfittedRecord } from './record.helper.ts';

const [DX, DY, H, N] = [24, 20, 31, 9];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-onnx-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const rng = new Rng(11);
const random = (...shape: number[]): MapTensor => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
});

function mapOf(kind: MapKind, tensors: Record<string, MapTensor>, [dx, dy] = [DX, DY]): ActivationMap {
  const end = (name: string, block: number, width: number): MapEnd => ({
    model: `${name}-hash`,
    name,
    block,
    hook: `blocks.${block}.hook_resid_post`,
    width,
  });
  const record = unfittedRecord({ kind, source: end('small', 3, dx), target: end('large', 5, dy) });
  return new ActivationMap(record, bodies[kind](tensors), new Float32Array(dx));
}

const network = {
  'encoder.weight': random(H, DX),
  'encoder.bias': random(H),
  'decoder.weight': random(DY, H),
  'decoder.bias': random(DY),
};

it.each([
  mapOf('affine', { weight: random(DY, DX), bias: random(DY) }),
  mapOf('truncated', { weight: random(DY, DX), bias: random(DY) }),
  mapOf('autoencoder', network),
  mapOf('mean', { mean: random(DY) }),
  mapOf('identity', {}, [DX, DX]),
])('$kind: ONNX Runtime gives what the map gives, row by row, and the file says whose it is', async (map) => {
  const path = join(folder, `${map.kind}.onnx`);
  await exportOnnx(map, path);
  await exportOnnx(map, path); // replaces its own
  const { data } = random(N, DX);
  await using file = await OnnxFile.open(path, { threads: 1 });
  expect(file.inputs).toEqual([{ name: 'activations', type: 'float32' }]);
  for (const n of [N, 1]) {
    const rows = data.slice(0, n * DX);
    const got = await file.run({ activations: { dtype: 'f32', shape: [n, DX], data: rows } }, 'mapped');
    const want = map.apply(rows, n);
    expect(got.shape).toEqual([n, map.target.width]);
    // Sums of 24 and 31 terms near 1, of float32 here and of float64 there: 1e-6 of their size (about 30) and a little.
    want.forEach((y, i) => {
      expect(Math.abs((got.data[i] as number) - y)).toBeLessThan(4e-5);
    });
  }
  const model = fromBinary(ModelProtoSchema, await readFile(path));
  expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([['', 17n]]);
  const facts = Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
  expect(facts).toMatchObject({
    'crosspatch.kind': map.kind,
    'crosspatch.source.hook': 'blocks.3.hook_resid_post',
    'crosspatch.target.model': 'large',
    'crosspatch.target.sha256': 'large-hash',
    'crosspatch.target.width': String(map.target.width),
  });
});

it('a map that is looked up by token is refused', async () => {
  const map = mapOf('token-mean', { tokens: random(1), means: random(1, DY), fallback: random(DY) });
  await expect(exportOnnx(map, join(folder, 'no.onnx'))).rejects.toThrow(/does not see activations/);
});
