/** @file `--provider`: a whole model on WebGPU, through a driver that computes on the processor, as exact as without; and one line for what is not there. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTinyModel } from '../../src/cli/tiny-model.helper.ts';
import { PROGRAM } from './program.helper.ts';

/** SwiftShader, a Vulkan driver without a GPU; Debian's Chromium brings it, and the library that loads it. */
const CHROMIUM = '/usr/lib/chromium';
const DRIVER = `${CHROMIUM}/vk_swiftshader_icd.json`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'provider-'));
  await writeTinyModel(join(folder, 'model'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function logits(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const given = [
    'logits',
    '--model',
    join(folder, 'model'),
    '--prompt',
    'one two three plus',
    '--json',
    ...args,
  ];
  const vulkan = { VK_ICD_FILENAMES: DRIVER, LD_LIBRARY_PATH: CHROMIUM, XDG_RUNTIME_DIR: folder };
  return promisify(execFile)(process.execPath, [...PROGRAM, ...given], {
    env: { ...process.env, ...vulkan, ...env },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: Ended) => ({ code, stdout, stderr }),
  );
}

it('gives on WebGPU what the processor gives', async () => {
  const rows = async (provider: string): Promise<number[]> => {
    const { code, stdout, stderr } = await logits(['--provider', provider]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return (JSON.parse(stdout) as { logits: number[][] }).logits.flat();
  };
  const [here, there] = [await rows('cpu'), await rows('webgpu')];
  const largest = Math.max(...here.map(Math.abs));
  expect(largest).toBeGreaterThan(5);
  expect(Math.max(...here.map((value, i) => Math.abs(value - (there[i] as number))))).toBeLessThan(
    1e-5 * largest,
  );
  // Not the same arithmetic: otherwise the option did nothing.
  expect(there).not.toEqual(here);
}, 240_000);

it('says in one line what cannot be had, before anything else', async () => {
  const { code, stdout, stderr } = await logits(['--provider', 'dml']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(
    /^error: provider dml cannot be had on this machine; it needs Windows; take cpu .*\n$/,
  );
  expect(await logits([], { CROSSPATCH_PROVIDER: 'abacus' })).toEqual({
    code: 2,
    stdout: '',
    stderr:
      'error: CROSSPATCH_PROVIDER: wanted one of cpu, webgpu, cuda, coreml, dml, got "abacus" [provider-unavailable]\n',
  });
}, 120_000);
