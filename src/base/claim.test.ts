import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimFolder, refuseForeignFile, SEAL, withAtomicFolder } from './index.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-claim-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const claim = async (path: string, reads?: string[]) => {
  await using _claim = await claimFolder(path, { reads });
};

describe('claimFolder', () => {
  it('takes an absent, an empty and a sealed folder, and leaves nothing beside it', async () => {
    const out = join(root, 'out');
    await claim(out);
    await mkdir(out);
    await claim(out);
    await withAtomicFolder(out, (aside) => writeFile(join(aside, 'a'), '1'));
    await claim(out);
    expect(await readdir(root)).toEqual(['out']);
    expect(await readdir(out)).toEqual([SEAL, 'a']);
  });

  it.each([
    ['a file of another program', async (out: string) => writeFile(join(out, 'x'), '')],
    ['a hidden file', async (out: string) => writeFile(join(out, '.git'), '')],
    ['a folder with a file', async (out: string) => mkdir(join(out, 'sub/deep'), { recursive: true })],
    ['a seal that is none', async (out: string) => writeFile(join(out, SEAL), '{"made_by":"crosspatch"}')],
  ])('refuses %s', async (_what, put) => {
    const out = join(root, 'out');
    await mkdir(out);
    await put(out);
    await expect(claim(out)).rejects.toThrow(/out: holds files that crosspatch did not write/);
  });

  it('refuses a sealed folder into which somebody put a file, by its name', async () => {
    const out = join(root, 'out');
    await withAtomicFolder(out, (aside) => writeFile(join(aside, 'a'), '1'));
    await mkdir(join(out, 'sub'));
    await writeFile(join(out, 'sub/mine'), '');
    await expect(claim(out)).rejects.toThrow(/did not write \(sub\/mine\)/);
  });

  it('refuses a sealed folder in which somebody edited a file, and what another command made', async () => {
    const out = join(root, 'out');
    await withAtomicFolder(out, (aside) => writeFile(join(aside, 'map.json'), '1'));
    await using _same = await claimFolder(out, { makes: ['map.json'] });
    await expect(claimFolder(out, { makes: ['dataset.json'] })).rejects.toThrow(
      /out: holds what another command of crosspatch made \(map\.json\)/,
    );
    await writeFile(join(out, 'map.json'), '2');
    await expect(claim(out)).rejects.toThrow(/did not write \(map\.json as it was edited\)/);
    expect(await readFile(join(out, 'map.json'), 'utf8')).toBe('2');
  });

  it('refuses a file, what the command reads, and a folder around that, through links too', async () => {
    await writeFile(join(root, 'file'), '');
    await expect(claim(join(root, 'file'))).rejects.toThrow(/wanted a folder to write, got a file/);
    const model = join(root, 'models/tuned');
    await withAtomicFolder(model, (aside) => writeFile(join(aside, 'a'), '1'));
    await symlink(model, join(root, 'link'));
    for (const out of [model, join(root, 'models'), join(root, 'link')])
      await expect(claim(out, [model])).rejects.toThrow(/tuned is read from there/);
    await claim(join(root, 'models/tuned-2'), [model]);
  });

  it('a second process is told that the folder is in use; this one may claim it twice', async () => {
    const out = join(root, 'out');
    await using _first = await claimFolder(out);
    await claim(out);
    const code = `import { claimFolder } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
      await claimFolder(process.argv[1]).catch((e) => { console.log(e.exitCode, e.message); });`;
    const child = spawn(process.execPath, [
      '--import',
      import.meta.resolve('tsx'),
      '--input-type=module',
      '-e',
      code,
      out,
    ]);
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(said).toMatch(new RegExp(`^2 .*out: in use by process ${process.pid}; wait for it`));
  });
});

it('refuseForeignFile: absent, empty and the same kind are fine; anything else stays', async () => {
  const path = join(root, 'figures.json');
  const ours = (text: string) => 'sweep' in JSON.parse(text);
  await refuseForeignFile(path, ours);
  await writeFile(path, '');
  await refuseForeignFile(path, ours);
  await writeFile(path, '{"sweep":1}');
  await refuseForeignFile(path, ours);
  await expect(refuseForeignFile(path, ours, { reads: [path] })).rejects.toThrow(/is read from there/);
  for (const text of ['{"a":1}', 'no JSON']) {
    await writeFile(path, text);
    await expect(refuseForeignFile(path, ours)).rejects.toThrow(
      /holds something that this command did not write/,
    );
    expect(await readFile(path, 'utf8')).toBe(text);
  }
  await expect(refuseForeignFile(root, ours)).rejects.toThrow(/got a folder/);
});
