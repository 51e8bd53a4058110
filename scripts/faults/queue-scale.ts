/**
 * @file `npx tsc -b && npx tsx scripts/faults/queue-scale.ts [--prompts 256] [--workers 1,2]`: the parts of one transfer over `--prompts` prompts, 64 each,
 * at one worker and at two, each held to a core of its own (`taskset`). What the parts read is computed first, here. Prints the seconds from the first part's
 * start to the last one's end, and the processor seconds of each worker with its children: on cores that nobody else wants, the most of these is about how long it takes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startRedis } from '../../test/suites/redis.ts';
import { PASSWORD, startWorker, workerReady } from './queue-worker.ts';

const { values } = parseArgs({
  options: {
    prompts: { type: 'string', default: '256' },
    workers: { type: 'string', default: '1,2' },
  },
});
/** Ticks of the processor clock in `/proc`, per second. */
const TICKS = 100;
const PART = /transfer\.part\d+$/;
const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PROGRAM = [file('dist/cli/main.js')];
const SETTINGS = [`transfer.prompts=${values.prompts}`, `data.test=${values.prompts}`, 'finetune.steps=40'];
const root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-scale-'));
const store = join(root, 'store');
await using redis = await startRedis(root, PASSWORD);

await run('here', ['-j', '2', '--threads', '1']);
for (const count of values.workers.split(',').map(Number)) {
  for (const name of await readdir(store))
    if (name.startsWith('transfer-') && !name.startsWith('transfer-spans'))
      await rm(join(store, name), { recursive: true });
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

/** The transfer and what it reads, into a run folder. */
async function run(name: string, args: readonly string[]): Promise<string> {
  const out = join(root, 'runs', name);
  const settings = SETTINGS.flatMap((set) => ['--set', set]);
  const command = [
    'run',
    file('scripts/faults/mini.yaml'),
    ...settings,
    '--only',
    'locked.transfer',
    '--quiet',
  ];
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
