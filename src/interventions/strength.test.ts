import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { parseIntervention } from '../contracts/index.ts';
import { writeSafetensors } from '../models/index.ts';
import { norm } from './ops.ts';
import { atStrength, valuesOf, withRandomVectors, withVectorsInline } from './strength.ts';

const site = { hook: 'blocks.0.hook_resid_post', tokens: { prompt: 'all' } };
const vector = { from: 'inline', values: [3, 0, 4] };

it('atStrength scales what is added and what is projected out, and nothing else', () => {
  const document = parseIntervention([
    { op: 'add', ...site, vector, scale: 2 },
    { op: 'project', ...site, vector },
  ]);
  expect(atStrength(document, -3).interventions).toMatchObject([{ scale: -6 }, { alpha: -3 }]);
  expect(() => atStrength(parseIntervention({ op: 'suppress', ...site }), 2)).toThrow(
    /interventions\.0 \(suppress at .*\): the op suppress has no strength; wanted add or project/,
  );
});

it('withRandomVectors keeps lengths, and gives equal vectors equal noise', () => {
  const edits = [vector, vector, { from: 'inline', values: [0, 2, 0] }].map((v) => ({
    op: 'add',
    ...site,
    vector: v,
  }));
  const random = withRandomVectors(parseIntervention(edits), new Rng(1));
  const values = random.interventions.map((edit) => valuesOf(edit, 'x'));
  expect(values.map((v) => norm(v))).toEqual([expect.closeTo(5), expect.closeTo(5), expect.closeTo(2)]);
  expect(values[0]).toEqual(values[1]);
  expect(values[0]).not.toEqual([3, 0, 4]);
  const run = { op: 'add', ...site, vector: { from: 'run', prompt: 'x' } };
  expect(() => withRandomVectors(parseIntervention(run), new Rng(1))).toThrow(/got one from: run/);
});

it('withVectorsInline reads files beside the document, and none outside the folder it is told', async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'crosspatch-inline-')));
  try {
    await mkdir(join(folder, 'in/deep'), { recursive: true });
    const tensor = { name: 'v', dtype: 'F32' as const, shape: [2], data: new Float32Array([1, 2]) };
    for (const place of ['in/v.safetensors', 'v.safetensors'])
      await writeSafetensors(join(folder, place), [tensor], {});
    const edit = (path: string) =>
      parseIntervention({ op: 'add', ...site, vector: { from: 'file', path, key: 'v' } });
    const file = join(folder, 'in/deep/intervention.json');
    const inline = await withVectorsInline(edit('../v.safetensors'), file, join(folder, 'in'));
    expect(inline.interventions[0]).toMatchObject({ vector: { from: 'inline', values: [1, 2] } });
    await expect(withVectorsInline(edit('../../v.safetensors'), file, join(folder, 'in'))).rejects.toThrow(
      /v\.safetensors: lies outside in; copy it there/,
    );
    expect(await withVectorsInline(edit('../../v.safetensors'), file)).toEqual(inline);
  } finally {
    await rm(folder, { recursive: true });
  }
});
