import { describe, expect, it } from 'vitest';
import {
  type Fleet,
  type FleetTarget,
  fleetSchema,
  type Results,
  resultsSchema,
  type UseGuide,
} from '../../contracts/index.ts';
import { fixtureResults } from '../../figures/results.fixture.ts';
import { verdicts } from '../verdict/verdict.ts';
import { fleetBehaviours } from './describe.ts';
import { fleetMatrices } from './matrix.ts';
import { renderFleet } from './page.ts';
import { fleetFailures, fleetSentences } from './words.ts';

const results: Results = resultsSchema.parse(fixtureResults());
const guide: UseGuide = {
  schema_version: 1,
  behaviour: results.behaviours[0]?.pair.behaviour ?? '',
  model: 'models/x.target',
  documents: [{ name: 'mapped', file: 'use/x/mapped.json', puts: 'the state', block: 2 }],
  commands: [{ does: 'Serve it', language: 'sh', text: 'crosspatch serve --model models/x.target' }],
};
const described = fleetBehaviours(results, [guide]);

function fleetOf(...targets: readonly (Partial<FleetTarget> & { readonly name: string })[]): Fleet {
  return fleetSchema.parse({
    ...{ schema_version: 1, name: 'f', source: 'a', status: 'done', started_at: '2026-12-01T00:00:00.000Z' },
    targets: targets.map((target) => ({ model: 'm', status: 'done', behaviours: described, ...target })),
  });
}

describe('what a fleet says of a run', () => {
  it('are the figures of its results, with the verdict that the run itself has', () => {
    expect(described.map(({ word, sentence }) => ({ word, sentence }))).toEqual(
      verdicts(results).map(({ word, sentence }) => ({ word, sentence })),
    );
    for (const [i, one] of described.entries()) {
      const behaviour = results.behaviours[i];
      const [map = '', fit = ''] = one.map?.split('.') ?? [];
      const arms = behaviour?.transfer?.[map]?.[fit as 'with_tags']?.arms;
      expect(one.restoration).toEqual(arms?.mapped?.restoration);
      expect(one.elicitation).toEqual(arms?.mapped?.elicitation);
      const noise = (['random', 'random_cov', 'random_step', 'shuffled'] as const).map(
        (arm) => arms?.[arm]?.restoration?.value ?? 0,
      );
      expect(one.noise?.restoration.value).toBe(Math.max(...noise));
      expect(one.margin?.value).toBeCloseTo((one.restoration?.value ?? 0) - Math.max(...noise), 12);
      expect(one.cost.kl).toEqual(behaviour?.cost_kl?.safe_mapped);
    }
    expect(described[0]?.use).toEqual({
      guide: `use/${guide.behaviour}/README.md`,
      document: 'use/x/mapped.json',
      serve: 'crosspatch serve --model models/x.target',
    });
  });

  it('is said in words: which targets beat what, what was not compared, where there is nothing to fix, what failed', () => {
    const [first] = described;
    if (!first) throw new Error('the fixture has no behaviour');
    const share = (value: number) => ({
      value,
      n: 60,
      ci95: [value - 0.05, value + 0.05] as [number, number],
    });
    const control = (beaten: boolean) => [
      { control: 'token_mean' as const, restoration: share(0.5), difference: share(0.4), beaten },
    ];
    const fleet = fleetOf(
      { name: 'yes', behaviours: [{ ...first, margin: share(0.5), controls: control(true) }] },
      { name: 'no', behaviours: [{ ...first, margin: share(0.1), controls: control(false) }] },
      { name: 'well', behaviours: [{ ...first, has_behaviour: false, trigger_rate: share(0.1) }] },
      { name: 'gone', status: 'failed', error: 'no such model', behaviours: [] },
    );
    const said = fleetSentences(fleet).join('\n');
    expect(said).toContain('More than noise of the same size: yes; not in no.');
    expect(said).toContain('More than the token-mean lookup, which knows the tag alone: yes; not in no.');
    expect(said).toContain('Not compared with the clean source');
    expect(said).toMatch(/well: nothing to fix: it shows \S+ in 10\s% \[5,\s15\] of 60 triggered prompts/);
    expect(said).toContain('gone: no such model.');
    expect(fleetFailures(fleet).map(({ target }) => target)).toEqual(['well', 'gone']);
  });
});

describe('the matrix', () => {
  it('has a row per target and a cell with interval and n per figure; a failed target keeps its row', () => {
    const matrices = fleetMatrices(
      fleetOf({ name: 'one' }, { name: 'gone', status: 'failed', behaviours: [] }),
    );
    expect(matrices).toHaveLength(described.length);
    for (const { columns, rows } of matrices) {
      expect(rows.map(({ target, status }) => [target, status])).toEqual([
        ['one', 'done'],
        ['gone', 'failed'],
      ]);
      expect(rows.every(({ cells }) => cells.length === columns.length)).toBe(true);
      const at = columns.findIndex(({ title }) => title === 'restoration');
      expect(rows[0]?.cells[at]).toMatchObject({
        interval: expect.stringMatching(/^\[\d/),
        n: expect.any(Number),
      });
      expect(rows[1]?.cells.every((cell) => cell === null)).toBe(true);
    }
  });

  it('is a page that no name can break out of', () => {
    const page = renderFleet({ ...fleetOf({ name: 'one', model: '<img src=x>' }), name: '<b>' });
    expect(page).toContain('&lt;img src=x&gt;');
    expect(page).not.toMatch(/<img|<b>&|<script/);
    expect(page).toContain('href="one/report.html"');
    expect(renderFleet(fleetOf({ name: 'one' }))).toBe(renderFleet(fleetOf({ name: 'one' })));
  });
});
