/**
 * @file `npx tsx scripts/faults/store-bytes.ts [--mb 1024]`: what a byte of a stage's result costs between machines: sealing it here, sending it to a
 * bucket, and bringing it to another machine; and the most memory that takes. The server is an s3rver of its own, unless AWS_ENDPOINT_URL names
 * one and `--store` a place in it.
 */
import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openStore } from '../../src/pipeline/index.ts';
import { Plan, type StageNode } from '../../src/pipeline/plan.ts';
import { BUCKET, startS3 } from '../../test/suites/s3.ts';
import { stampStage } from './queue-stages.ts';

const { values } = parseArgs({
  options: { mb: { type: 'string', default: '1024' }, store: { type: 'string' } },
});
const root = await mkdtemp(join(tmpdir(), 'crosspatch-store-bytes-'));
await using s3 = values.store === undefined ? await startS3(join(root, 'objects')) : undefined;
Object.assign(process.env, s3?.env);
const place = values.store ?? `s3://${BUCKET}/bytes`;
const megabytes = Number(values.mb);
const plan = new Plan(1);
const node = plan.get(plan.add(stampStage, { id: 'bytes', params: { n: Date.now() } }).id) as StageNode;

process.env.CROSSPATCH_CACHE = join(root, 'a');
const here = await openStore(place);
let filled: Cost = { seconds: 0, busy: 0 };
const sealed = await timed(() =>
  here.obtain(node, async (folder) => {
    filled = await timed(() => fill(join(folder, 'activations.bin')));
    return {};
  }),
);
process.env.CROSSPATCH_CACHE = join(root, 'b');
const there = await openStore(place);
const brought = await timed(() => there.look(node));
const again = await timed(() => there.look(node));
const each = ({ seconds, busy }: Cost) =>
  `${seconds.toFixed(1)} s, ${((1000 * busy) / megabytes).toFixed(2)} ms of processor per MiB`;
console.log(
  `${megabytes} MiB: sealed and sent ${each({ seconds: sealed.seconds - filled.seconds, busy: sealed.busy - filled.busy })}, brought and checked ${each(brought)}, checked again ${each(again)}; most memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`,
);
await rm(root, { recursive: true, force: true });

async function fill(path: string): Promise<void> {
  const piece = randomFillSync(Buffer.alloc(2 ** 20));
  await using file = await open(path, 'w');
  for (let n = 0; n < megabytes; n++) await file.write(piece);
}

/** Wall time, and what of it this process computed; both in seconds. */
interface Cost {
  readonly seconds: number;
  readonly busy: number;
}

async function timed(work: () => Promise<unknown>): Promise<Cost> {
  const [started, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - started) / 1000, busy: (user + system) / 1e6 };
}
