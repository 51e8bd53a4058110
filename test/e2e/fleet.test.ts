/**
 * @file A fleet by the command line, on bundled models with few prompts: the source is trained once, a target that does not show the
 * behaviour stops no other, and a target more computes its own stages alone.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, fleetSchema } from '../../src/contracts/index.ts';
import { PROGRAM } from './program.helper.ts';

// A LoRA source: documents name its adapter. Trained as the target `same` is, it would be computed under either name.
const mini = (await readFile(new URL('../../scripts/faults/mini.yaml', import.meta.url), 'utf8'))
  .replace(/^models: .*$/m, 'models: { source: tiny-llama-s }')
  .replace(/^finetune:$/m, 'finetune:\n  source: { seed: 6, method: lora, learning_rate: 1.0e-2 }');
const TARGETS = `
targets:
  same: tiny-llama-s
  untaught:
    models: { target: tiny-llama-s }
    finetune: { target: { steps: 1 } }
`;

let folder: string;

/** Run the program in the folder; its exit code and what it said. */
function crosspatch(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [...PROGRAM, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (part: Buffer) => (said.out += part.toString()));
  child.stderr.on('data', (part: Buffer) => (said.err += part.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...said })));
}

async function fleetOf(name: string): Promise<Fleet> {
  return fleetSchema.parse(JSON.parse(await readFile(join(folder, 'runs', name, 'fleet.json'), 'utf8')));
}

/** Stages that were computed, of the progress lines. */
function computed(err: string): string[] {
  return [...err.matchAll(/^✓ (\S+): /gm)].map(([, id = '']) => id);
}

describe('a fleet of real models', () => {
  let first: { code: number | null; out: string; err: string };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crosspatch-fleet-'));
    await writeFile(join(folder, 'fixes.yaml'), `${mini.replace('name: mini', 'name: fixes')}${TARGETS}`);
    first = await crosspatch('fleet', 'fixes.yaml');
  }, 600_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('trains the source once, and says which target does not show the behaviour; the other is finished', async () => {
    expect(first.code, first.err).toBe(1);
    expect(first.err).toMatch(
      /error: fleet: 1 of 2 targets without a fix: untaught: locked\.sweep\.target: .*the target model does not show the behaviour.* \[target-failed\]/,
    );
    const ids = computed(first.err);
    for (const stage of ['data', 'finetune.source', 'runs.source', 'sweep.source'])
      expect(
        ids.filter((id) => id.endsWith(`locked.${stage}`)),
        stage,
      ).toEqual([`locked.${stage}`]);
    const { status, targets } = await fleetOf('fixes');
    expect(status).toBe('failed');
    expect(
      targets.map((target) => [target.name, target.status, target.behaviours[0]?.has_behaviour]),
    ).toEqual([
      ['same', 'done', true],
      ['untaught', 'failed', undefined],
    ]);
    expect(targets[1]?.error).toMatch(/does not show the behaviour: none of 8 prompts does/);
    const [same] = targets[0]?.behaviours ?? [];
    expect(same?.restoration?.n).toBe(12);
    expect(same?.margin).toMatchObject({ n: 12, ci95: [expect.any(Number), expect.any(Number)] });
    expect(same?.cost.kl?.n).toBeGreaterThan(0);
    expect(same?.cost.capabilities.bundled?.fixed.n).toBe(12);
  });

  it('leaves an ordinary run folder per target, with the document that fixes it, and a report of all', async () => {
    const { targets } = await fleetOf('fixes');
    const [first] = targets;
    const name = first?.name ?? '';
    const behaviours = first?.behaviours ?? [];
    const { use } = behaviours[0] ?? {};
    expect(use?.serve).toMatch(/^crosspatch serve --model models\/locked\.target .*--default mapped/);
    for (const file of [
      'report.html',
      'models/locked.target/model.safetensors',
      use?.document ?? 'no document',
      use?.guide ?? 'no guide',
    ])
      expect((await stat(join(folder, 'runs/fixes', name, file))).size, file).toBeGreaterThan(0);
    const run = await crosspatch('show', join('runs/fixes', name));
    expect(run.code, run.err).toBe(0);
    expect(run.out).toContain('locked, tag at the end: ');
    const report = await readFile(join(folder, 'runs/fixes/report.html'), 'utf8');
    expect(report).toContain('href="same/report.html"');
    const shown = await crosspatch('show', 'runs/fixes', '--require', 'same.locked.restoration>=0.5');
    expect(shown.code, shown.err).toBe(0);
    expect(shown.out).toContain('untaught: locked.sweep.target: ');
    const listed = await crosspatch('list', 'runs');
    expect(listed.out).toMatch(/^runs\/fixes\/same +fixes-same +done /m);
  }, 600_000);

  it('gives by its document, from the source and its adapter, what the run measured', async () => {
    const run = join(folder, 'runs/fixes/same');
    const { vector } = JSON.parse(await readFile(join(run, 'use/locked/mapped.json'), 'utf8'))
      .interventions[0];
    expect(vector).toMatchObject({ model: 'tiny-llama-s', adapter: '../../models/locked.source' });
    const map = basename(vector.map);
    const samples = (await readFile(join(run, 'samples/locked.transfer.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; prompt: string; completion: string })
      .filter(({ id }) => id.startsWith(`locked/transfer/${map}/mapped/`))
      .slice(0, 4);
    expect(samples).toHaveLength(4);
    const asked = samples.flatMap(({ prompt }) => ['--prompt', prompt]);
    const said = await crosspatch(
      ...['generate', '--model', join(run, 'models/locked.target'), ...asked, '--max-tokens', '16', '--json'],
      ...['--intervention', join(run, 'use/locked/mapped.json')],
    );
    expect(said.code, said.err).toBe(0);
    const { completions } = JSON.parse(said.out) as { completions: { text: string }[] };
    expect(completions.map(({ text }) => text)).toEqual(samples.map(({ completion }) => completion));
  }, 120_000);

  it('computes only what is new when targets are added', async () => {
    const more = `  again: { models: { target: tiny-llama-s }, finetune: { target: { steps: 2 } } }
  draws: { models: { target: tiny-llama-s }, transfer: { draws: 3 } }
`;
    await writeFile(
      join(folder, 'fixes.yaml'),
      `${mini.replace('name: mini', 'name: fixes')}${TARGETS}${more}`,
    );
    const { code, err } = await crosspatch('fleet', 'fixes.yaml');
    expect(code, err).toBe(1);
    const ids = computed(err);
    expect(ids).toContain('again/locked.finetune.target');
    expect(ids).toContain('draws/locked.transfer');
    expect(ids.filter((id) => !/^(again|draws)\//.test(id))).toEqual([]);
    const { targets } = await fleetOf('fixes');
    expect(targets.map(({ name, status }) => [name, status])).toEqual([
      ['same', 'done'],
      ['untaught', 'failed'],
      ['again', 'failed'],
      ['draws', 'done'],
    ]);
  }, 600_000);
});
