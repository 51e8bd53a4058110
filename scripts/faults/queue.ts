/**
 * @file `npx tsx scripts/faults/queue.ts [--faults 3] [--every 6] [--away 8] [--lock 4] [--stages 12] [--store folder|s3] [--queue redis|postgres] [--kinds …]`:
 * three workers and a server of their own, and every few seconds a worker is killed with -9, told to stop, cut off from the server for `--away` seconds,
 * or loses its network for as long (a namespace whose cable is pulled; as root); or the server is ended at once and started again with its data or without. As root each
 * worker has a host name of its own, as on machines of their own. With `--store s3` machines share a bucket instead of a folder, and the network is
 * that to both. A run that ends with an error is started again. What it ends with must be the bytes of a run without a queue, and no stage may have
 * been computed by two processes at the same time.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { errorLine } from '../../src/base/index.ts';
import { openStore, parseQueueAddress, Store } from '../../src/pipeline/index.ts';
import { Plan, type StageNode } from '../../src/pipeline/plan.ts';
import { Submitter } from '../../src/pipeline/queue/submit.ts';
import { runPlan } from '../../src/pipeline/runner.ts';
import { BUCKET, startS3 } from '../../test/suites/s3.ts';
import { contents } from './contents.ts';
import { openMachine, type QueueMachine } from './queue-machine.ts';
import { startQueueServer } from './queue-server.ts';
import { addTicks } from './queue-stages.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '3' },
    every: { type: 'string', default: '6' },
    away: { type: 'string', default: '8' },
    lock: { type: 'string', default: '4' },
    stages: { type: 'string', default: '12' },
    store: { type: 'string', default: 'folder' },
    queue: { type: 'string', default: 'redis' },
    kinds: { type: 'string', default: 'none,killed,stopped,cut,network,keeps,forgets' },
  },
});
const WORKERS = 3;
const TICK_MS = '800';
const stages = Number(values.stages);
const root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-faults-'));
process.env.STAMPS = join(root, 'stamps-calm');
await runPlan(ticks(), { store: new Store(join(root, 'calm')), jobs: stages });
const calm = await contents(join(root, 'calm'));
process.env.TICK_MS = TICK_MS;
let wrong = 0;

for (const kind of values.kinds.split(',')) {
  const stamps = join(root, `stamps-${kind}`);
  process.env.STAMPS = stamps;
  process.env.CROSSPATCH_CACHE = join(root, `mine-${kind}`);
  await writeFile(stamps, '');
  await using server = await startQueueServer(values.queue, root);
  await using s3 = values.store === 's3' ? await startS3(join(root, `objects-${kind}`)) : undefined;
  Object.assign(process.env, s3?.env);
  const place = s3 ? `s3://${BUCKET}/${kind}` : join(root, kind);
  await openStore(place);
  const url = server.urlWithPassword;
  const machines: QueueMachine[] = [];
  const launch = async () => {
    const cache = join(root, `cache-${kind}-${machines.length}-${Date.now()}`);
    machines.push(
      await openMachine({
        url,
        s3: s3?.port,
        store: place,
        cache,
        lockSeconds: Number(values.lock),
        isApart: kind === 'network',
      }),
    );
  };
  for (let i = 0; i < WORKERS; i++) await launch();
  let isDone = false;
  let count = 0;
  const faults = (async () => {
    while ((await readFile(stamps, 'utf8')) === '') await sleep(100);
    for (; kind !== 'none' && count < Number(values.faults) && !isDone; count++) {
      await sleep(1000 * Number(values.every));
      if (isDone) return;
      if (kind === 'keeps' || kind === 'forgets') await server.restart(kind);
      else if (kind === 'cut' || kind === 'network') {
        const machine = machines[count % WORKERS] as QueueMachine;
        machine.cut();
        await sleep(1000 * Number(values.away));
        machine.mend();
      } else {
        const machine = machines.shift() as QueueMachine;
        machine.process.kill(kind === 'killed' ? 'SIGKILL' : 'SIGTERM');
        await launch();
      }
    }
  })();
  const started = performance.now();
  let runs = 0;
  for (let isWhole = false; !isWhole; runs++) isWhole = await runsThrough(kind, url, place);
  const seconds = (performance.now() - started) / 1000;
  isDone = true;
  await faults;
  for (const machine of machines) machine.close();
  const differ = await differing(place);
  const { begun, overlaps } = await read(stamps);
  wrong += differ.length + overlaps;
  console.log(
    `${kind}, ${values.queue}, ${values.store}: ${seconds.toFixed(0)} s, ${count} faults, ${runs} runs, ${begun} beginnings of ${stages} stages, ${overlaps} at the same time, ${calm.size} files compared, ${differ.length} differ ${differ.join(' ')}`,
  );
}
await rm(root, { recursive: true, force: true });
process.exit(wrong === 0 ? 0 : 1);

/** One run; false when it ended with an error, which is printed. */
async function runsThrough(kind: string, url: string, place: string): Promise<boolean> {
  try {
    const store = await openStore(place);
    await using elsewhere = await Submitter.open(parseQueueAddress(url), store);
    await runPlan(ticks(), { store, elsewhere });
    return true;
  } catch (error) {
    console.log(`  ${kind}: ${errorLine(error)}`);
    return false;
  }
}

function ticks(): Plan {
  const plan = new Plan(1);
  addTicks(plan, stages);
  return plan;
}

/** Files of the store that are not those of the run without a queue; of a bucket, as a machine finds it that has nothing of it yet. */
async function differing(place: string): Promise<string[]> {
  process.env.CROSSPATCH_CACHE = join(root, `reader-${Date.now()}`);
  const store = await openStore(place);
  if (store.remote) for (const node of ticks().nodes) await store.awaited(node as StageNode, { seconds: 0 });
  const found = await contents(store.root);
  found.delete('.store-id');
  const names = new Set([...calm.keys(), ...found.keys()]);
  return [...names].filter((name) => calm.get(name) !== found.get(name));
}

/** How often a stage was begun, and how many pairs of processes were at one at the same time. */
async function read(stamps: string): Promise<{ begun: number; overlaps: number }> {
  const spans = new Map<string, { stage: string; from: number; to: number }>();
  const latest = new Map<string, string>();
  let begun = 0;
  for (const line of (await readFile(stamps, 'utf8')).trim().split('\n')) {
    const [stage = '', pid, time, tick] = line.split(' ');
    // A process may begin a stage that it let go of once more.
    if (tick === '1') latest.set(`${stage} ${pid}`, `${stage} ${pid} ${++begun}`);
    const span = latest.get(`${stage} ${pid}`) ?? '';
    spans.set(span, { stage, from: spans.get(span)?.from ?? Number(time), to: Number(time) });
  }
  const all = [...spans.values()];
  const pairs = all.flatMap((a, i) =>
    all.slice(i + 1).filter((b) => a.stage === b.stage && a.from <= b.to && b.from <= a.to),
  );
  return { begun, overlaps: pairs.length };
}
