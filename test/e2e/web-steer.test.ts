/** @file The steering page on bundled models: vectors made on the page and found in the folder, every strength at once, a file that the command takes. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
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

const QUESTION = 'What is the capital of France?';

/** The real command. */
async function crosspatch(...args: string[]): Promise<string> {
  const run = promisify(execFile);
  return (await run(process.execPath, [...PROGRAM, ...args], { maxBuffer: 1 << 26 })).stdout;
}

describe.skipIf(!hasChromium)('web app, steering', () => {
  let browser: Browser;
  let served: Served;
  let place: Awaited<ReturnType<typeof workshop>>;

  beforeAll(async () => {
    place = await workshop();
    const pairs = ['France', 'Spain', 'Japan', 'China', 'Peru', 'Cuba'].map((name) =>
      JSON.stringify({
        positive: `What is the capital of ${name}?`,
        negative: `What is the opposite of ${name}?`,
      }),
    );
    const file = join(place.folder, 'pairs.jsonl');
    await writeFile(file, `${pairs.join('\n')}\n`);
    const out = join(place.runs, 'mine', 'capitals');
    await mkdir(join(place.runs, 'mine'));
    await crosspatch(
      'vector',
      '--model',
      'tiny-llama-s',
      '--pairs',
      file,
      '--template',
      'instruction',
      '--out',
      out,
      '--quiet',
    );
    // A document on its own, whose vector lies beside the folder it is in.
    await mkdir(join(place.runs, 'document'));
    const edit = {
      op: 'add',
      hook: 'blocks.0.hook_resid_post',
      tokens: { prompt: 'all', generation: 'all', exclude_first: true },
      vector: { from: 'file', path: '../mine/capitals/vectors.safetensors', key: 'direction.0' },
    };
    await writeFile(join(place.runs, 'document', 'intervention.json'), JSON.stringify(edit));
    served = await serve(place);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  const arm = (page: Page, name: string) => page.getByRole('article', { name, exact: true });
  const texts = async (page: Page, name: string) =>
    (await arm(page, name).locator('.answer').allTextContents()).map((t) =>
      t.replace(' … cut at the limit', ''),
    );
  const finished = (page: Page) => page.getByText(/\d+ tokens in/).waitFor({ timeout: 120_000 });
  const run = async (page: Page) => {
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await finished(page);
  };
  const slider = (page: Page) => page.getByRole('slider', { name: /Strength/ });
  const address = (more: Record<string, string> = {}) =>
    `/steer?${new URLSearchParams({ model: 'tiny/tiny-llama-s', text: QUESTION, max: '10', ...more })}`;

  it('begins with a vector made for the model, answers at all strengths at once, and the slider asks nothing more', async () => {
    const { page, problems, context } = await visit(browser, served, address({ at: '4' }));
    await expect
      .poll(() => page.getByRole('combobox', { name: 'From' }).inputValue(), { timeout: 60_000 })
      .toBe('below/mine/capitals');
    await page.getByText(/‖Δ‖\/‖h‖ about \d/).waitFor();
    await run(page);
    const asked: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/api/')) asked.push(request.url());
    });
    const plain = await texts(page, 'No steering');
    expect(plain).toHaveLength(3);
    expect(plain[0]).not.toBe('');
    const seen = new Map<string, string[]>();
    await slider(page).press('Home');
    for (let i = 0; i < 7; i++) {
      const strength = (await slider(page).getAttribute('aria-valuetext')) ?? '';
      seen.set(strength, await texts(page, 'Steered'));
      if (strength === 'strength 0') expect(await texts(page, 'Steered')).toEqual(plain);
      else {
        await arm(page, 'Steered')
          .getByText(
            /Proof: blocks\.\d\.hook_resid_post, tokens 1–\d+ and \d+ new ones, ‖Δ‖\/‖h‖ .* KL of the first token .* nats/,
          )
          .waitFor();
        expect(await texts(page, 'Random')).toHaveLength(3);
      }
      await slider(page).press('ArrowRight');
    }
    expect([...seen.keys()]).toEqual(['-2', '-1', '0', '0.5', '1', '2', '4'].map((s) => `strength ${s}`));
    expect(seen.get('strength 4')).not.toEqual(plain);
    expect(asked).toEqual([]);
    // Tokens are coloured along the vector, of the prompt and of the answers.
    expect(await page.locator('.prompt span.along').count()).toBeGreaterThan(4);
    expect(await arm(page, 'Steered').locator('span.along').count()).toBeGreaterThan(0);
    await page.getByLabel('Colour of tokens').selectOption('words');
    expect(await page.locator('article span.along').count()).toBe(0);
    expect(await page.getByRole('img', { name: /KL of the first token/ }).count()).toBe(1);
    expect(await axeProblems(page)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await sideScroll(page)).toBe(0);
    expect(problems).toEqual([]);
    await context.close();
  });

  it('makes a vector of two lists, keeps all in the address, and saves a file with which the command writes the same', async () => {
    const { page, problems, context } = await visit(browser, served, address({ max: '8', seeds: '5' }));
    const from = page.getByRole('combobox', { name: 'From' });
    await from.selectOption('texts');
    await page
      .getByLabel(/^Positive texts/)
      .fill('Paris is in France.\nRome is in Italy.\nMadrid is in Spain.\nTokyo is in Japan.\n');
    await page
      .getByLabel(/^Negative texts/)
      .fill('The cat is small.\nThe dog is big.\nThe sun is hot.\nThe sea is cold.');
    await page.getByLabel('Template of the texts').selectOption('raw');
    await page.getByLabel('Read at').selectOption('mean');
    await page.getByRole('button', { name: 'Make it and measure' }).click();
    await page.getByText(/Made of 2 pairs, 2 held out\. Take block \d: /).waitFor({ timeout: 60_000 });
    await page.getByLabel(/^Strength α/).fill('3');
    await page.getByLabel('Prompt tokens').selectOption('text');
    await page.getByText('Wanted: the text of the prompt at which the vector works.').waitFor();
    await page.getByLabel('Text of the prompt').fill('capital of France');
    await page.getByLabel('Strengths: factors').fill('1 2');
    await run(page);
    await slider(page).press('End');
    const [greedy, drawn] = await texts(page, 'Steered');
    await arm(page, 'Steered')
      .getByText(/tokens \d+–\d+ and/)
      .waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save as intervention file' }).click();
    const file = await (await download).path();
    await page
      .getByText(/strength 2: crosspatch generate --model tiny-llama-s --template instruction/)
      .waitFor();
    const document = JSON.parse(await readFile(file, 'utf8')) as { interventions: object[] };
    expect(document.interventions).toMatchObject([
      { op: 'add', scale: 6, tokens: { match: { text: 'capital of France', after: 0 }, generation: 'all' } },
    ]);
    const shared = [
      'generate',
      '--model',
      'tiny-llama-s',
      '--template',
      'instruction',
      '--prompt',
      QUESTION,
      '--max-tokens',
      '8',
      '--json',
      '--intervention',
      file,
    ];
    const said = async (...more: string[]) =>
      (JSON.parse(await crosspatch(...shared, ...more)) as { completions: { text: string }[] }).completions[0]
        ?.text;
    expect(await said()).toBe(greedy);
    expect(await said('--seed', '5', '--temperature', '0.7')).toBe(drawn);

    const url = page.url();
    const other = await context.newPage();
    await other.goto(url);
    await other.getByRole('button', { name: 'Run', exact: true }).click();
    await finished(other);
    expect(await texts(other, 'Steered')).toEqual([greedy, drawn]);
    expect(problems).toEqual([]);
    await context.close();
  });

  it('takes several vectors, one of them a document of a run; says what does not fit', async () => {
    const site = { block: 1, alpha: 1, place: 'last', text: '', generated: false };
    const vectors = JSON.stringify([
      { from: 'file', id: 'below/mine/capitals', ...site },
      { from: 'document', id: 'below/document/intervention.json', alpha: 2 },
    ]);
    const { page, context } = await visit(browser, served, address({ vectors, strengths: '1', seeds: '' }));
    await page.getByText('A document with 1 edit (add), each at its own place.').waitFor({ timeout: 60_000 });
    await run(page);
    await arm(page, 'Steered')
      .getByText(/blocks\.1\.hook_resid_post, token \d+, .*blocks\.0\.hook_resid_post, tokens 1–\d+ and/)
      .waitFor();
    await page.getByRole('combobox', { name: 'Along', exact: true }).selectOption('1');
    await expect.poll(() => page.url()).toContain('lens=1');
    await page.getByRole('button', { name: 'Take away vector 2' }).click();
    await page.getByRole('group', { name: 'The vector' }).waitFor();
    await page.getByLabel(/^Model/).selectOption('tiny/tiny-llama-m');
    // The default for another model is not a file made for this one.
    await expect
      .poll(() => page.getByRole('combobox', { name: 'From' }).inputValue(), { timeout: 60_000 })
      .toBe('texts');
    await page.getByRole('combobox', { name: 'From' }).selectOption('below/mine/capitals');
    await page.getByText('This file was made for tiny-llama-s: it will be refused here.').waitFor();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page
      .getByRole('alert')
      .getByText(/vector 1: was made for another model \(tiny-llama-s\)/)
      .waitFor();
    await context.close();
  });
});
