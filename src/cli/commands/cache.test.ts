/** @file `cache` lists and deletes what crosspatch wrote, and nothing else. */
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { acquireLock, withAtomicFolder } from '../../base/index.ts';
import { crosspatch, crosspatchJson } from '../crosspatch.helper.ts';

const GGUF = '0123456789abcdef0123456789abcdef';
const STAGE = 'sweep-0123456789abcdef0123';
const LONG_AGO = new Date('2020-01-01T00:00:00Z');

let root: string;
let store: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-cache-'));
  store = join(root, 'store');
  vi.stubEnv('CROSSPATCH_CACHE', join(root, 'cache'));
  vi.stubEnv('HF_HUB_CACHE', undefined);
  await hubModel(join(root, 'cache/hub'), 'org', 'model', true);
  await hubModel(join(root, 'cache/hub'), 'other', 'program', false);
  const fill = (folder: string) => writeFile(join(folder, 'data'), 'x'.repeat(1000));
  await withAtomicFolder(join(root, 'cache/gguf', GGUF), fill, { cache: true });
  await withAtomicFolder(join(store, STAGE), fill, { cache: true });
  await mkdir(join(root, 'cache/gguf/mine'));
  await writeFile(join(root, 'cache/gguf/mine/file'), 'not ours');
  await mkdir(join(store, 'notes-0123456789abcdef0123'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

/** The layout of a pulled model; `ours` has the listing that only crosspatch writes. */
async function hubModel(hub: string, org: string, name: string, ours: boolean): Promise<void> {
  const home = join(hub, `models--${org}--${name}`);
  for (const folder of ['blobs', 'snapshots/abc', ...(ours ? ['listings'] : [])])
    await mkdir(join(home, folder), { recursive: true });
  await writeFile(join(home, 'blobs/b'), 'y'.repeat(2000));
  await utimes(join(home, 'blobs/b'), LONG_AGO, LONG_AGO);
  await symlink('../../blobs/b', join(home, 'snapshots/abc/model.safetensors'));
}

const names = (entries: { name: string }[]) => entries.map(({ name }) => name);

it('lists what crosspatch wrote, with sizes', async () => {
  const { entries, bytes } = await crosspatchJson(['cache', 'list', '--store', store]);
  expect(names(entries)).toEqual(['org/model', GGUF, STAGE]);
  expect(entries[0]).toMatchObject({ kind: 'hub', bytes: 2000, last_used: LONG_AGO.toISOString() });
  expect(bytes).toBeGreaterThan(4000);
  expect((await crosspatch(['cache', 'list', '--kind', 'hub'])).out).toMatch(
    /^kind .*\nhub +org\/model +2 kB +2020-01-01 00:00 .*\n\n1 kept, 2 kB/,
  );
});

it('prunes by name and age, after --dry-run, with --yes, and never what is foreign', async () => {
  const prune = ['cache', 'prune', '--store', store];
  expect((await crosspatchJson([...prune, '--older-than', '30d', '--dry-run'])).deleted).toEqual([]);
  expect(await readdir(join(root, 'cache/hub'))).toHaveLength(2);
  expect((await crosspatch([...prune, '--older-than', '30d', '--yes'])).out).toMatch(
    /deleted 1 of 1, 2 kB\n$/,
  );
  expect(await readdir(join(root, 'cache/hub'))).toEqual(['models--other--program']);
  expect(names((await crosspatchJson([...prune, '--name', 'sweep', '--yes'])).deleted)).toEqual([STAGE]);
  await crosspatch([...prune, '--all', '--yes']);
  expect(await readdir(join(root, 'cache/gguf'))).toEqual(['mine']);
  expect(await readdir(store)).toEqual(['notes-0123456789abcdef0123']);
});

it('asks first, and needs --yes where nobody can answer', async () => {
  const said: string[] = [];
  const confirm = async (question: string) => {
    said.push(question);
    return false;
  };
  const refused = await crosspatch(['cache', 'prune', '--kind', 'gguf'], { confirm });
  expect([refused.code, refused.err, said]).toEqual([
    0,
    'nothing was deleted\n',
    [expect.stringMatching(/^Delete 1 of 1, 1\.\d+ kB\?$/)],
  ]);
  expect(await readdir(join(root, 'cache/gguf'))).toContain(GGUF);
  expect(await crosspatch(['cache', 'prune', '--kind', 'gguf'])).toMatchObject({ code: 2 });
  expect(await crosspatch(['cache', 'prune'])).toMatchObject({ code: 2 });
});

it('keeps what is shared, being fetched or being written', async () => {
  await writeFile(join(root, 'cache/hub/models--org--model/blobs/c.part'), 'z');
  await using _lock = await acquireLock(join(store, `${STAGE}.lock`), { what: 'a test' });
  const prune = ['cache', 'prune', '--store', store, '--all', '--yes'];
  expect(names((await crosspatchJson(prune)).deleted)).toEqual([GGUF]);
  vi.stubEnv('HF_HUB_CACHE', join(root, 'shared'));
  await hubModel(join(root, 'shared'), 'org', 'model', true);
  const { deleted, chosen } = await crosspatchJson(prune);
  expect([deleted, names(chosen)]).toEqual([[], ['org/model', STAGE]]);
});

it('refuses a bucket, and says where this machine keeps its copy', async () => {
  for (const command of ['list', 'prune']) {
    const args = ['cache', command, '--store', 's3://bucket/team', ...(command === 'prune' ? ['--all'] : [])];
    const { code, err } = await crosspatch(args);
    expect(code).toBe(2);
    expect(err).toMatch(
      /^error: --store s3:\/\/bucket\/team: wanted a folder, got a bucket; .*\[option-invalid\]\n$/,
    );
    expect(err).toContain(join(root, 'cache/stores'));
  }
});
