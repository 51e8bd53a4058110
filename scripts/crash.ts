/**
 * @file `npm run crash -- [--kills 50] [--seed 1] [--kinds run,training,capture,experiment]`: a run of toy stages, a training run, a
 * capture and a whole experiment (`faults/mini.yaml`) are killed with -9 at random moments and started again until the kills are used up,
 * as many for each; what they end with must be the bytes of one that was left alone, times aside.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Rng } from '../src/base/index.ts';
import { contents } from './faults/contents.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string', default: 'run,training,capture,experiment' },
  },
});
const kinds = values.kinds.split(',');
const child = fileURLToPath(new URL('./faults/crash-child.ts', import.meta.url));
const root = await mkdtemp(join(tmpdir(), 'crosspatch-crash-'));
const rng = new Rng(Number(values.seed));
const per = Math.ceil(Number(values.kills) / kinds.length);
let wrong = 0;
let kills = 0;

for (const kind of kinds) {
  const calm = join(root, `${kind}-calm`);
  const started = performance.now();
  if (!(await run(kind, calm, Number.POSITIVE_INFINITY))) throw new Error(`${kind}: does not end`);
  const whole = await contents(calm);
  const took = performance.now() - started;
  let rounds = 0;
  for (let killed = 0; killed < per; ) {
    const folder = join(root, `${kind}-${rounds++}`);
    while (killed < per && !(await run(kind, folder, rng.next() * took * 1.05))) killed++;
    if (!(await run(kind, folder, Number.POSITIVE_INFINITY))) throw new Error(`${kind}: does not end`);
    const found = await contents(folder);
    for (const [name, hash] of whole) if (found.get(name) !== hash) report(kind, name);
    for (const name of found.keys()) if (!whole.has(name)) report(kind, `${name} (left over)`);
    await rm(folder, { recursive: true, force: true });
  }
  kills += per;
  console.log(`${kind}: ${per} kills in ${rounds} runs, ${whole.size} files compared`);
}
await rm(root, { recursive: true, force: true });
console.log(
  `${kills} kills, seed ${values.seed}: ${wrong === 0 ? 'the same bytes every time' : `${wrong} files differ`}`,
);
process.exit(wrong === 0 ? 0 : 1);

/** True when it ended well before `delay` milliseconds; killed else. */
async function run(kind: string, folder: string, delay: number): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  const work = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), child, kind, folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, TOY_MILLISECONDS: '15' },
    detached: true,
  });
  const timer = Number.isFinite(delay)
    ? setTimeout(() => process.kill(-(work.pid as number), 'SIGKILL'), delay)
    : undefined;
  const code = await new Promise<number | null>((resolve) => work.on('close', resolve));
  clearTimeout(timer);
  if (code !== 0 && code !== null) throw new Error(`${kind}: ended with ${code}`);
  return code === 0;
}

function report(kind: string, name: string): void {
  wrong++;
  console.log(`DIFFERS: ${kind}: ${name}`);
}
