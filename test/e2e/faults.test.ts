/** @file Training under faults: killed at random moments, and with a full disk, in real child processes. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../../src/base/index.ts';

const child = fileURLToPath(new URL('./train-child.ts', import.meta.url));
const loader = import.meta.resolve('tsx');
/** Steps of the child's run. */
const STEPS = 12;

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-faults-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function start(state: string, result: string, ...stop: string[]): ChildProcess {
  const args = ['--import', loader, child, state, result, ...stop];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Code (null when killed), the steps that were reported, and the error text; `onStep` sees each step as it is reported. */
async function end(run: ChildProcess, onStep: (step: number) => void = () => {}) {
  const steps: number[] = [];
  let errors = '';
  run.stderr!.on('data', (text) => {
    errors += text;
  });
  createInterface({ input: run.stdout! }).on('line', (line) => {
    const step = Number(line.slice(5));
    steps.push(step);
    onStep(step);
  });
  const code = await new Promise<number | null>((resolve) => run.on('close', resolve));
  return { code, steps, errors };
}

async function finish(state: string, result: string): Promise<{ hash: string; steps: number[] }> {
  const { code, steps, errors } = await end(start(state, result));
  expect(errors).toBe('');
  expect(code).toBe(0);
  return { hash: await readFile(result, 'utf8'), steps };
}

describe('kill -9 at a random moment of a training run', () => {
  let straight = '';
  beforeAll(async () => {
    straight = (await finish(join(root, 'straight'), join(root, 'straight.txt'))).hash;
  });

  it.each(Array.from({ length: 10 }, (_, i) => i))(
    '%i: the resumed run ends with identical weights',
    async (seed) => {
      const rng = new Rng(seed);
      const [state, result] = [join(root, `killed-${seed}`), join(root, `killed-${seed}.txt`)];
      const at = 1 + rng.int(STEPS - 2);
      const delay = rng.next() * 60; // ms: within a step, or within the writing of its state
      const run = start(state, result);
      const killed = await end(run, (step) => {
        if (step === at) setTimeout(() => run.kill('SIGKILL'), delay);
      });
      expect(killed.steps[0]).toBe(1);
      const resumed = await finish(state, result);
      expect(resumed.hash).toBe(straight);
      // It went on from where it was killed, within the step that was being written.
      const last = killed.steps.at(-1)!;
      if (killed.code === null && last < STEPS) expect([last + 1, last + 2]).toContain(resumed.steps[0]);
    },
  );
});

describe('a full disk during a checkpoint', () => {
  /** A file system of 320 KiB: it holds two states (112 KiB each), and with the ballast one. */
  const disk = (): string => join(root, 'disk');
  let mounted = false;
  beforeAll(async () => {
    await mkdir(disk());
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=320k', 'tmpfs', disk()], { stdio: 'ignore' });
      mounted = true;
    } catch {
      // Mounting needs root; without it the limit on file sizes stands in.
    }
  });
  afterAll(() => {
    if (mounted) execFileSync('umount', [disk()]);
  });

  it('stops the run with a clear word and leaves the former state whole; with room again it goes on', async () => {
    const [state, result] = [join(disk(), 'state'), join(root, 'disk.txt')];
    const first = await end(start(state, result, '4'));
    expect(first.errors).toContain('stopped on request');
    expect(await readdir(state)).toEqual(['step-00000004']);
    const former = await bytesOf(join(state, 'step-00000004'));

    const full = mounted ? await fillAndRun(state, result) : await runWithFileLimit(state, result);
    expect(full.code).not.toBe(0);
    expect(full.errors).toMatch(
      mounted ? /wanted \d+ bytes of disk, got a full one/ : /EFBIG|file too large/i,
    );
    expect(await readdir(state)).toEqual(['step-00000004']);
    expect(await bytesOf(join(state, 'step-00000004'))).toEqual(former);

    await rm(join(disk(), 'ballast'), { force: true });
    const rest = await finish(state, result);
    expect(rest.steps[0]).toBe(5);
    const straight = await finish(join(root, 'undisturbed'), join(root, 'undisturbed.txt'));
    expect(rest.hash).toBe(straight.hash);
  });

  async function fillAndRun(state: string, result: string) {
    await writeFile(join(disk(), 'ballast'), Buffer.alloc(130 * 1024));
    return end(start(state, result));
  }

  /** `ulimit -f` counts 512-byte or 1-KiB blocks: 20 of either is less than one file of the state. */
  async function runWithFileLimit(state: string, result: string) {
    const command = `trap '' XFSZ; ulimit -f 20; exec "$@"`;
    const args = [
      '-c',
      command,
      'sh',
      process.execPath,
      '--import',
      loader,
      child,
      state,
      result,
      String(STEPS),
    ];
    return end(spawn('sh', args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }
});

async function bytesOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'base64')));
  return Object.fromEntries(names.map((name, i) => [name, texts[i]]));
}
