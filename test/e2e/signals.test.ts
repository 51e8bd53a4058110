/** @file What ends a run from outside: SIGTERM and SIGHUP stop it as Ctrl-C does; after kill -9 it shows as interrupted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crosspatch } from '../../src/cli/crosspatch.helper.ts';
import { readManifest } from '../../src/pipeline/index.ts';
import { PROGRAM } from './program.helper.ts';

const recipe = `
name: long
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours: [locked]
data: { train: 400, validation: 8, test: 8 }
finetune: { steps: 5000, batch: 16, learning_rate: 1.0e-3 }
sweep: { prompts: 8 }
heatmap: false
fidelity: false
transfer: false
worth: false
inverse: false
capabilities: false
capture: { prompts: 100 }
`;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-signals-'));
  await writeFile(join(folder, 'long.yaml'), recipe);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A run that has begun to train, its run folder, and its end. */
async function training(
  name: string,
): Promise<{ run: ChildProcess; out: string; end: Promise<{ code: number | null; err: string }> }> {
  const out = join(folder, name);
  const args = [...PROGRAM, 'run', join(folder, 'long.yaml'), '--out', out, '--store', join(folder, 'store')];
  const run = spawn(process.execPath, [...args, '--quiet'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  run.stderr?.on('data', (part: Buffer) => {
    err += part;
  });
  const end = new Promise<{ code: number | null; err: string }>((resolve) =>
    run.on('close', (code) => resolve({ code, err })),
  );
  for (let log = ''; !/finetune.*"done":[1-9]/.test(log); ) {
    expect(run.exitCode, err).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 100));
    log = await readFile(join(out, 'log.jsonl'), 'utf8').catch(() => '');
  }
  return { run, out, end };
}

it.each(['SIGTERM', 'SIGHUP', 'SIGINT'] as const)(
  '%s stops a run: one line, exit 1, its manifest says cancelled',
  async (signal) => {
    const { run, out, end } = await training(signal);
    run.kill(signal);
    const { code, err } = await end;
    expect(code).toBe(1);
    expect(err).toMatch(
      /^\nstopping; .*\nerror: \S+: stopped on request; run again to go on from here \[aborted\]\n$/,
    );
    expect((await readManifest(out)).status).toBe('cancelled');
  },
  120_000,
);

it('a run that was killed shows as interrupted, and goes on', async () => {
  const { run, out, end } = await training('killed');
  expect((await readManifest(out)).status).toBe('running');
  run.kill('SIGKILL');
  await end;
  expect((await crosspatch(['list', folder])).out).toMatch(/killed +long +interrupted/);
  expect((await crosspatch(['status', out])).out).toMatch(/^long: interrupted/);
}, 120_000);
