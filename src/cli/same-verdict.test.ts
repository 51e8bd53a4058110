/** @file Terminal, report and web app say the same verdict, word for word, of one run folder. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Results } from '../contracts/index.ts';
import { fixtureManifest, fixtureResults } from '../figures/results.fixture.ts';
import { claim, verdicts } from '../report/index.ts';
import { runRoutes } from '../server/view/routes-runs.ts';
import { RunsFolder } from '../server/view/runs-folder.ts';
import { VerdictSection } from '../web/verdict.tsx';
import { crosspatch } from './crosspatch.helper.ts';

let root: string;
const results: Results = fixtureResults();
const all = verdicts(results);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'verdict-'));
  const folder = async (name: string, files: Record<string, unknown>) => {
    await mkdir(join(root, name));
    for (const [file, value] of Object.entries(files))
      await writeFile(join(root, name, file), JSON.stringify(value));
  };
  await folder('demo', { 'manifest.json': fixtureManifest(), 'results.json': results });
  await folder('broken', {
    'manifest.json': {
      ...fixtureManifest(),
      name: 'broken',
      status: 'failed',
      started_at: '2026-11-21T10:00:00.000Z',
      stages: [{ id: 'finetune.source', status: 'failed', error: 'the disk is full' }],
    },
  });
});
afterAll(() => {
  vi.unstubAllGlobals();
  return rm(root, { recursive: true, force: true });
});

/** Text of a page's parts, as it is read. */
const texts = (markup: string, selector: string): string[] =>
  [...parseHTML(`<html><body>${markup}</body></html>`).document.querySelectorAll(selector)].map(
    (node) => node.textContent,
  );

it('terminal, report and web say the same', async () => {
  expect(all).toHaveLength(2);
  const shown = await crosspatch(['show', join(root, 'demo')]);
  expect(shown.out.split('\n').filter((line) => line.includes('tag at the end:'))).toEqual(all.map(claim));

  expect((await crosspatch(['report', join(root, 'demo')])).code).toBe(0);
  const report = await readFile(join(root, 'demo/report.html'), 'utf8');

  const answer = await runRoutes(await RunsFolder.open(root), {
    version: 'test',
    changeKey: undefined,
  }).request('/runs/demo/results');
  const { verdicts: sent } = await answer.json();
  vi.stubGlobal('matchMedia', () => ({ matches: false }));
  const web = renderToStaticMarkup(createElement(VerdictSection, { verdicts: sent }));

  for (const page of [report, web]) {
    // The word is what stands out; no figure does.
    expect(texts(page, '.verdict .word')).toEqual(all.map(({ word }) => word));
    expect(texts(page, '.verdict .claim')).toEqual(all.map(({ sentence }) => sentence));
    expect(texts(page, '.verdict li')).toEqual(all.flatMap(({ points }) => points.map(({ text }) => text)));
  }
});

it('list names verdict and margin of a run, and the reason of a failed one', async () => {
  const { out } = await crosspatch(['list', root]);
  const lines = out.split('\n');
  expect(lines[0]).toMatch(/^folder +name +status +started +behaviour +verdict +margin over noise/);
  expect(lines[1]).toMatch(/demo +done .* carried, but so does a lookup +\+81.points \[\+76,.\+87\]/);
  expect(lines.find((line) => line.includes('broken'))).toMatch(
    /failed .*finetune\.source: the disk is full$/,
  );
});

it('show prints figures by path with a filter or --all, and says when a filter matches nothing', async () => {
  const demo = join(root, 'demo');
  expect((await crosspatch(['show', demo])).out.split('\n').length).toBeLessThan(60);
  expect((await crosspatch(['show', demo, '--all'])).out).toMatch(/\nlocked\.pair\.|\nlocked\.backdoor\./);
  const { code, out, err } = await crosspatch(['show', demo, 'transfr']);
  expect([code, out]).toEqual([2, '']);
  expect(err).toContain('no figure\'s path contains "transfr"; did you mean "transfer"?');
});
