/**
 * @file `npm run fuzz -- --seconds N [--seed S] [--target NAME] [--json FILE]`: damaged inputs for everything that reads what others
 * wrote. Inputs follow from the seed and their number; `--target NAME --only NUMBER` tries one and prints what came of it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Branches } from './fuzz/coverage.ts';
import type { Finding, Job, Report, Tally } from './fuzz/report.ts';
import { targets } from './fuzz/targets.ts';

/** Without a new input for so long, a child hangs. */
const HANG_MS = 20_000;
/** The same before the first: loading the code. */
const START_MS = 600_000;
/** Inputs of the pass that counts branches, which runs slower. */
const COVERED = 4000;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', multiple: true },
    only: { type: 'string' },
    json: { type: 'string' },
  },
});
const names = values.target ?? Object.keys(targets);
for (const name of names)
  if (!Object.hasOwn(targets, name)) {
    console.error(`--target ${name}: no such target; there are ${Object.keys(targets).join(', ')}`);
    process.exit(2);
  }
setPriority(19);
const folder = mkdtempSync(join(tmpdir(), 'crosspatch-fuzz-'));
const seed = Number(values.seed);
const findings: Finding[] = [];
const rows: { target: string; tally: Tally; seconds: number; branches: Branches | undefined }[] = [];

const base = { seed, from: 0, inputs: Number.MAX_SAFE_INTEGER, cover: false, only: false };
if (values.only !== undefined) {
  const job = {
    ...base,
    target: names[0] as string,
    seconds: 60,
    from: Number(values.only),
    inputs: 1,
    only: true,
  };
  const { tally } = await pass(job);
  console.log(tally.accepted === 1 ? 'accepted' : 'refused');
} else {
  const share = Number(values.seconds) / names.length;
  for (const target of names) {
    rows.push(await fuzz(target, share));
    // Written after every target: a long run that is stopped has said what it found so far.
    if (values.json !== undefined)
      writeFileSync(
        values.json,
        `${JSON.stringify({ seed, seconds: Number(values.seconds), rows, findings }, null, 2)}\n`,
      );
  }
  print();
}
rmSync(folder, { recursive: true, force: true });
process.exit(findings.length > 0 ? 1 : 0);

/** A pass that counts branches for a fifth of the time, then one at full speed. */
async function fuzz(target: string, seconds: number) {
  const started = performance.now();
  const covered = await pass({ ...base, target, cover: true, inputs: COVERED, seconds: seconds / 5 });
  const left = seconds - (performance.now() - started) / 1000;
  const rest = await pass({ ...base, target, from: covered.next, seconds: Math.max(left, 1) });
  const tally = sum(covered.tally, rest.tally);
  const took = (performance.now() - started) / 1000;
  const found = findings.filter((finding) => finding.target === target).length;
  const { reached, known } = covered.branches ?? { reached: 0, known: 0 };
  console.log(
    `${target}: ${tally.inputs} inputs in ${took.toFixed(0)} s, ${((100 * tally.accepted) / Math.max(1, tally.inputs)).toFixed(1)} % accepted, ${reached} of ${known} branches, ${found} findings`,
  );
  return { target, tally, seconds: took, branches: covered.branches };
}

/** Run a job to its end; an input that hangs or kills its child is a finding, and the next child goes on after it. */
async function pass(job: Omit<Job, 'state'>): Promise<{ tally: Tally; next: number; branches?: Branches }> {
  let total: Tally = { inputs: 0, accepted: 0, refused: 0, bytes: 0 };
  const end = performance.now() + job.seconds * 1000;
  for (let from = job.from; ; ) {
    const seconds = Math.max(0.5, (end - performance.now()) / 1000);
    const run = await child({ ...job, from, seconds, inputs: job.inputs - total.inputs });
    total = sum(total, run.tally);
    if (run.done)
      return { tally: total, next: run.next, ...(run.branches ? { branches: run.branches } : {}) };
    note({ target: job.target, index: run.next - 1, kind: run.how, message: run.errors, count: 1 });
    from = run.next;
    if (performance.now() > end) return { tally: total, next: from };
  }
}

interface Run {
  readonly tally: Tally;
  readonly next: number;
  readonly done: boolean;
  readonly how: string;
  /** Where it died: what it said. */
  readonly errors: string;
  readonly branches?: Branches;
}

function child(job: Omit<Job, 'state'>): Promise<Run> {
  const state = join(folder, 'state');
  writeFileSync(state, new BigInt64Array([-1n]));
  const current = () => Number(readFileSync(state).readBigInt64LE());
  const argument = JSON.stringify({ ...job, state } satisfies Job);
  const process = fork(new URL('./fuzz/child.ts', import.meta.url), [argument], {
    execArgv: ['--import', import.meta.resolve('tsx'), '--max-old-space-size=2048'],
    stdio: ['ignore', job.only ? 'inherit' : 'ignore', 'pipe', 'ipc'],
  });
  let tally: Tally = { inputs: 0, accepted: 0, refused: 0, bytes: 0 };
  let done: Extract<Report, { type: 'done' }> | undefined;
  process.on('message', (report: Report) => {
    if (report.type === 'finding') note({ target: job.target, ...report, count: 1 });
    else tally = report.tally;
    if (report.type === 'done') done = report;
  });
  let errors = '';
  process.stderr?.on('data', (text: Buffer) => {
    errors = `${errors}${text}`.slice(-400);
  });
  const watch = watchdog(process, current);
  return new Promise((resolve) => {
    process.on('exit', (code, signal) => {
      clearInterval(watch.timer);
      const how = watch.hangs() ? 'hang' : `crash (${signal ?? code})`;
      resolve({
        tally,
        next: done?.next ?? Math.max(job.from, current()) + 1,
        done: done !== undefined,
        how,
        errors: errors.replace(/\s+/g, ' '),
        branches: done?.branches,
      });
    });
  });
}

function watchdog(process: ChildProcess, current: () => number) {
  let hangs = false;
  let last = Number.NaN;
  let since = performance.now();
  const timer = setInterval(() => {
    const now = current();
    if (now !== last) [last, since] = [now, performance.now()];
    else if (performance.now() - since > (now < 0 ? START_MS : HANG_MS)) {
      hangs = true;
      process.kill('SIGKILL');
    }
  }, 1000);
  return { timer, hangs: () => hangs };
}

/** The same thing at the same place counts once, with how often it was seen. */
function note(finding: Finding): void {
  const place = ({ message }: Finding) => /src\/\S+:\d+/.exec(message)?.[0] ?? message.replace(/\d+/g, '#');
  const shape = (f: Finding) => `${f.target} ${f.kind} ${place(f)}`;
  const known = findings.find((f) => shape(f) === shape(finding));
  if (known) known.count++;
  else findings.push(finding);
}

function sum(a: Tally, b: Tally): Tally {
  return {
    inputs: a.inputs + b.inputs,
    accepted: a.accepted + b.accepted,
    refused: a.refused + b.refused,
    bytes: a.bytes + b.bytes,
  };
}

function print(): void {
  console.log(
    '\n| target | inputs | accepted | branches reached | inputs/s | findings |\n|---|---|---|---|---|---|',
  );
  for (const { target, tally, seconds, branches } of rows) {
    const accepted = `${((100 * tally.accepted) / Math.max(1, tally.inputs)).toFixed(1)} %`;
    const reached = branches ? `${branches.reached} of ${branches.known}` : '–';
    const found = findings.filter((f) => f.target === target).length;
    console.log(
      `| ${target} | ${tally.inputs} | ${accepted} | ${reached} | ${Math.round(tally.inputs / seconds)} | ${found} |`,
    );
  }
  const inputs = rows.reduce((n, row) => n + row.tally.inputs, 0);
  console.log(`\n${inputs} inputs, seed ${seed}; ${findings.length} findings`);
  for (const f of findings)
    console.log(`${f.kind} ×${f.count}: --target ${f.target} --seed ${seed} --only ${f.index}: ${f.message}`);
}
