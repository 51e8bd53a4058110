import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixtureManifest } from '../../figures/results.fixture.ts';
import { bundledModels } from '../../models/index.ts';
import { Finds, pathOf } from './finds.ts';
import { RunsFolder } from './runs-folder.ts';

let folder = '';
const model = bundledModels().find(({ name }) => name === 'tiny-llama-s')?.path ?? '';
const edit = JSON.stringify({
  op: 'add',
  hook: 'blocks.0.hook_resid_post',
  tokens: { prompt: 'all' },
  vector: { from: 'inline', values: [1] },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-finds-'));
  const runs = join(folder, 'runs');
  for (const place of ['demo/models/locked.target', 'own/deep/qwen', 'store/abc', '.hidden/m', '../outside'])
    await cp(model, join(runs, place), { recursive: true });
  await writeFile(join(runs, 'demo', 'manifest.json'), JSON.stringify(fixtureManifest()));
  await writeFile(join(runs, 'own', 'small.gguf'), '');
  await symlink(join(folder, 'outside'), join(runs, 'linked'));
  await mkdir(join(runs, 'leaky'));
  await writeFile(join(runs, 'leaky', 'config.json'), '{}');
  await symlink(join(folder, 'outside', 'model.safetensors'), join(runs, 'leaky', 'model.safetensors'));
  await symlink(join(folder, 'outside.gguf'), join(runs, 'link.gguf'));
  await mkdir(join(runs, 'demo', 'vectors'));
  await writeFile(join(runs, 'demo', 'vectors', 'intervention.json'), edit);
  await mkdir(join(runs, 'damaged'));
  await writeFile(join(runs, 'damaged', 'intervention.json'), '{"op": "ad"}');
  await writeFile(join(folder, 'given.json'), edit);
});
afterAll(() => rm(folder, { recursive: true }));

it('finds models of runs, folders and GGUF files below, and what was given; no store, nothing hidden, nothing outside', async () => {
  const finds = new Finds(await RunsFolder.open(join(folder, 'runs')), { models: ['/some/where/mine'] });
  const ids = [...(await finds.models()).keys()].filter((id) => !id.startsWith('tiny/'));
  expect(ids).toEqual(['path/0', 'run/demo/locked.target', 'below/own/deep/qwen', 'below/own/small.gguf']);
  const models = await finds.models();
  expect(pathOf(models, 'path/0', 'model')).toBe('/some/where/mine');
  expect(() => pathOf(models, '../outside', 'model')).toThrow(
    /not among those offered; start view with --model/,
  );
  const only = new Finds(await RunsFolder.open(join(folder, 'runs', 'demo')));
  expect([...(await only.models()).keys()].filter((id) => !id.startsWith('tiny/'))).toEqual([
    'run/demo/locked.target',
  ]);
});

it('finds documents and vectors below, and what was given; what cannot be read is left out', async () => {
  const finds = new Finds(await RunsFolder.open(join(folder, 'runs')), {
    vectors: [join(folder, 'given.json'), join(folder, 'nothing')],
  });
  const found = [...(await finds.vectors()).values()].map(({ id, about }) => [id, about.kind]);
  expect(found).toEqual([
    ['path/0', 'document'],
    ['below/demo/vectors/intervention.json', 'document'],
  ]);
});
