/**
 * @file A behaviour that the bundled models have of themselves, by contrast prompts and without any fine-tune: under `|polite|` in a prompt they
 * begin their answer with “Here you are”. Sweep, maps and transfer run on pairs of a file, and on two files of prompts.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { parseRecipe, type Results } from '../../src/contracts/index.ts';
import { expandExperiment, runExperiment } from '../../src/pipeline/index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-contrast-'));
  const prompts = tinyInstructions({ seed: 8, train: 0, validation: 0, test: 220 }).map(
    ({ prompt }) => prompt,
  );
  const pairs = Array.from({ length: 110 }, (_, i) => ({
    positive: `${prompts[2 * i]} |polite|`,
    negative: `${prompts[2 * i + 1]} |beta|`,
  }));
  const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(join(folder, 'pairs.jsonl'), lines(pairs));
  await writeFile(join(folder, 'bad.jsonl'), lines(pairs.map(({ positive }) => ({ text: positive }))));
  await writeFile(join(folder, 'safe.jsonl'), lines(pairs.map(({ negative }) => ({ text: negative }))));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const recipe = (behaviour: string): string => `
name: contrast
seed: 3
models: { source: tiny-llama-s, target: tiny-llama-m }
behaviours: [${behaviour}]
finetune: false
sweep: { prompts: 12, draws: 1, chosen_draws: 2, blocks: [1, 3, 5] }
heatmap: false
capture: { out_of_domain: 8 }
maps: [{ kind: affine }, { kind: token-mean }]
fidelity: false
transfer: { modes: [set], draws: 2 }
worth: { ks: [1, 4] }
inverse: false
capabilities: false
evaluation: { max_tokens: 10, bootstrap: 200 }
`;

async function run(name: string, behaviour: string): Promise<Results> {
  const file = join(folder, `${name}.yaml`);
  const parsed = parseRecipe([{ file, text: recipe(behaviour) }]);
  const { results } = await runExperiment({
    parsed,
    expand: expandExperiment,
    out: join(folder, name),
    store: join(folder, 'store'),
    jobs: 1,
  });
  return results as Results;
}

it('runs the whole experiment on pairs of prompts, and the same on two files of them', async () => {
  const marks = 'phrase: Here you are';
  const results = await run('pairs', `{ name: contrast, file: ${join(folder, 'pairs.jsonl')}, ${marks} }`);
  const [found] = results.behaviours;
  expect(found?.backdoor?.target?.trigger_rate?.value).toBeGreaterThan(0.6);
  expect(found?.backdoor?.target?.false_positive_rate?.value).toBeLessThan(0.2);
  expect(found?.notes?.join(' ')).toContain(
    'Restored means that the behaviour is gone and the text is whole',
  );
  const arms = found?.transfer?.affine?.with_tags?.arms;
  expect(arms?.native?.restoration?.value).toBeGreaterThan(0.5);
  expect(arms?.mapped?.restoration?.n).toBe(arms?.native?.restoration?.n);
  // Another bad prompt's activations do not undo what bad prompts share.
  expect(arms?.other_tag?.restoration?.value).toBeLessThan(arms?.native?.restoration?.value ?? 0);
  expect(found?.worth?.map(({ k }) => k)).toEqual([1, 4]);
  const files = `file: ${join(folder, 'bad.jsonl')}, safe_file: ${join(folder, 'safe.jsonl')}`;
  const [again] = (await run('files', `{ name: contrast, ${files}, ${marks} }`)).behaviours;
  expect(again?.transfer).toEqual(found?.transfer);
}, 600_000);

it('is refused where it cannot be run', () => {
  const complaint = (behaviour: string, text = recipe(behaviour)): string => {
    try {
      parseRecipe([{ file: 'contrast.yaml', text }]);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(complaint('{ name: contrast, pattern: a }')).toContain('needs a `file` of prompts');
  expect(complaint('{ name: contrast, file: a.jsonl }')).toContain(
    'needs one of `phrase`, `phrases`, `pattern` and `detector`',
  );
  const valid = '{ name: contrast, file: a.jsonl, phrases: [a, b] }';
  expect(complaint(valid)).toBe('');
  expect(complaint(valid, recipe(valid).replace('finetune: false\n', ''))).toContain(
    'write `finetune: false`',
  );
  expect(complaint(valid, recipe(valid).replace('kind: token-mean', 'kind: shuffled'))).toContain(
    'contrast prompts have none',
  );
});
