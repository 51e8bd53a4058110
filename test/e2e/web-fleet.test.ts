/** @file Fleets in the web app, in a real browser, on folders written from the contracts. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, fleetSchema, resultsSchema } from '../../src/contracts/index.ts';
import { fixtureResults } from '../../src/figures/results.fixture.ts';
import { fleetBehaviours, renderFleet } from '../../src/report/index.ts';
import {
  axeProblems,
  cleanUp,
  hasChromium,
  launch,
  type Served,
  serve,
  settled,
  sideScroll,
  visit,
  workshop,
  writeRun,
} from './web.helper.ts';

function fleet(change: Partial<Fleet> = {}): Fleet {
  const use = {
    guide: 'use/locked/README.md',
    document: 'use/locked/mapped.json',
    serve: 'crosspatch serve --model x',
  };
  const behaviours = fleetBehaviours(resultsSchema.parse(fixtureResults()), []).map((one) => ({
    ...one,
    use,
  }));
  return fleetSchema.parse({
    ...{ schema_version: 1, name: 'ours', source: 'tiny-llama-s', status: 'failed' },
    started_at: '2026-12-01T10:00:00.000Z',
    targets: [
      { name: 'medium', model: 'tiny-llama-m', status: 'done', behaviours },
      {
        name: 'gone',
        model: 'no-such',
        status: 'failed',
        error: 'no-such: <b>not found</b>',
        behaviours: [],
      },
    ],
    ...change,
  });
}

describe.skipIf(!hasChromium)('fleets in the web app', () => {
  let browser: Browser;
  let served: Served;
  let place: Awaited<ReturnType<typeof workshop>>;
  const folder = () => join(place.runs, 'ours');
  const write = (value: Fleet) => writeFile(join(folder(), 'fleet.json'), JSON.stringify(value));

  beforeAll(async () => {
    place = await workshop();
    await writeRun(place.runs, 'demo');
    await writeRun(folder(), 'medium');
    await write(fleet());
    await writeFile(join(folder(), 'report.html'), renderFleet(fleet()));
    served = await serve(place);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  const open = (path: string, options = {}) => visit(browser, served, path, options);

  it('stand before the runs; from the matrix every cell leads to the run of its target, and back', async () => {
    const { page, problems, context } = await open('/');
    await page.getByRole('link', { name: 'demo', exact: true }).waitFor();
    // The runs of a fleet are behind it.
    expect(await page.getByRole('heading', { level: 2 }).allTextContents()).toEqual(['ours', 'demo']);
    await page.getByRole('link', { name: 'ours', exact: true }).click();
    await page.getByRole('heading', { name: 'ours', level: 1 }).waitFor();
    await page.getByText('gone: no-such: <b>not found</b>.').waitFor();
    const row = page.getByRole('row', { name: /^medium/ }).first();
    expect(await row.textContent()).toMatch(/\[\d+,\s\d+\]n = 200/);
    await row.getByRole('link', { name: /restoration/ }).click();
    await page.getByRole('heading', { name: 'ours~medium', level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/run/ours~medium');
    await page.getByRole('link', { name: 'Samples', exact: true }).click();
    await page.locator('[role=option]').first().waitFor();
    await page.getByRole('link', { name: 'Fleet', exact: true }).click();
    await page.getByText('crosspatch serve --model x').first().waitFor();
    expect(problems).toEqual([]);
    await context.close();
  });

  it('are found by name, as are their runs', async () => {
    const { page, context } = await open('/?q=medium');
    await expect
      .poll(() => page.getByRole('heading', { level: 2 }).allTextContents())
      .toEqual(['ours', 'ours~medium']);
    await context.close();
  });

  it.each([
    ['wide', { width: 1280 }],
    ['narrow', { width: 390 }],
    ['dark', { width: 1280, dark: true }],
  ])('can be read by everybody: %s', async (_name, options) => {
    const { page, problems, context } = await open('/fleet/ours', options);
    await page.getByRole('heading', { name: 'Run each target with the fix on' }).waitFor();
    await settled(page);
    expect(await axeProblems(page)).toEqual([]);
    expect(await sideScroll(page)).toBeLessThanOrEqual(0);
    expect(problems).toEqual([]);
    await context.close();
  });

  it('show a report that is as readable', async () => {
    for (const width of [1100, 390]) {
      const page = await browser.newPage({ viewport: { width, height: 900 } });
      await page.setContent(renderFleet(fleet()));
      expect(await axeProblems(page)).toEqual([]);
      expect(await sideScroll(page)).toBeLessThanOrEqual(0);
      await page.close();
    }
  });

  it('that cannot be read say so, and hide no other', async () => {
    await writeFile(join(folder(), 'fleet.json'), '{"schema_version": 2}');
    const { page, context } = await open('/');
    await page.getByText(/ours\/fleet\.json: does not fit/).waitFor();
    await page.getByRole('link', { name: 'demo', exact: true }).waitFor();
    await context.close();
    await write(fleet());
  });

  it('lead nowhere outside the folder', async () => {
    const { page, context } = await open('/');
    const codes = await page.evaluate(async () => {
      const paths = [
        'ours~..',
        'ours~.',
        'ours~%2e%2e',
        'demo~medium',
        'ours~medium~x',
        '..~ours',
        'ours~..%2fdemo',
      ];
      return Promise.all(paths.map(async (path) => (await fetch(`/api/runs/${path}`)).status));
    });
    expect(codes.every((code) => code === 400 || code === 404)).toBe(true);
    await context.close();
  });
});
