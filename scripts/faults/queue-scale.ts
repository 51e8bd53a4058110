/**
 * @file `npx tsc -b && npx tsx scripts/faults/queue-scale.ts --of sweep --model FILE [--prompts 16] [--workers 1,2]`, or `--of transfer [--prompts 256]`: the parts
 * of one stage at one worker and at two, each held to a core of its own (`taskset`): a sweep over all blocks of a model (`sweep.yaml`), 8 blocks a part at
 * most, or a transfer of `mini.yaml`, 64 prompts a part. What the parts read is computed first, here. Prints the seconds from the first part's start to the
 * last one's end, and the processor seconds of each worker with its children: on cores that nobody else wants, the most of these is about how long it takes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startRedis } from '../../test/suites/redis.ts';
import { PASSWORD, startWorker, workerReady } from './queue-worker.ts';

const { values } = parseArgs({
  options: {
    of: { type: 'string', default: 'transfer' },
    model: { type: 'string', default: '' },
    prompts: { type: 'string' },
    workers: { type: 'string', default: '1,2' },
  },
});
/** Ticks of the processor clock in `/proc`, per second. */
const TICKS = 100;
const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PROGRAM = [file('dist/cli/main.js')];

/** What is cut into parts. */
interface Measured {
  readonly recipe: string;
  readonly settings: readonly string[];
  /** The stage that reads the parts. */
  readonly stage: string;
  readonly part: RegExp;
  /** Folders of the store that are computed again for every number of workers. */
  readonly again: RegExp;
}

function measured(): Measured {
  const { of, model, prompts } = values;
  if (of === 'transfer') {
    const n = prompts ?? '256';
    return {
      recipe: 'scripts/faults/mini.yaml',
      settings: [`transfer.prompts=${n}`, `data.test=${n}`, 'finetune.steps=40'],
      stage: 'locked.transfer',
      part: /transfer\.part\d+$/,
      again: /^transfer-(?!spans)/,
    };
  }
  if (of !== 'sweep' || model === '') throw new Error('wanted --of transfer, or --of sweep --model FILE');
  const n = prompts ?? '16';
  return {
    recipe: 'scripts/faults/sweep.yaml',
    settings: [
      ...['source', 'target'].map((side) => `models.${side}=${resolve(model)}`),
      ...[`sweep.prompts=${n}`, `data.validation=${Math.max(2, Number(n))}`],
    ],
    stage: 'custom.sweep.target',
    part: /sweep\.target\.part\d+$/,
    again: /^sweep-/,
  };
}

const { recipe, settings: SETTINGS, stage, part: PART, again } = measured();
const root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-scale-'));
const store = join(root, 'store');
await using redis = await startRedis(root, PASSWORD);

await run('here', ['-j', '2', '--threads', '1']);
for (const count of values.workers.split(',').map(Number)) {
  for (const name of await readdir(store))
    if (again.test(name)) await rm(join(store, name), { recursive: true });
  const workers = Array.from({ length: count }, (_, core) =>
    startWorker({
      ...{ url: redis.urlWithPassword, store, lockSeconds: 30, memory: 4, program: PROGRAM },
      through: ['taskset', '-c', `${core}`],
    }),
  );
  await Promise.all(workers.map(workerReady));
  const before = await Promise.all(workers.map(({ pid }) => processorSeconds(pid)));
  const out = await run(`far-${count}`, ['--queue', redis.urlWithPassword, '--threads', '1']);
  const after = await Promise.all(workers.map(({ pid }) => processorSeconds(pid)));
  for (const worker of workers) worker.kill('SIGKILL');
  const used = after.map((seconds, n) => seconds - (before[n] ?? 0));
  const { parts, seconds } = await partsOf(out);
  console.log(
    `${count} workers: ${parts} parts in ${seconds.toFixed(0)} s; processor seconds of each ${used.map((s) => s.toFixed(0)).join(' and ')}, ${used.reduce((a, b) => a + b, 0).toFixed(0)} together; load ${loadavg()[0]?.toFixed(0)}`,
  );
}
await rm(root, { recursive: true, force: true });

/** The stage and what it reads, into a run folder. */
async function run(name: string, args: readonly string[]): Promise<string> {
  const out = join(root, 'runs', name);
  const settings = SETTINGS.flatMap((set) => ['--set', set]);
  const command = ['run', file(recipe), ...settings, '--only', stage, '--quiet'];
  const child = spawn(process.execPath, [...PROGRAM, ...command, '--out', out, '--store', store, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${name}: ended with ${code}`);
  return out;
}

/** How many parts a run computed, and the seconds from the start of the first to the end of the last. */
async function partsOf(out: string): Promise<{ parts: number; seconds: number }> {
  const events = (await readFile(join(out, 'log.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { time: string; state?: string; stage?: string })
    .filter(({ stage }) => PART.test(stage ?? ''));
  const times = (state: string) =>
    events.filter((event) => event.state === state).map(({ time }) => Date.parse(time));
  return {
    parts: times('done').length,
    seconds: (Math.max(...times('done')) - Math.min(...times('started'))) / 1000,
  };
}

/** Of a process and its children, which live as long as it. */
async function processorSeconds(pid: number | undefined): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
  let ticks = 0;
  for (const one of [`${pid}`, ...children.filter(Boolean)]) {
    const [user = 0, system = 0] = (await readFile(`/proc/${one}/stat`, 'utf8'))
      .replace(/^.*\) /, '')
      .split(' ')
      .slice(11, 13)
      .map(Number);
    ticks += user + system;
  }
  return ticks / TICKS;
}
