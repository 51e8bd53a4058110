/**
 * @file Every command of README.md and of the tutorial runs, in the order of the pages, in one temporary folder, on the bundled models.
 * Fenced blocks marked `sh` are run as they stand; `sh checkpoint` marks one that needs a downloaded model: it is not run, and its
 * recorded output must follow it. `npm ci` has been done when tests run; `npm run demo` and `npx crosspatch` are the program from source.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROGRAM_LINE } from './program.helper.ts';

const root = join(import.meta.dirname, '../..');
const PAGES = ['README.md', 'docs/tutorial/first-transfer.md'];
/** Pages whose every command needs a downloaded model. */
const RECORDED = ['docs/tutorial/your-model.md', 'docs/tutorial/fix-in-a-file.md'];

interface Block {
  readonly page: string;
  readonly mark: string;
  readonly text: string;
  /** Kind of the fenced block that follows, if one does before the next heading. */
  readonly next: string | undefined;
}

const blocks = (await Promise.all([...PAGES, ...RECORDED].map(blocksOf))).flat();
const sh = blocks.filter(({ mark }) => mark.startsWith('sh'));
const run = sh.filter(({ mark }) => mark === 'sh');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch docs '));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const program = `exec ${PROGRAM_LINE}`;
  await shim(join(bin, 'npx'), `[ "$1" = crosspatch ] || exit 9\nshift\n${program} "$@"`);
  await shim(
    join(bin, 'npm'),
    `[ "$1" = ci ] && exit 0\n[ "$1 $2" = 'run demo' ] || exit 9\nshift 2\n[ "$1" = -- ] && shift\n${program} demo "$@"`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the pages have commands, and those not run have their output', () => {
  expect(run.length).toBeGreaterThan(8);
  expect(sh.filter(({ mark }) => mark !== 'sh' && mark !== 'sh checkpoint')).toEqual([]);
  expect(sh.filter(({ mark, next }) => mark === 'sh checkpoint' && next !== '')).toEqual([]);
  for (const page of PAGES) expect(run.some((block) => block.page === page)).toBe(true);
  for (const page of RECORDED) {
    const own = sh.filter((block) => block.page === page);
    expect(own.map(({ mark }) => mark)).toEqual(own.map(() => 'sh checkpoint'));
    expect(own.length).toBeGreaterThan(2);
  }
});

describe('commands', () => {
  test.each(run.map(({ page, text }) => [`${page}: ${text.split('\n')[0]?.slice(0, 70)}`, text]))(
    '%s',
    async (_name, text) => {
      const path = `${join(folder, 'bin')}:${process.env.PATH}`;
      const env = { ...process.env, PATH: path, CROSSPATCH_CACHE: join(folder, 'cache') };
      const said = await promisify(execFile)('bash', ['-euc', text], { cwd: folder, env });
      expect(said.stderr).not.toMatch(/^error: /m);
    },
  );
});

test('the code sample of the README is an example that CI runs', async () => {
  const example = await readFile(join(root, 'examples/07-readme.ts'), 'utf8');
  const samples = blocks.filter(({ page, mark }) => page === 'README.md' && mark === 'ts');
  expect(samples.length).toBe(1);
  for (const { text } of samples) expect(example).toContain(text.replace(/^import .*\n+/, ''));
});

async function blocksOf(page: string): Promise<Block[]> {
  const text = await readFile(join(root, page), 'utf8');
  const found = [...text.matchAll(/^```([^\n]*)\n([\s\S]*?)\n```$/gm)];
  return found.map(({ 1: mark = '', 2: body = '', index, 0: whole }, i) => {
    const following = found[i + 1];
    const between = following && text.slice(index + whole.length, following.index);
    const next = between === undefined || /^#/m.test(between) ? undefined : following?.[1];
    return { page, mark, text: body, next };
  });
}

async function shim(path: string, script: string): Promise<void> {
  await writeFile(path, `#!/usr/bin/env bash\n${script}\n`);
  await chmod(path, 0o755);
}
