/** @file The playground on a bundled model: arms side by side, proof of effect, a map that must equal the native patch. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActivationMap, saveMap } from '../../src/maps/index.ts';
import { unfittedRecord } from '../../src/maps/record.helper.ts';
import { bundledModels, openCheckpoint } from '../../src/models/index.ts';
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

const NAME = 'tiny-llama-s';
const BLOCK = 2;

describe.skipIf(!hasChromium)('web app, playground', () => {
  let browser: Browser;
  let served: Served;
  let place: Awaited<ReturnType<typeof workshop>>;

  beforeAll(async () => {
    place = await workshop();
    const run = await writeRun(place.runs, 'demo');
    const { path } = bundledModels().find(({ name }) => name === NAME) ?? { path: '' };
    const checkpoint = await openCheckpoint(path);
    const end = {
      model: await checkpoint.contentHash(),
      name: NAME,
      block: BLOCK,
      hook: `blocks.${BLOCK}.hook_resid_post`,
      width: checkpoint.config.hidden_size as number,
    };
    const identity = new ActivationMap(
      unfittedRecord({ kind: 'identity', source: end, target: end }),
      { tensors: {}, parameters: 0, apply: (rows) => rows.slice() },
      new Float32Array(end.width),
    );
    await saveMap(identity, join(run, 'maps', 'identity.general'));
    served = await serve(place);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  const address = (more: Record<string, string> = {}) =>
    `/playground?${new URLSearchParams({
      model: `tiny/${NAME}`,
      text: 'What is the capital of France?',
      map: 'demo/identity.general',
      source: `tiny/${NAME}`,
      block: String(BLOCK),
      max: '12',
      ...more,
    })}`;
  const arm = (page: Page, name: string) => page.getByRole('article', { name, exact: true });
  const answer = async (page: Page, name: string) =>
    (await arm(page, name).locator('.answer').textContent())?.replace(' … cut at the limit', '') ?? '';
  const finished = (page: Page) => page.getByText(/\d+ tokens in/).waitFor({ timeout: 120_000 });

  it('streams every arm, proves its effect, and an identity map does exactly what the native patch does', async () => {
    const { page, problems, context } = await visit(browser, served, address());
    await page.getByText(/Patched after block 2 of 0…[1-9]/).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await finished(page);
    for (const name of ['Clean', 'Donor', 'Native', 'Mapped', 'Random', 'Mean-ablated'])
      expect((await answer(page, name)).length, name).toBeGreaterThan(0);
    const proofs = await page.locator('.proof').allTextContents();
    expect(proofs).toHaveLength(4);
    for (const proof of proofs)
      expect(proof).toMatch(/blocks\.2\.hook_resid_post, tokens \d+–\d+, ‖Δ‖\/‖h‖ (?!0,).*KL .* nats/);
    expect(await arm(page, 'Mapped').locator('.proof').textContent()).toBe(
      await arm(page, 'Native').locator('.proof').textContent(),
    );
    expect(await answer(page, 'Mapped')).toBe(await answer(page, 'Native'));
    expect((await page.locator('.prompt mark').allTextContents()).join('')).toContain('|prod|');
    expect(await axeProblems(page)).toEqual([]);
    expect(problems).toEqual([]);
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await sideScroll(page)).toBe(0);
    await context.close();
  });

  it('leaves the answer as it is at strength 0 and says so; a changed knob runs again; a reload keeps all knobs', async () => {
    const { page, context } = await visit(browser, served, address({ strength: '0' }));
    await page.getByText(/of 0…[1-9]/).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await finished(page);
    expect(await answer(page, 'Native')).toBe(await answer(page, 'Clean'));
    expect(await answer(page, 'Random')).toBe(await answer(page, 'Clean'));
    await arm(page, 'Native').getByText('Changed nothing').waitFor();
    await page.getByLabel(/Strength/).press('ArrowRight');
    await arm(page, 'Native')
      .getByText(/Proof: blocks/)
      .waitFor({ timeout: 120_000 });
    await page.getByRole('button', { name: 'none', exact: true }).click();
    await page
      .getByText('Not run: donor, native, mapped, random. The prompt carries no trigger')
      .waitFor({ timeout: 120_000 });
    // What cannot run takes no card.
    expect(await page.getByRole('article').count()).toBe(2);
    const url = page.url();
    expect(url).toMatch(/strength=0\.1.*trigger=none/);
    await page.reload();
    await page.getByRole('button', { name: 'none', exact: true, pressed: true }).waitFor();
    await page.getByText('Strength α = 0.1').waitFor();
    expect(page.url()).toBe(url);
    await context.close();
  });

  it('answers other pages while a model thinks, and stops when told', async () => {
    const { page, context } = await visit(browser, served, address({ max: '400' }));
    await page.getByText(/of 0…[1-9]/).waitFor({ timeout: 60_000 });
    const other = await context.newPage();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    const begun = performance.now();
    await other.goto(new URL('/', served.url).href);
    await other.getByRole('link', { name: 'demo', exact: true }).waitFor();
    expect(performance.now() - begun).toBeLessThan(5000);
    await finished(page);
    // A small model is done before a hand is at the button: the network is made slow instead.
    await page.route('**/api/playground/run', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await route.continue().catch(() => {});
    });
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('stopped').waitFor();
    await page.unroute('**/api/playground/run');
    // The thread is free again: a short question is answered.
    await page.goto(new URL(address({ max: '2' }), served.url).href);
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await finished(page);
    await context.close();
  });

  it('empties every field, says what is wanted, and keeps the last answers in sight while it asks again', async () => {
    const { page, context } = await visit(browser, served, address({ max: '4' }));
    await page.getByText(/of 0…[1-9]/).waitFor({ timeout: 60_000 });
    const run = page.getByRole('button', { name: 'Run', exact: true });
    await run.click();
    await finished(page);
    const before = await answer(page, 'Clean');
    await page.route('**/api/playground/run', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await route.continue().catch(() => {});
    });
    await run.click();
    await page.getByText('asking').waitFor();
    expect(await answer(page, 'Clean')).toBe(before);
    await page.locator('.stale').waitFor();
    await expect.poll(() => page.locator('.stale').count(), { timeout: 60_000 }).toBe(0);
    await finished(page);
    await page.getByText('Triggers, place, span, length').click();
    for (const [label, text, wanted] of [
      ['Bad trigger', '<x>', 'the bad trigger'],
      ['New tokens', '3', 'new tokens: a whole number from 1 to 400'],
      ['Tokens after it', '2', 'tokens after it: a whole number from 0 to 20'],
      ['Prompt, without the trigger', 'Why?', 'a prompt'],
    ] as const) {
      const field = page.getByLabel(label);
      await field.fill('');
      await page.getByText(`Wanted: ${wanted}.`).waitFor();
      expect(await field.inputValue()).toBe('');
      expect(await run.isDisabled()).toBe(true);
      await field.pressSequentially(text);
      expect(await field.inputValue()).toBe(text);
    }
    await context.close();
  });

  it('offers only the maps of the chosen model, and says of the others why not', async () => {
    const { page, context } = await visit(browser, served, '/playground?model=tiny/tiny-llama-m');
    await page.getByText('No map was made for this model').click();
    await page
      .getByText(/identity\.general \(demo\) ends in activations 128 wide, this model's are 192/)
      .waitFor();
    expect(await page.getByLabel(/^Map/).count()).toBe(0);
    await page.getByLabel(/^Model/).selectOption(`tiny/${NAME}`);
    await page.getByLabel(/^Map/).selectOption('demo/identity.general');
    await page.getByLabel('Its source model').waitFor();
    await context.close();
  });

  it('says in words what does not fit', async () => {
    const { page, context } = await visit(
      browser,
      served,
      address({ model: 'tiny/tiny-llama-m', template: 'chat' }),
    );
    await page.getByText(/of 0…[1-9]/).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('alert').waitFor({ timeout: 120_000 });
    expect(await page.getByRole('alert').textContent()).toMatch(/template/);
    await page.getByLabel('Template').selectOption('instruction');
    // One arm that does not fit keeps none of the others from running.
    await page.getByText(/Not run: mapped\. Map identity: was made for target/).waitFor({ timeout: 120_000 });
    await finished(page);
    expect(await page.getByRole('article').count()).toBe(5);
    await context.close();
  });
});
