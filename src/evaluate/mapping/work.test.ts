/** @file Rows on disk and rows in memory are the same rows: maps fitted on either are the same bytes. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { selectPairs } from '../../activations/index.ts';
import { Rng } from '../../base/index.ts';
import { buildDataset, generalTexts, makeBehaviour, tinyInstructions } from '../../behaviours/index.ts';
import { mapSettingsSchema } from '../../contracts/index.ts';
import { saveMap } from '../../maps/index.ts';
import { LanguageModel, resolveModel } from '../../models/index.ts';
import { hashPath } from '../../pipeline/plan.ts';
import { fitMaps } from './fit.ts';
import { mapTexts } from './texts.ts';
import { MapWork } from './work.ts';

let scratch: string;
let source: LanguageModel;
let target: LanguageModel;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'crosspatch-rows-'));
  source = await LanguageModel.load((await resolveModel('tiny-llama-s')).path);
  target = await LanguageModel.load((await resolveModel('tiny-llama-m')).path);
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await target[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

const reading = {
  sink_ratio: 10,
  batch: 16,
  bootstrap: 100,
  forced: 4,
  shard_rows: 200,
  rows: undefined,
} as const;
const env = () => ({
  rng: new Rng(5),
  seed: 5,
  progress: () => {},
  signal: new AbortController().signal,
  threads: 2,
});
const pair = () => ({ source, target, clean: source, source_block: 1, target_block: 2 });
const texts = () =>
  mapTexts(
    { rows: [], general: generalTexts({ n: 60, seed: 3 }) },
    { after: 1, splits: { train: 0.8, validation: 0.1, test: 0.1 }, out_of_domain: 0 },
    { source: source.tokenizer, target: target.tokenizer },
    new Rng(5),
  );
const maps = [
  { kind: 'affine', fits: ['general'] },
  { kind: 'affine-sgd', fits: ['general'], preset: 'tuned', steps: 5 },
  { kind: 'token-mean', fits: ['general'] },
  { kind: 'mean', fits: ['general'] },
].map((m) => mapSettingsSchema.parse(m));

it('fits the same maps from shards, and leaves none behind', async () => {
  const hashes: string[][] = [];
  for (const storage of [{ scratch }, { scratch, memoryBytes: 0 }]) {
    await using work = await MapWork.open({ pair: pair(), texts: texts(), reading, env: env(), storage });
    const saved: string[] = [];
    for (const { label, map } of await fitMaps(work, maps)) {
      const folder = join(scratch, `${label}-${hashes.length}`);
      await saveMap(map, folder);
      const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'));
      for (const name of names) saved.push(`${label} ${await hashPath(join(folder, name))}`);
    }
    const kept = (await readdir(scratch)).filter((name) => name.startsWith('.rows-'));
    expect(kept).toHaveLength(1);
    const shards = await readdir(join(scratch, kept[0] ?? '', 'source', 'general-train'));
    expect(shards.filter((name) => name.endsWith('.safetensors')).length).toBeGreaterThan(2);
    hashes.push(saved);
  }
  expect(hashes[0]).toHaveLength(maps.length);
  expect(hashes[1]).toEqual(hashes[0]);
  expect((await readdir(scratch)).filter((name) => name.startsWith('.rows-'))).toEqual([]);
});

it('counts the pairs once, wherever the rows lie and however often they are read', async () => {
  const instructions = tinyInstructions({ seed: 2, train: 12, validation: 2, test: 2 });
  const { splits } = await buildDataset({ instructions, behaviour: makeBehaviour('locked'), seed: 2 });
  const tagged = mapTexts(
    { rows: splits.train.slice(0, 24), general: [] },
    { after: 1, splits: { train: 0.8, validation: 0.1, test: 0.1 }, out_of_domain: 0 },
    { source: source.tokenizer, target: target.tokenizer },
    new Rng(5),
  );
  const counts: object[] = [];
  for (const storage of [{ scratch }, { scratch, memoryBytes: 0 }]) {
    await using work = await MapWork.open({ pair: pair(), texts: tagged, reading, env: env(), storage });
    const { train } = await work.data('with_tags');
    counts.push({ ...work.counts });
    for await (const _ of train.rows()) break;
    expect(work.counts).toEqual(counts.at(-1));
  }
  expect(counts[0]).toMatchObject({ first: tagged.split.train.length });
  expect(counts[1]).toEqual(counts[0]);
});

it('refuses a sample that memory does not hold, and says what to do', async () => {
  await using work = await MapWork.open({
    pair: pair(),
    texts: texts(),
    reading: { ...reading, rows: 50 },
    env: env(),
    storage: { scratch, memoryBytes: 1000 },
  });
  await expect(work.data('general')).rejects.toThrow(
    /sample of 50 token rows .* ask for fewer .*, or for all/,
  );
});

it('a share of general text: none is the fit itself, some lies between it and the fit `general`', async () => {
  const { splits } = await buildDataset({
    instructions: tinyInstructions({ seed: 5, train: 60, validation: 0, test: 0 }),
    behaviour: makeBehaviour('locked'),
    placement: 'end',
    template: 'instruction',
    seed: 5,
  });
  const mixed = mapTexts(
    { rows: splits.train, general: generalTexts({ n: 60, seed: 3 }) },
    { after: 1, splits: { train: 0.8, validation: 0.1, test: 0.1 }, out_of_domain: 0 },
    { source: source.tokenizer, target: target.tokenizer },
    new Rng(5),
  );
  const asked = [
    { name: 'plain', fits: ['with_tags', 'general'] },
    { name: 'half', general_share: 0.5, rows: 400 },
    { name: 'fewer', rows: 400 },
  ].map((m) => mapSettingsSchema.parse({ kind: 'affine', lambdas: [0.01], ...m }));
  await using work = await MapWork.open({
    pair: pair(),
    texts: mixed,
    reading,
    env: env(),
    storage: { scratch },
  });
  const fitted = await fitMaps(work, asked);
  const of = (label: string, fit = 'with_tags') =>
    fitted.find((f) => f.label === label && f.fit === fit)!.map;
  expect([of('half'), of('fewer')].map((map) => map.record.rows)).toEqual([400, 400]);
  expect(of('half').record.settings).toMatchObject({ general_share: 0.5 });
  expect(of('plain').record.settings).not.toHaveProperty('general_share');
  // The map that saw half of the general rows errs less on general text than the one that saw none of it.
  const errorOn = async (map: (typeof fitted)[number]['map']): Promise<number> => {
    let sum = 0;
    for await (const rows of selectPairs((await work.data('general')).validation).rows()) {
      const y = map.apply(rows.x, rows.n);
      sum += y.reduce((s, v, i) => s + (v - rows.y[i]!) ** 2, 0);
    }
    return sum;
  };
  const [none, half, all] = [
    await errorOn(of('fewer')),
    await errorOn(of('half')),
    await errorOn(of('plain', 'general')),
  ];
  expect(half).toBeLessThan(none);
  expect(all).toBeLessThan(half);
});
