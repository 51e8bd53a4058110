/** @file A run as it goes on: live progress, a reload in the middle, the server killed and started anew in the middle. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/contracts/index.ts';
import { fixtureManifest, fixtureResults } from '../../src/figures/results.fixture.ts';
import { cleanUp, hasChromium, launch, log, serve, visit, workshop, writeRun } from './web.helper.ts';

const STAGES: Manifest['stages'] = [
  { id: 'data', status: 'done', seconds: 1 },
  { id: 'tune', status: 'running', needs: ['data'] },
  { id: 'sweep', status: 'waiting', needs: ['tune'] },
];

describe.skipIf(!hasChromium)('web app, live', () => {
  let browser: Browser;
  let place: Awaited<ReturnType<typeof workshop>>;

  beforeAll(async () => {
    place = await workshop();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    if (place) await cleanUp(place.folder);
  });

  const running = (name: string) =>
    writeRun(place.runs, name, {
      results: null,
      samples: [],
      manifest: { status: 'running', started_at: new Date().toISOString(), stages: STAGES },
    });
  const step = (folder: string, done: number) =>
    log(folder, {
      stage: 'tune',
      state: 'running',
      done,
      total: 100,
      unit: 'steps',
      figures: { loss: 1 / done },
    });
  const lines = (page: Page) => page.locator('.log > div');

  it('fills up while the run goes on, survives a reload, and shows figures when results come', async () => {
    const folder = await running('live');
    const served = await serve(place);
    try {
      const { page, problems, context } = await visit(browser, served, '/run/live');
      await page.getByText('live', { exact: false }).first().waitFor();
      await log(folder, { stage: 'tune', state: 'started', message: 'begun' });
      await step(folder, 10);
      await page.getByRole('button', { name: /tune running, 10 %/ }).waitFor();
      await new Promise((resolve) => setTimeout(resolve, 400));
      await step(folder, 30);
      await page
        .getByRole('button', { name: /tune running, 30 %, 30\/100 steps · .*\/s · .* left/ })
        .waitFor();
      await page.getByRole('img', { name: /loss/ }).waitFor();
      await page.reload();
      await page.getByRole('button', { name: /tune running, 30 %/ }).waitFor();
      expect(await lines(page).allTextContents()).toEqual([expect.stringContaining('tune: begun')]);

      await log(folder, { stage: 'tune', state: 'done', seconds: 2 }, { stage: 'sweep', state: 'started' });
      await page.getByRole('button', { name: /tune done, 100 %/ }).waitFor();
      await page.getByRole('button', { name: /sweep running/ }).waitFor();
      await writeFile(join(folder, 'results.json'), JSON.stringify(fixtureResults()));
      const done = {
        ...fixtureManifest(),
        name: 'live',
        stages: STAGES.map((s) => ({ ...s, status: 'done' as const })),
      };
      await writeFile(join(folder, 'manifest.json'), JSON.stringify(done));
      await page.locator('figure svg').first().waitFor();
      await page.getByLabel('Verdict').waitFor();
      expect(problems).toEqual([]);
      await context.close();
    } finally {
      await served.kill();
    }
  });

  it('goes on after the server was killed and started anew: nothing lost, nothing twice, the address kept', async () => {
    const folder = await running('cut');
    const first = await serve(place);
    const { page, context } = await visit(browser, first, '/run/cut?stage=tune');
    await log(folder, { stage: 'tune', state: 'started', message: 'line 1' });
    await step(folder, 10);
    await page.getByRole('button', { name: /tune running, 10 %/ }).waitFor();
    await first.kill();
    await page.getByText('The server does not answer').waitFor();
    await log(folder, {
      stage: 'tune',
      state: 'running',
      done: 40,
      total: 100,
      message: 'line 2, nobody there',
    });
    const second = await serve({ ...place, port: first.port });
    try {
      expect(second.token).not.toBe(first.token);
      await page.getByText('The server does not know this browser').waitFor();
      // The address that the new server printed, opened as `view` does by itself: the old page goes on.
      const other = await context.newPage();
      await other.goto(second.url);
      await page.getByRole('button', { name: /tune running, 40 %/ }).waitFor();
      await expect.poll(() => page.locator('.notice').count()).toBe(0);
      await step(folder, 60);
      await page.getByRole('button', { name: /tune running, 60 %/ }).waitFor();
      expect((await lines(page).allTextContents()).map((text) => text.replace(/^\S+ /, ''))).toEqual([
        'tune: line 1',
        'tune: line 2, nobody there',
      ]);
      expect(page.url()).toContain('/run/cut?stage=tune');
      await context.close();
    } finally {
      await second.kill();
    }
  });

  it('takes a pasted address when the browser is not known, and a log that began anew', async () => {
    const folder = await running('paste');
    await log(
      folder,
      { stage: 'tune', state: 'started', message: 'old' },
      { stage: 'tune', state: 'running', done: 1 },
    );
    const served = await serve(place);
    try {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`http://127.0.0.1:${served.port}/run/paste?stage=data`);
      await page.getByLabel('Address or token').fill(served.url);
      await page.getByRole('button', { name: 'Go on' }).click();
      await page.getByText('tune: old').waitFor();
      expect(page.url()).toBe(`http://127.0.0.1:${served.port}/run/paste?stage=data`);
      await writeFile(join(folder, 'log.jsonl'), '');
      await log(folder, { stage: 'tune', state: 'started', message: 'new' });
      await page.getByText('tune: new').waitFor();
      expect(await page.getByText('tune: old').count()).toBe(0);
      await context.close();
    } finally {
      await served.kill();
    }
  });
});
