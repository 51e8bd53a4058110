/**
 * @file A child process of `npm run fuzz`: tries inputs of one target, one after the other. The number of the input that is being
 * tried lies in a file, so that the parent knows it when this process hangs or dies.
 */
import { openSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CrosspatchError, errorLine, Rng } from '../../src/base/index.ts';
import { startCoverage } from './coverage.ts';
import { type Job, LIMITS, type Report, type Tally } from './report.ts';
import type { Target } from './target.ts';
import { targets } from './targets.ts';

const job = JSON.parse(process.argv[2] as string) as Job;
const coverage = job.cover ? await startCoverage() : undefined;
const scratch = await mkdtemp(join(tmpdir(), `crosspatch-fuzz-${job.target}-`));
const target = await targets[job.target]!(scratch);
const state = openSync(job.state, 'r+');
const tally: Tally = { inputs: 0, accepted: 0, refused: 0, bytes: 0 };
let index = job.from;

const say = (report: Report) => process.send?.(report);
const finding = (kind: string, error: unknown) =>
  say({ type: 'finding', index, kind, message: messageOf(error).slice(0, 400) });
process.on('uncaughtException', (error) => finding('uncaught', error));
process.on('unhandledRejection', (error) => finding('uncaught', error));

const end = performance.now() + job.seconds * 1000;
let said = performance.now();
const number = new BigInt64Array(1);
for (; tally.inputs < job.inputs && performance.now() < end; index++) {
  number[0] = BigInt(index);
  writeSync(state, number, 0, 8, 0);
  const input = target.make(new Rng(job.seed).fork(`${job.target}/${index}`));
  await tryOne(target, input);
  if (performance.now() - said > 500) {
    said = performance.now();
    say({ type: 'tally', tally, next: index + 1 });
    await new Promise((resolve) => setImmediate(resolve));
  }
}
await rm(scratch, { recursive: true, force: true });
const branches = await coverage?.stop(target.sources);
process.send?.({ type: 'done', tally, next: index, branches } satisfies Report, () => process.exit(0));

async function tryOne({ attempt, refusals, size }: Target, input: unknown): Promise<void> {
  const bytes = size(input);
  const before = process.resourceUsage();
  try {
    const outcome = attempt(input);
    if (outcome instanceof Promise) await outcome;
    tally.accepted++;
  } catch (error) {
    tally.refused++;
    if (job.only) process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    if (!(error instanceof CrosspatchError) && !refusals?.(error)) finding('untyped error', error);
    else if (/\p{Cc}/u.test(errorLine(error))) finding('control characters in the error line', error);
  }
  const after = process.resourceUsage();
  tally.inputs++;
  tally.bytes += bytes;
  const seconds = (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6;
  if (seconds > LIMITS.seconds) finding('slow', `${seconds.toFixed(1)} s of processor for ${bytes} bytes`);
  const grown = (after.maxRSS - before.maxRSS) * 1024;
  if (tally.inputs > 50 && grown > LIMITS.factor * bytes + LIMITS.bytes)
    finding('memory', `${Math.round(grown / 1e6)} MB for ${bytes} bytes`);
  if (tally.inputs % 512 === 0) forgetPeak();
}

/** Linux: the high-water mark starts again from what is held now. Elsewhere it only rises, and less is seen. */
function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {}
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const at = error.stack?.split('\n').find((line) => line.includes('/src/')) ?? '';
  return `${error.name}: ${error.message} ${at.trim().replace(/\(?file:\/\/\S*\/src\//, '(src/')}`;
}
