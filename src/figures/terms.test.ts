import { readFileSync } from 'node:fs';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { resultsSchema } from '../contracts/index.ts';
import { behaviourFigures, drawFigure, type FigureSpec, TERM_WORDS, termOf } from './index.ts';
import { FIDELITY_STYLE, FIT_LABEL, STATE_STYLE, SWEEP_STYLE, TRANSFER_STYLE } from './palette.ts';
import { fixtureResults } from './results.fixture.ts';
import { fixtureSamples } from './samples.fixture.ts';

const document = (): Document => parseHTML('<!doctype html><html><body></body></html>').document;

describe('terms', () => {
  it('are headings of the glossary', () => {
    const glossary = readFileSync(new URL('../../docs/concepts/glossary.md', import.meta.url), 'utf8');
    const anchors = [...glossary.matchAll(/^### (.*)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    expect(anchors.length).toBeGreaterThan(80);
    for (const word of TERM_WORDS) expect(anchors).toContain(termOf(word)?.anchor);
  });
  it('cover every arm, control, state and fit that a figure prints', () => {
    const styles = [TRANSFER_STYLE, SWEEP_STYLE, FIDELITY_STYLE, STATE_STYLE].flatMap((s) =>
      Object.values(s),
    );
    const labels = [...styles.map(({ label }) => label), ...Object.values(FIT_LABEL)];
    expect(labels.filter((label) => termOf(label) === undefined)).toEqual([]);
  });
  it('are found with a unit, before a comma, after a model’s name, and for no other word', () => {
    expect(termOf('restoration, %')).toBe(termOf('restoration'));
    expect(termOf('affine, no tag rows')).toBe(termOf('affine'));
    expect(termOf('tiny-llama-s: removal')).toBe(termOf('removal'));
    expect(termOf('KL, nats per token')).toBe(termOf('kl_div'));
    for (const word of ['constructor', '0', '', 'lamp']) expect(termOf(word)).toBeUndefined();
  });
});

describe('bars', () => {
  const [locked] = resultsSchema.parse(fixtureResults()).behaviours;
  const figures = behaviourFigures(locked, fixtureSamples(20));
  const panels = (spec: FigureSpec) => [
    ...drawFigure(spec, { document: document(), width: 336 }).querySelectorAll('svg'),
  ];
  it('carry the meaning of their labels as tooltips', () => {
    const [panel] = panels(figures.transfer[0]);
    const titles = [...panel.querySelectorAll('title')].map((t) => t.textContent);
    expect(titles).toContain(termOf('random-cov')?.meaning);
    expect(titles).toContain(termOf('restoration')?.meaning);
  });
  it('have their violins under them, never over them', () => {
    const spec = figures.fidelity.find(({ id }) => id.endsWith('affine-with_tags-lexical'))!;
    const [panel] = panels(spec);
    const bars = [...panel.querySelectorAll('rect')].map((rect) => {
      const y = Number(rect.getAttribute('y'));
      return [y, y + Number(rect.getAttribute('height'))];
    });
    const areas = [...panel.querySelectorAll('path')]
      .filter((path) => path.parentElement?.getAttribute('fill-opacity') === '0.45')
      .map((path) => (path.getAttribute('d') ?? '').match(/,-?[\d.]+/g)!.map((y) => Number(y.slice(1))));
    expect(areas.length).toBeGreaterThan(2);
    for (const ys of areas)
      for (const [top, bottom] of bars)
        expect(Math.max(...ys) <= top || Math.min(...ys) >= bottom).toBe(true);
  });
  it('of measures side by side leave out rows that none of them has', () => {
    const labels = (panel: Element) => [...panel.querySelectorAll('text')].map((t) => t.textContent);
    const spec = figures.transfer.find(({ id }) => id.endsWith('-transfer-maps'))!;
    const wide = [...drawFigure(spec, { document: document(), width: 860 }).querySelectorAll('svg')].map(
      labels,
    );
    const named = (text: string) => wide.map((texts) => texts.some((t) => t.startsWith(text)));
    expect(named('trigger rate')).toEqual([true, false, false, false, false, false]);
    expect(named('inverse pinv')).toEqual([false, false, false, true, false, false]);
    expect(wide.flat()).not.toContain('–');
  });
});
