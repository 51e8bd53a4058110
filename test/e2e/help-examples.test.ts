/**
 * @file The example in every command's `--help` runs as it is typed, in an empty folder, after what it says comes before. Left out: what
 * needs the hub or a checkpoint, whole experiments, servers, and the long chain of map commands (their parts run in `src/cli`).
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PROGRAM_LINE } from './program.helper.ts';

const program = `crosspatch() { ${PROGRAM_LINE} "$@"; }\nset -e\n`;

const COMMANDS = [
  'init',
  'validate',
  'list',
  'generate',
  'logits',
  'capture',
  'vector',
  'data build',
  'capabilities',
  'models list',
  'models inspect',
  'cache list',
  'cache prune',
  'help',
] as const;

it.each(COMMANDS)('%s', async (name) => {
  const folder = await mkdtemp(join(tmpdir(), 'example-'));
  const run = (script: string) =>
    promisify(execFile)('bash', ['-c', `${program}${script}`], {
      cwd: folder,
      env: { ...process.env, CROSSPATCH_CACHE: join(folder, 'cache') },
    });
  try {
    const { stdout: help } = await run(`crosspatch ${name} --help`);
    const lines = [...help.matchAll(/^ {2}\$ (.*)$/gm)].map(([, line]) => line);
    expect(lines.at(-1)).toMatch(new RegExp(`^crosspatch ${name}`));
    await writeFile(join(folder, 'here'), '');
    const { stdout } = await run(lines.join('\n'));
    expect(stdout).not.toBe('');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
