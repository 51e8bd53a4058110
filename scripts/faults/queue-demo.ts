/**
 * @file `npx tsc -b && npx tsx scripts/faults/queue-demo.ts [--workers 4] [--queue redis|postgres] [--store folder|s3] [--kill-every 0] [--restart-every 0]
 * [--lock 30] [--recipe file.yaml] [--set path=value …] [--one results.json]`: the quick demo, or another recipe, over a queue whose workers have caches (and, as root, host names) of their own. Every
 * `--kill-every` seconds the worker that is there longest is killed with -9 and another started, so each lives `--workers` times as long; every `--restart-every`
 * seconds the queue's server is ended at once and started again with its data. A run that ends with an error is started again. Its `results.json` must be that
 * of one process, times and memory aside: one that is run here first, or the file of `--one`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stableResults } from '../../src/contracts/index.ts';
import { readResults } from '../../src/pipeline/index.ts';
import { BUCKET, startS3 } from '../../test/suites/s3.ts';
import { openMachine, type QueueMachine } from './queue-machine.ts';
import { startQueueServer } from './queue-server.ts';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '4' },
    queue: { type: 'string', default: 'redis' },
    store: { type: 'string', default: 'folder' },
    'kill-every': { type: 'string', default: '0' },
    'restart-every': { type: 'string', default: '0' },
    lock: { type: 'string', default: '30' },
    recipe: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    one: { type: 'string' },
  },
});
/** What is run, with the same threads wherever that is. */
const COMMAND = [
  ...(values.recipe === undefined ? ['demo'] : ['run', values.recipe]),
  ...['--threads', '1', ...values.set.flatMap((set) => ['--set', set])],
];
const PROGRAM = [fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))];
/** What a stage of the demo asks for at most is below this, in GB. */
const MEMORY = 4;
const root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-demo-'));
const load = () => loadavg()[0]?.toFixed(0);
const loadBefore = load();
const one = await wholeText(values.one === undefined ? await alone() : dirname(values.one));

await using server = await startQueueServer(values.queue, root);
await using s3 = values.store === 's3' ? await startS3(join(root, 'objects')) : undefined;
const store = s3 ? `s3://${BUCKET}/demo` : join(root, 'store');
Object.assign(process.env, s3?.env);
const machines: QueueMachine[] = [];
let launched = 0;
for (let n = 0; n < Number(values.workers); n++) await launch();

const counts = { kills: 0, restarts: 0, runs: 0 };
let isDone = false;
const faults = [
  every(Number(values['kill-every']), async () => {
    machines.shift()?.close();
    counts.kills++;
    await launch();
  }),
  every(Number(values['restart-every']), async () => {
    await server.restart('keeps');
    counts.restarts++;
  }),
];
const out = join(root, 'runs/demo');
const started = performance.now();
while ((await demo(out, ['--queue', server.urlWithPassword, '--store', store])) !== 0) counts.runs++;
const seconds = (performance.now() - started) / 1000;
isDone = true;
for (const machine of machines) machine.close();
await Promise.all(faults);
const far = await wholeText(out);
const log = await readFile(join(out, 'log.jsonl'), 'utf8');
const at = [...log.matchAll(/"message":"at (\S+?)"/g)].map(([, worker]) => worker);
console.log(
  `${values.queue}, ${values.store}, ${values.workers} workers, load ${loadBefore} to ${load()}: ${seconds.toFixed(0)} s, ${counts.kills} workers killed, ${counts.restarts} restarts of the server, ${counts.runs + 1} runs, ${at.length} beginnings of stages at ${new Set(at).size} workers; results.json ${far.length} characters, ${far === one ? 'the same as' : 'OTHER THAN'} one process`,
);
await rm(root, { recursive: true, force: true });
process.exitCode = far === one ? 0 : 1;

/** The run folder of one process without a queue. */
async function alone(): Promise<string> {
  const folder = join(root, 'one/run');
  const from = performance.now();
  await demo(folder, ['-j', '1']);
  console.log(`one process: ${((performance.now() - from) / 1000).toFixed(0)} s`);
  return folder;
}

/** Run it into `folder`; its exit code. What it says of errors is passed on. */
async function demo(folder: string, args: readonly string[]): Promise<number | null> {
  const child = spawn(process.execPath, [...PROGRAM, ...COMMAND, '--out', folder, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, CROSSPATCH_CACHE: join(root, 'mine') },
  });
  child.stderr.on('data', (text: Buffer) => {
    for (const line of `${text}`.split('\n'))
      if (/^error|gone|lost|away|back$/.test(line)) console.log(`  ${line.trim()}`);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

async function launch(): Promise<void> {
  machines.push(
    await openMachine({
      url: server.urlWithPassword,
      s3: s3?.port,
      store,
      cache: join(root, `cache-${launched++}`),
      lockSeconds: Number(values.lock),
      memory: MEMORY,
      program: PROGRAM,
      isApart: false,
    }),
  );
}

/** Do something every so many seconds until the demo is done; never for 0. */
async function every(interval: number, act: () => Promise<void>): Promise<void> {
  if (interval === 0) return;
  for (let next = performance.now() + 1000 * interval; ; next += 1000 * interval) {
    while (performance.now() < next) {
      if (isDone) return;
      await sleep(200);
    }
    await act();
  }
}

async function wholeText(folder: string): Promise<string> {
  return JSON.stringify(stableResults(await readResults(folder)), null, 2);
}
