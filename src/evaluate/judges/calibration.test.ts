/** @file Calibration of judges on made-up ratings whose truth is known. */
import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import type { Sample } from '../../contracts/index.ts';
import { calibrate } from './calibration.ts';
import { drawSheet, judgedPairs } from './sheet.ts';

const rng = new Rng(4);
/** Two arms: one mostly near the model's own answer, one mostly far. A good judge's score rises with the truth but bends; a bad one's is noise. */
const truths = Array.from({ length: 200 }, (_, i) => ({ near: i % 2 === 0, grade: 1 + rng.int(5) }));
const samples: Sample[] = truths.map(({ near, grade }, i) => ({
  id: `s/${i}`,
  stage: 'fidelity',
  behaviour: 'locked',
  prompt_id: String(i),
  prompt: 'p',
  trigger: 'safe',
  arm: near ? 'mapped' : 'random',
  completion: `${grade} of ${i}`,
  references: { safe: `own ${i}` },
  scores: { good: (near ? grade : 1) ** 3 + rng.next() / 10, bad: rng.next() },
}));
const truthOf = (id: string): number => {
  const { near, grade } = truths[Number(id.slice(2))];
  return near ? grade : 1;
};

describe('drawSheet', () => {
  it('draws every arm evenly, hides which text is which, leaves out equal texts and repeats', () => {
    const equal = { ...samples[0], id: 'equal', completion: 'own 0' };
    const again = { ...samples[2], id: 'again' };
    const unpatched = { ...samples[4], id: 'unpatched', arm: 'unpatched' };
    const { rows, key } = drawSheet(judgedPairs([...samples, equal, again, unpatched]), 60, new Rng(1));
    expect(rows).toHaveLength(60);
    const arms = key.map(({ id }) => samples.find((s) => s.id === id)?.arm);
    expect(arms.filter((arm) => arm === 'mapped')).toHaveLength(30);
    expect(key.filter(({ completion }) => completion === 'text_1').length).toBeGreaterThan(15);
    expect(key.filter(({ completion }) => completion === 'text_2').length).toBeGreaterThan(15);
    for (const [i, { id, completion }] of key.entries()) {
      const sample = samples.find((s) => s.id === id);
      expect(rows[i][completion]).toBe(sample?.completion);
      expect(rows[i][completion === 'text_1' ? 'text_2' : 'text_1']).toBe(sample?.references?.safe);
    }
    const all = drawSheet(judgedPairs([...samples, equal, again, unpatched]), 1000, new Rng(1));
    expect(all.rows).toHaveLength(200);
    expect(() => drawSheet(judgedPairs([unpatched, equal]), 10, new Rng(1))).toThrow(/stage fidelity/);
  });
});

describe('calibrate', () => {
  const { key } = drawSheet(judgedPairs(samples), 120, new Rng(2));
  const exact = { name: 'ann', grades: new Map(key.map(({ pair, id }) => [pair, truthOf(id)])) };
  const settings = { rng: new Rng(3), resamples: 200 };

  it('a judge that bends the truth agrees wholly, one that guesses does not', () => {
    const noise = new Rng(5);
    const off = new Map(
      [...exact.grades].map(([pair, grade]) => [pair, noise.int(4) > 0 ? grade : Math.min(5, grade + 1)]),
    );
    const { agreement, judges, raters } = calibrate(
      key,
      [exact, { name: 'bo', grades: off }],
      undefined,
      settings,
    );
    expect(raters.map(({ name, n }) => [name, n])).toEqual([
      ['ann', 120],
      ['bo', 120],
    ]);
    const equal = [...off].filter(([pair, grade]) => grade === exact.grades.get(pair)).length;
    expect(agreement?.equal.value).toBe(equal / 120);
    expect(agreement?.within_one.value).toBe(1);
    expect(agreement?.alpha.value).toBeGreaterThan(0.8);
    // About as good as another person is.
    expect(judges.good.alpha.value).toBeGreaterThan((agreement?.alpha.value ?? 1) - 0.1);
    expect(judges.good.rho.value).toBeGreaterThan(0.75);
    expect(judges.bad.alpha.ci95[0]).toBeLessThan(0);
    expect(judges.bad.alpha.value).toBeLessThan(0.3);
  });

  it('gives arms the mean grade that people would give, and equal texts a 5', () => {
    const same: Sample = {
      ...samples[0],
      id: 'same',
      arm: 'ceiling',
      completion: 'own 0',
      scores: { good: 0 },
    };
    const { arms = [], agreement } = calibrate(key, [exact], judgedPairs([...samples, same]), settings);
    expect(agreement).toBeUndefined();
    const of = (arm: string) => arms.find((entry) => entry.arm === arm)?.grades.good;
    const wanted = samples.filter(({ arm }) => arm === 'mapped').map(({ id }) => truthOf(id));
    const mean = wanted.reduce((a, b) => a + b, 0) / wanted.length;
    expect(Math.abs((of('mapped')?.value ?? 0) - mean)).toBeLessThan(0.1);
    const [low, high] = of('mapped')?.ci95 ?? [0, 0];
    expect(low).toBeLessThan(mean);
    expect(high).toBeGreaterThan(mean);
    // A hundred prompts of five grades: ±1.96 √2 / 10.
    expect(high - low).toBeGreaterThan(0.35);
    expect(high - low).toBeLessThan(0.75);
    expect(of('random')?.value).toBeCloseTo(1, 1);
    expect(of('ceiling')).toEqual({ value: 5, n: 1, ci95: [5, 5] });
  });

  it('refuses a sheet that nobody filled', () => {
    expect(() => calibrate(key, [{ name: 'ann', grades: new Map([[1, 3]]) }], undefined, settings)).toThrow(
      /at least two rated pairs/,
    );
  });
});
