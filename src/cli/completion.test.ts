/** @file The completion script as bash runs it; the other scripts where their shells are here. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SHELLS } from './completion.ts';
import { crosspatch } from './crosspatch.helper.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-completion-'));
  for (const shell of SHELLS)
    await writeFile(join(root, shell), (await crosspatch(['completion', shell])).out);
  await writeFile(join(root, 'my file.yaml'), '');
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** What bash offers for a line whose last word is being typed. */
async function offered(...words: string[]): Promise<string[]> {
  const quoted = ['crosspatch', ...words].map((word) => `'${word}'`).join(' ');
  const script = `. ./bash; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _crosspatch; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', script], { cwd: root });
  return stdout.split('\n').filter((line) => line !== '');
}

it('completes commands, subcommands, options, choices, models and files', async () => {
  expect(await offered('ge')).toEqual(['generate']);
  expect(await offered('map', '')).toEqual(expect.arrayContaining(['fit', 'eval']));
  expect(await offered('map', 'fit', '--source-b')).toEqual(['--source-block']);
  expect(await offered('generate', '--template', 'c')).toEqual(['chat']);
  expect(await offered('generate', '--model', 'tiny-q')).toEqual(['tiny-qwen']);
  expect(await offered('run', 'my')).toEqual(['my file.yaml']);
  expect(await offered('finetune', '--data', 'my')).toEqual(['my file.yaml']);
  expect(await offered('cache', 'prune', '--kind', 'h')).toEqual(['hub']);
  expect(await offered('completion', '--he')).toEqual(['--help']);
});

it('another shell is bad usage', async () => {
  expect(await crosspatch(['completion', 'tcsh'])).toMatchObject({ code: 2, out: '' });
});

it.each(SHELLS)('the script of %s has no syntax error, where that shell is installed', (shell) => {
  const checked = spawnSync(shell, ['-n', join(root, shell)], { encoding: 'utf8' });
  if (checked.error) return;
  expect([checked.status, checked.stderr]).toEqual([0, '']);
});
