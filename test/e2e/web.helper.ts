/** @file What the browser tests share: Chromium, the built web app, a run folder written from the contracts, a server to kill. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import {
  type Manifest,
  manifestSchema,
  resultsSchema,
  type Sample,
  sampleSchema,
} from '../../src/contracts/index.ts';
import { fixtureManifest, fixtureResults } from '../../src/figures/results.fixture.ts';
import { fixtureSamples } from '../../src/figures/samples.fixture.ts';
import type { LogLine } from '../../src/pipeline/index.ts';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Said once where a file of tests is left out. */
export const hasChromium = existsSync(CHROMIUM);
if (!hasChromium) process.stderr.write(`web tests left out: no ${CHROMIUM} (apt-get install chromium)\n`);

const root = fileURLToPath(new URL('../..', import.meta.url));

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A folder for one file of tests; `webRoot` is the app: as CI has just built it, else built into the folder. */
export async function workshop(): Promise<{ folder: string; runs: string; webRoot: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'crosspatch-web-'));
  const runs = join(folder, 'runs');
  await mkdir(runs);
  const built = join(root, 'dist/web');
  if (process.env.CI !== undefined && existsSync(join(built, 'index.html')))
    return { folder, runs, webRoot: built };
  const webRoot = join(folder, 'web');
  // As it is shipped: the test runner's NODE_ENV would build a React for developers.
  const { NODE_ENV } = process.env;
  process.env.NODE_ENV = 'production';
  await build({ root: join(root, 'src/web'), logLevel: 'error', build: { outDir: webRoot } });
  process.env.NODE_ENV = NODE_ENV;
  return { folder, runs, webRoot };
}

export const cleanUp = (folder: string) => rm(folder, { recursive: true, force: true });

/** Write a run folder; what is given is checked against the contracts first, as a run would. */
export async function writeRun(
  runs: string,
  name: string,
  parts: { manifest?: Partial<Manifest>; samples?: readonly Sample[]; results?: object | null } = {},
): Promise<string> {
  const folder = join(runs, name);
  await mkdir(join(folder, 'samples'), { recursive: true });
  const manifest = manifestSchema.parse({ ...fixtureManifest(), name, ...parts.manifest });
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  if (parts.results !== null)
    await writeFile(
      join(folder, 'results.json'),
      JSON.stringify(resultsSchema.parse(parts.results ?? fixtureResults())),
    );
  const samples = parts.samples ?? fixtureSamples();
  const lines = samples.map((sample) => JSON.stringify(sampleSchema.parse(sample)));
  await writeFile(join(folder, 'samples', 'samples.jsonl'), `${lines.join('\n')}\n`);
  return folder;
}

/** Append events to a run's log, as the pipeline's log does. */
export function log(folder: string, ...lines: readonly Partial<LogLine>[]): Promise<void> {
  const whole = lines.map((line) => ({ time: new Date().toISOString(), done: 0, ...line }));
  return appendFile(join(folder, 'log.jsonl'), whole.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

export interface Served {
  readonly url: string;
  readonly port: number;
  readonly token: string;
  readonly child: ChildProcess;
  /** `SIGKILL`: no goodbye. */
  kill(): Promise<void>;
}

/** A server in a process of its own. */
export async function serve(options: {
  runs: string;
  webRoot: string;
  port?: number;
  models?: readonly string[];
}): Promise<Served> {
  const { runs, webRoot, port = 0, models = [] } = options;
  const loader = createRequire(import.meta.url).resolve('tsx');
  const script = join(root, 'test/e2e/web-server.helper.ts');
  const settings = JSON.stringify({ folder: runs, webRoot, port, models, version: 'test' });
  const child = spawn(process.execPath, ['--import', loader, script, settings], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = await Promise.race([
    once(child.stdout, 'data').then(([bytes]) => String(bytes)),
    once(child, 'exit').then(() => undefined),
  ]);
  if (said === undefined) throw new Error('the server did not start');
  const { url, token, ...rest } = JSON.parse(said) as { url: string; port: number; token: string };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return { url, token, port: rest.port, child, kill };
}

/** A page that has been let in; whatever the page throws or the policy refuses fails the test that asks. */
export async function visit(
  browser: Browser,
  served: Served,
  path = '/',
  options: { width?: number; height?: number; dark?: boolean } = {},
): Promise<{ page: Page; context: BrowserContext; problems: string[] }> {
  const { width = 1280, height = 900, dark = false } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  const url = new URL(path, served.url);
  url.searchParams.set('token', served.token);
  await page.goto(url.href);
  return { page, context, problems };
}

/** Until the page has stopped changing. It need not be still on the network: a page of a run keeps a stream open. */
export function settled(page: Page): Promise<void> {
  return page.evaluate(
    (quiet) =>
      new Promise<void>((resolve) => {
        const watch = new MutationObserver(() => {
          clearTimeout(timer);
          timer = setTimeout(end, quiet);
        });
        const end = (): void => {
          watch.disconnect();
          resolve();
        };
        let timer = setTimeout(end, quiet);
        watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      }),
    500,
  );
}

/** Serious and critical violations that axe finds, in words. */
export async function axeProblems(page: Page): Promise<string[]> {
  // Evaluated, not added as a script: the page's own policy forbids foreign ones.
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const tool = (
      globalThis as unknown as { axe: { run(context: Document): Promise<{ violations: AxeViolation[] }> } }
    ).axe;
    interface AxeViolation {
      id: string;
      impact: string;
      nodes: { target: string[]; failureSummary: string }[];
    }
    // A drawing is one image with one name; its thousands of parts are not for readers, and are taken out for as long as axe looks (a report
    // takes it 44 s with them and 3 s without).
    const drawings = [...document.querySelectorAll('figure svg')].map((svg) => ({
      svg,
      parts: [...svg.childNodes],
    }));
    for (const { svg, parts } of drawings)
      svg.replaceChildren(...parts.filter((part) => /^(title|desc)$/i.test(part.nodeName)));
    const { violations } = await tool.run(document);
    for (const { svg, parts } of drawings) svg.replaceChildren(...parts);
    return violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .flatMap((v) => v.nodes.map((node) => `${v.id} at ${node.target.join(' ')}: ${node.failureSummary}`));
  });
}

/** Pixels by which the page is wider than its window. */
export function sideScroll(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
