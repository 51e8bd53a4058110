/**
 * @file `npx tsx scripts/faults/queue-many.ts [--jobs 10000] [--workers 2] [--store folder|s3] [--queue redis|postgres]`: many stages that do nothing, through a server and
 * workers of its own. Prints what a stage costs beside its own work, and whether any was lost or computed twice: each leaves a stamp when it is computed.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openStore, parseQueueAddress } from '../../src/pipeline/index.ts';
import { Plan } from '../../src/pipeline/plan.ts';
import { Submitter } from '../../src/pipeline/queue/submit.ts';
import { runPlan } from '../../src/pipeline/runner.ts';
import { BUCKET, startS3 } from '../../test/suites/s3.ts';
import { startQueueServer } from './queue-server.ts';
import { stampStage } from './queue-stages.ts';
import { startWorker, workerReady } from './queue-worker.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '10000' },
    workers: { type: 'string', default: '2' },
    store: { type: 'string', default: 'folder' },
    queue: { type: 'string', default: 'redis' },
  },
});
const jobs = Number(values.jobs);
const root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-many-'));
const stamps = join(root, 'stamps');
await writeFile(stamps, '');
process.env.STAMPS = stamps;
process.env.CROSSPATCH_CACHE = join(root, 'mine');
await using server = await startQueueServer(values.queue, root);
await using s3 = values.store === 's3' ? await startS3(join(root, 'objects')) : undefined;
Object.assign(process.env, s3?.env);
const place = s3 ? `s3://${BUCKET}/many` : join(root, 'store');
await openStore(place);
const url = server.urlWithPassword;
const workers = Array.from({ length: Number(values.workers) }, (_, n) =>
  startWorker({ url, store: place, lockSeconds: 30, env: { CROSSPATCH_CACHE: join(root, `cache-${n}`) } }),
);
await Promise.all(workers.map(workerReady));

const plan = new Plan(1);
for (let n = 0; n < jobs; n++) plan.add(stampStage, { id: `stamp.${n}`, params: { n } });
const store = await openStore(place);
const started = performance.now();
const elsewhere = await Submitter.open(parseQueueAddress(url), store);
let said = 0;
const finished = await runPlan(plan, {
  store,
  elsewhere,
  onEvent: ({ state }) => {
    if (state === 'done' && ++said % 1000 === 0) console.log(`${said} after ${seconds()} s`);
  },
});
const took = Number(seconds());
await elsewhere[Symbol.asyncDispose]();
for (const worker of workers) worker.kill('SIGKILL');
const counts = new Map<string, number>();
for (const line of (await readFile(stamps, 'utf8')).trim().split('\n'))
  counts.set(line, (counts.get(line) ?? 0) + 1);
const twice = [...counts.values()].filter((n) => n > 1).length;
const lost = jobs - counts.size;
const inside = [...finished.values()].reduce((sum, { seconds: s }) => sum + s, 0);
console.log(
  `${jobs} stages, ${workers.length} workers, ${values.queue}, ${values.store}: ${took} s, ${((1000 * took) / jobs).toFixed(2)} ms per stage (one worker: ${((1000 * took * workers.length) / jobs).toFixed(1)} ms, of which ${((1000 * inside) / jobs).toFixed(1)} ms within its child); submitter ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB, ${(process.cpuUsage().user / 1e6).toFixed(0)} s of processor; ${lost} lost, ${twice} computed twice`,
);
await rm(root, { recursive: true, force: true });
process.exitCode = lost + twice === 0 ? 0 : 1;

function seconds(): string {
  return ((performance.now() - started) / 1000).toFixed(1);
}
