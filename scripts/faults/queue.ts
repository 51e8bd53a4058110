/**
 * @file `npx tsx scripts/faults/queue.ts [--faults 3] [--every 6] [--kinds none,killed,stopped,cut,keeps,forgets]`: three workers and a Redis
 * of their own, and every few seconds a worker is killed with -9, told to stop, or cut off from Redis for longer than its lock; or Redis is
 * killed and started again with its data or without. As root each worker has a host name of its own, as on machines of their own. A run that ends with an error is started again. What it ends with must be the bytes of a run
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
import { type Line, openLine } from './line.ts';
import { addTicks } from './queue-stages.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '3' },
    every: { type: 'string', default: '6' },
    kinds: { type: 'string', default: 'none,killed,stopped,cut,keeps,forgets' },
  },
});
const WORKERS = 3;
const STAGES = 12;
const TICK_MS = 800;
const LOCK_SECONDS = 4;
const PASSWORD = 'secret';
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
  await using redis = await startRedis(await mkdtemp(join(root, 'redis-')), PASSWORD);
  const url = redis.url.replace('//', `//:${PASSWORD}@`);
  const workers: Worker[] = [];
  const launch = async () => workers.push(await startWorker(redis.port, folder));
  for (let i = 0; i < WORKERS; i++) await launch();
  let isDone = false;
  const faults = (async () => {
    while ((await readFile(stamps, 'utf8')) === '') await sleep(100);
    for (let n = 0; kind !== 'none' && n < Number(values.faults) && !isDone; n++) {
      await sleep(1000 * Number(values.every));
      if (kind === 'keeps' || kind === 'forgets') await redis.restart(kind);
      else if (kind === 'cut') {
        const { line } = workers[n % WORKERS] as Worker;
        line.cut();
        await sleep(2000 * LOCK_SECONDS);
        line.mend();
      } else {
        const worker = workers.shift() as Worker;
        worker.process.kill(kind === 'killed' ? 'SIGKILL' : 'SIGTERM');
        await launch();
      }
    }
  })();
  const started = performance.now();
  let runs = 0;
  for (let isWhole = false; !isWhole; runs++) isWhole = await runsThrough(kind, url, folder);
  const seconds = (performance.now() - started) / 1000;
  isDone = true;
  await faults;
  for (const worker of workers) {
    worker.process.kill('SIGKILL');
    worker.line.close();
  }
  const differ = await differing(folder);
  const { begun, overlaps } = await read(stamps);
  wrong += differ.length + overlaps;
  console.log(
    `${kind}: ${seconds.toFixed(0)} s, ${runs} runs, ${begun} beginnings of ${STAGES} stages, ${overlaps} at the same time, ${calm.size} files compared, ${differ.length} differ ${differ.join(' ')}`,
  );
}
await rm(root, { recursive: true, force: true });
process.exit(wrong === 0 ? 0 : 1);

/** One run; false when it ended with an error, which is printed. */
async function runsThrough(kind: string, url: string, folder: string): Promise<boolean> {
  try {
    await using elsewhere = await Submitter.open(parseQueueAddress(url), new Store(folder));
    await runPlan(ticks(), { store: new Store(folder), elsewhere });
    return true;
  } catch (error) {
    console.log(`  ${kind}: ${errorLine(error)}`);
    return false;
  }
}

function ticks(): Plan {
  const plan = new Plan(1);
  addTicks(plan, STAGES, TICK_MS);
  return plan;
}

interface Worker {
  readonly process: ChildProcess;
  readonly line: Line;
}

async function startWorker(port: number, store: string): Promise<Worker> {
  const line = await openLine(port);
  const url = `redis://:${PASSWORD}@127.0.0.1:${line.port}`;
  const node = [
    process.execPath,
    '--import',
    import.meta.resolve('tsx'),
    main,
    'worker',
    '--quiet',
    '--queue',
    url,
  ];
  const work = [...node, '--store', store, '--lock', `${LOCK_SECONDS}`, '--drain', '0', '--memory', '1'];
  const ownName = ['-u', 'sh', '-c', 'hostname "$0"; exec "$@"', `worker-${line.port}`, ...work];
  const [command = '', ...args] = process.getuid?.() === 0 ? ['unshare', ...ownName] : work;
  return { process: spawn(command, args, { stdio: 'ignore' }), line };
}

async function differing(folder: string): Promise<string[]> {
  const found = await contents(folder);
  found.delete('.store-id');
  const names = new Set([...calm.keys(), ...found.keys()]);
  return [...names].filter((name) => calm.get(name) !== found.get(name));
}

/** How often a stage was begun, and how many pairs of processes were at one at the same time. */
async function read(stamps: string): Promise<{ begun: number; overlaps: number }> {
  const spans = new Map<string, { stage: string; from: number; to: number }>();
  let begun = 0;
  for (const line of (await readFile(stamps, 'utf8')).trim().split('\n')) {
    const [stage = '', pid, time, tick] = line.split(' ');
    if (tick === '1') begun++;
    const before = spans.get(`${stage} ${pid}`);
    spans.set(`${stage} ${pid}`, { stage, from: before?.from ?? Number(time), to: Number(time) });
  }
  const all = [...spans.values()];
  const pairs = all.flatMap((a, i) =>
    all.slice(i + 1).filter((b) => a.stage === b.stage && a.from <= b.to && b.from <= a.to),
  );
  return { begun, overlaps: pairs.length };
}
