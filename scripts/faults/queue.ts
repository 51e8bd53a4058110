/**
 * @file `npx tsx scripts/faults/queue.ts [--faults 3] [--every 8] [--kinds none,killed,stopped,frozen,keeps,forgets]`: three workers and a Redis
 * of their own, and every few seconds a worker is killed with -9, told to stop, or frozen for longer than its lock; or Redis is killed and
 * started again with its data or without. A run that ends with an error is started again. What it ends with must be the bytes of a run
 * without a queue, and no stage may have been computed by two processes at the same time.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { errorLine } from '../../src/base/index.ts';
import { parseQueueAddress, Store } from '../../src/pipeline/index.ts';
import { Plan } from '../../src/pipeline/plan.ts';
import { Submitter } from '../../src/pipeline/queue/submit.ts';
import { runPlan } from '../../src/pipeline/runner.ts';
import { startRedis } from '../../test/suites/redis.ts';
import { contents } from './contents.ts';
import { addTicks } from './queue-stages.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '3' },
    every: { type: 'string', default: '8' },
    kinds: { type: 'string', default: 'none,killed,stopped,frozen,keeps,forgets' },
  },
});
const WORKERS = 3;
const STAGES = 9;
const TICK_MS = 400;
const LOCK_SECONDS = 4;
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-faults-'));
process.env.STAMPS = join(root, 'stamps-calm');
await runPlan(ticks(), { store: new Store(join(root, 'calm')), jobs: STAGES });
const calm = await contents(join(root, 'calm'));
let wrong = 0;

for (const kind of values.kinds.split(',')) {
  const folder = join(root, kind);
  const stamps = join(root, `stamps-${kind}`);
  process.env.STAMPS = stamps;
  await writeFile(stamps, '');
  await using redis = await startRedis(await mkdtemp(join(root, 'redis-')), 'secret');
  const url = redis.url.replace('//', '//:secret@');
  const workers = new Set<ChildProcess>();
  const launch = () => workers.add(startWorker(url, folder));
  for (let i = 0; i < WORKERS; i++) launch();
  let isDone = false;
  const faults = (async () => {
    for (let n = 0; kind !== 'none' && n < Number(values.faults) && !isDone; n++) {
      await sleep(1000 * Number(values.every));
      const worker = [...workers][0] as ChildProcess;
      if (kind === 'keeps' || kind === 'forgets') await redis.restart(kind);
      else if (kind === 'frozen') {
        worker.kill('SIGSTOP');
        await sleep(2000 * LOCK_SECONDS);
        worker.kill('SIGCONT');
      } else {
        worker.kill(kind === 'killed' ? 'SIGKILL' : 'SIGTERM');
        workers.delete(worker);
        launch();
      }
    }
  })();
  const started = performance.now();
  let runs = 0;
  for (;;) {
    runs++;
    try {
      await using elsewhere = await Submitter.open(parseQueueAddress(url), new Store(folder));
      await runPlan(ticks(), { store: new Store(folder), elsewhere });
      break;
    } catch (error) {
      console.log(`  ${kind}: ${errorLine(error)}`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  isDone = true;
  await faults;
  for (const worker of workers) worker.kill('SIGKILL');
  const differ = await differing(folder);
  const { begun, overlaps } = await read(stamps);
  wrong += differ.length + overlaps;
  console.log(
    `${kind}: ${seconds.toFixed(0)} s, ${runs} runs, ${begun} beginnings of ${STAGES} stages, ${overlaps} at the same time, ${calm.size} files compared, ${differ.length} differ ${differ.join(' ')}`,
  );
}
await rm(root, { recursive: true, force: true });
process.exit(wrong === 0 ? 0 : 1);

function ticks(): Plan {
  const plan = new Plan(1);
  addTicks(plan, STAGES, TICK_MS);
  return plan;
}

function startWorker(url: string, store: string): ChildProcess {
  const args = ['--import', import.meta.resolve('tsx'), main, 'worker', '--quiet', '--queue', url];
  return spawn(
    process.execPath,
    [...args, '--store', store, '--lock', String(LOCK_SECONDS), '--drain', '0', '--memory', '1'],
    { stdio: ['ignore', 'ignore', 'ignore'] },
  );
}

async function differing(folder: string): Promise<string[]> {
  const found = await contents(folder);
  found.delete('.store-id');
  const names = new Set([...calm.keys(), ...found.keys()]);
  return [...names].filter((name) => calm.get(name) !== found.get(name));
}

/** How often a process began a stage, and how many pairs of processes were at one at the same time. */
async function read(stamps: string): Promise<{ begun: number; overlaps: number }> {
  const spans = new Map<string, { stage: string; from: number; to: number }>();
  for (const line of (await readFile(stamps, 'utf8')).trim().split('\n')) {
    const [stage = '', pid, time] = line.split(' ');
    const before = spans.get(`${stage} ${pid}`);
    spans.set(`${stage} ${pid}`, { stage, from: before?.from ?? Number(time), to: Number(time) });
  }
  const all = [...spans.values()];
  const overlaps = all.flatMap((a, i) =>
    all.slice(i + 1).filter((b) => a.stage === b.stage && a.from <= b.to && b.from <= a.to),
  ).length;
  return { begun: all.length, overlaps };
}
