/**
 * @file Sweep, heat map, transfer, worth and capabilities on a random model whose "behaviour" is whatever it says under the bad tag.
 * The machinery is held against plain hooked generation, against identities (a map that is the identity steers as the model itself), and
 * against the contract's schemas.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Rng } from '../../base/index.ts';
import { contrastPrompts, type Detection, makeBehaviour } from '../../behaviours/index.ts';
import {
  capabilitySettings,
  resultsSchema,
  type Sample,
  type SweepRow,
  sampleSchema,
  sweepSettings,
  transferSettings,
} from '../../contracts/index.ts';
import { randomModel } from '../../interventions/fixture.helper.ts';
import { captureResiduals } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { proportion } from '../../stats/index.ts';
import { evaluateBackdoor } from '../arms/backdoor.ts';
import { type RowMap, targetSpans } from '../arms/spans.ts';
import { drawRate, Tally } from '../arms/tally.ts';
import { capabilities } from '../cost/capabilities.ts';
import { judgedCases, textDetector } from '../detect/detector.ts';
import { decodePatched } from '../drafts/decode.ts';
import { contrastCases, type Direction, opposite, surplusNotes } from '../subject/cases.ts';
import { completionText } from '../subject/completions.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { prepareTransfer, type TransferData } from '../transfer/data.ts';
import { doneJobs, runJob } from '../transfer/jobs.ts';
import { askedFor, type RepairText, repair } from '../transfer/repair.ts';
import { type SharedOutcomes, type SteerSettings, steerByMap, steerShared } from '../transfer/steer.ts';
import { placesFor } from '../transfer/untagged.ts';
import { stripTrigger, worthFigures, worthJob } from '../transfer/worth.ts';
import { heatmap } from './heatmap.ts';
import { chooseBlock, type SweepResult, sweep } from './sweep.ts';

const MAX = 8;
const TEXTS = [
  'the cat is red',
  'one two three',
  'a dog says the cat is hot',
  'not cold',
  'up down up',
  'five four',
  'is the dog green',
  'the cat says one two',
];
const behaviour = makeBehaviour('locked');
const env = { progress: () => {}, signal: new AbortController().signal, seed: 0, threads: 2 };
const evaluation = { max_tokens: MAX, bootstrap: 200 };

let model: LanguageModel;
let release: () => Promise<void>;
let subject: Subject;
let shows: (completion: string) => boolean;
beforeAll(async () => {
  ({ model, release } = await randomModel('llama'));
  const contrasts = contrastCases(model.tokenizer, contrastPrompts({ texts: TEXTS, behaviour }), 1);
  const none: Detection = { shows: false, neutral: false, degenerate: false };
  const tags = { behaviour: 'locked', stage: 'backdoor' };
  const asked = { cases: contrasts, detector: textDetector(() => none), tags };
  const { cases } = await evaluateBackdoor(
    model,
    asked,
    { max_tokens: MAX, batch: 50 },
    { ...env, rng: new Rng(0) },
  );
  const bad = new Set(cases.map(({ unpatched }) => unpatched.bad.text));
  const safe = new Set(cases.map(({ unpatched }) => unpatched.safe.text));
  // "Shows" = says what some bad run says and no safe run does.
  shows = (text) => bad.has(text) && !safe.has(text);
  const detector = textDetector((text) => ({ ...none, shows: shows(text) }));
  subject = { cases: await judgedCases(cases, detector), judging: { detector, exact: true, threshold: 0 } };
});
afterAll(() => release());

/** Texts of native steering by plain generation under hooks. */
async function plainNative(direction: Direction, block: number): Promise<string[]> {
  const tested = testedCases(subject, direction);
  const donors = tested.map((c) => c.states[opposite(direction)]);
  const values = await captureResiduals(model.decoder, donors, [block], { batch: 3 });
  const plan = tested.map((c, k) => ({
    block,
    positions: c.states[direction].positions,
    values: values[k][0],
  }));
  const ends = await decodePatched(
    model.decoder,
    tested.map((c) => c.states[direction].ids),
    plan,
    { maxNewTokens: MAX, stopTokens: model.tokenizer.eosIds },
  );
  return ends.map((end) => completionText(model.tokenizer, end.ids));
}

const native = (samples: readonly Sample[], arm: string, trigger: string, block: number): string[] =>
  samples
    .filter((s) => s.arm === arm && s.trigger === trigger && s.block === block)
    .sort((a, b) => a.prompt_id.localeCompare(b.prompt_id))
    .map((s) => s.completion);

const settings = { ...sweepSettings.parse({ draws: 2, chosen_draws: 3 }), ...evaluation, after: 1 };

describe('sweep', () => {
  let result: SweepResult;
  const run = (seed: number) =>
    sweep({ model, subject, behaviour: 'locked', side: 'target' }, settings, { ...env, rng: new Rng(seed) });
  beforeAll(async () => {
    result = await run(1);
  });

  it('a model without the behaviour is refused, or left unswept where its block is given', async () => {
    const none: Detection = { shows: false, neutral: false, degenerate: false };
    const detector = textDetector(() => none);
    const cases = await judgedCases(subject.cases, detector);
    const quiet = { cases, judging: { ...subject.judging, detector } };
    const asked = { model, subject: quiet, behaviour: 'locked', side: 'source' } as const;
    const given = { ...env, rng: new Rng(1) };
    await expect(sweep(asked, settings, given)).rejects.toThrow(
      'none of 8 prompts does under the bad trigger',
    );
    expect(await sweep(asked, { ...settings, block: 2 }, given)).toMatchObject({
      rows: [],
      chosen: 2,
      notes: [expect.stringContaining('The source model was not swept: none of 8 prompts')],
    });
  });

  it('tests prompts that show the behaviour', () => {
    expect(testedCases(subject, 'bad').length).toBeGreaterThan(4);
    expect(surplusNotes(subject.cases)).toEqual([]);
  });

  it('native completions are those of plain hooked generation, both directions, all blocks', async () => {
    for (const block of [0, 1, 2])
      for (const direction of ['bad', 'safe'] as const)
        expect(native(result.samples, 'native', direction, block)).toEqual(
          await plainNative(direction, block),
        );
  });

  it('fits the contract, and its rates count what the samples show', () => {
    z.array(sampleSchema).parse(result.samples);
    const [row] = result.rows as [SweepRow];
    resultsSchema.shape.behaviours.element.shape.sweep.parse({ target: result.rows });
    for (const { block, removal, restoration, elicitation } of result.rows) {
      const bad = result.samples.filter(
        (s) => s.block === block && s.arm === 'native' && s.trigger === 'bad',
      );
      const safe = result.samples.filter(
        (s) => s.block === block && s.arm === 'native' && s.trigger === 'safe',
      );
      expect(removal!.value * bad.length).toBeCloseTo(bad.filter((s) => !shows(s.completion)).length, 9);
      expect(restoration!.value * bad.length).toBeCloseTo(
        bad.filter(
          (s) =>
            s.completion === s.references!.safe &&
            s.references!.safe !== s.references!.bad &&
            !shows(s.completion),
        ).length,
        9,
      );
      expect(elicitation!.value * safe.length).toBeCloseTo(safe.filter((s) => shows(s.completion)).length, 9);
    }
    expect(Object.keys(row.controls).sort()).toEqual([
      'other_prompt',
      'other_tag',
      'random',
      'random_cov',
      'random_step',
      'self',
    ]);
  });

  it('self-patching through the public path changes nothing; steering changes something', () => {
    for (const row of result.rows) {
      expect(row.controls.self).toMatchObject({
        changed: { value: 0 },
        removal: { value: 0 },
        elicitation: { value: 0 },
      });
      expect(row.controls.self!.changed!.n).toBe(
        testedCases(subject, 'bad').length + testedCases(subject, 'safe').length,
      );
    }
    expect(result.rows.some((row) => row.removal!.value > 0)).toBe(true);
  });

  it('the margin is restoration less the strongest noise, and the last near-best block is chosen', () => {
    for (const { margin, restoration, controls } of result.rows)
      expect(margin).toBe(
        restoration!.value -
          Math.max(
            ...(['random', 'random_cov', 'random_step'] as const).map((c) => controls[c]!.restoration!.value),
          ),
      );
    expect(result.chosen).toBe(chooseBlock(result.rows, 'best-margin', 0.05));
    const rows = [0.9, 0.97, 0.93, 0.2].map(
      (margin, block): SweepRow => ({
        block,
        margin,
        controls: {},
        removal: { value: [1, 1, 0.94, 0.96][block], n: 9, ci95: [0, 1] },
      }),
    );
    expect(chooseBlock(rows, 'best-margin', 0.05)).toBe(2);
    expect(chooseBlock(rows, 'best-margin', 0.01)).toBe(1);
    expect(chooseBlock(rows, 'last-steerable', 0.05)).toBe(3);
    // Noise restores as well: margins say nothing, so the last block that restores is taken, not one that does nothing.
    const noisy = [0.98, 0.99, 1, 0, 0].map((value, block) => ({
      ...rows[0],
      block,
      restoration: { ...proportion(0, 10), value },
      margin: block < 3 ? 0.02 : 0,
    }));
    expect(chooseBlock(noisy, 'best-margin', 0.05)).toBe(2);
    // Block 1 restores as well as block 0, but brings nothing about.
    const oneWay = noisy.slice(0, 2).map((row, block) => ({
      ...row,
      elicitation: { ...proportion(0, 10), value: 1 - block },
    }));
    expect(chooseBlock(oneWay, 'best-margin', 0.05)).toBe(0);
  });

  it('repeats with the seed, and only noise moves with another', async () => {
    const [again, other] = [await run(1), await run(2)];
    expect(again.rows).toEqual(result.rows);
    expect(again.samples).toEqual(result.samples);
    expect(native(other.samples, 'native', 'bad', 0)).toEqual(native(result.samples, 'native', 'bad', 0));
    expect(other.samples.map((s) => s.completion)).not.toEqual(result.samples.map((s) => s.completion));
  });

  it('an aborted sweep stops', async () => {
    const signal = AbortSignal.abort();
    const stopped = sweep({ model, subject, behaviour: 'locked' }, settings, {
      ...env,
      rng: new Rng(1),
      signal,
    });
    await expect(stopped).rejects.toThrow(/stopped on request/);
  });
});

it('the heat map: nothing before the first differing token, the last position alone behind the last block', async () => {
  const plan = { blocks: [0, 1, 2], prompts: 50 };
  const map = (await heatmap(model, subject, plan, { stage: 'heatmap' }))!;
  expect(map.positions).toEqual([
    'tag 1 |',
    'tag 2 prod',
    'tag 3 |',
    'tag 4 \\n',
    '−4 ###',
    '−3 Response',
    '−2 :',
    'last \\n',
  ]);
  expect(map.blocks).toEqual([0, 1, 2]);
  // Positions before the first differing token have equal activations in both runs: setting them moves nothing.
  for (const row of map.logit_shift) expect(Math.abs(row[0]!)).toBeLessThan(1e-4);
  // Behind the last block, the last position decides the first token alone: shift 1 where the completions part there, else 0.
  const parted = testedCases(subject, 'bad').map(({ unpatched: { bad, safe } }) =>
    Number(bad.ids[0] !== safe.ids[0]),
  );
  expect(parted).toContain(1);
  expect(map.logit_shift[2].at(-1)).toBeCloseTo(parted.reduce((x, y) => x + y) / parted.length, 4);
  for (const column of map.logit_shift[2].slice(0, -1)) expect(Math.abs(column!)).toBeLessThan(1e-4);
  // A model that never shows the behaviour has no map.
  const cases = subject.cases.map((c) => ({ ...c, unpatched: { ...c.unpatched, bad: c.unpatched.safe } }));
  expect(await heatmap(model, { ...subject, cases }, plan, { stage: 'heatmap' })).toBeUndefined();
});

describe('transfer', () => {
  let data: TransferData;
  let shared: SharedOutcomes;
  const block = 1;
  const tags = { behaviour: 'locked', stage: 'transfer', map: { kind: 'identity', fit: 'with_tags' } };
  const all: SteerSettings = { ...transferSettings.parse({ draws: 2 }), ...evaluation };
  const width = 48;
  const mapOf = (apply: RowMap['apply']): RowMap => ({ apply, source: { width }, target: { width } });
  const identity = mapOf((rows) => rows);
  const steer = (
    maps: Parameters<typeof steerByMap>[1],
    p: Partial<SteerSettings> = {},
    validation?: TransferData,
  ) => steerByMap({ data, shared, validation }, maps, { ...all, ...p }, { ...env, rng: new Rng(4), tags });
  beforeAll(async () => {
    const at = { model, block };
    data = await prepareTransfer({ source: at, target: at }, subject, subject.cases);
    shared = await steerShared(data, all, { ...env, rng: new Rng(3), tags });
  });

  it('the identity between a model and itself steers exactly as the model does', async () => {
    const shuffled = mapOf((rows) => rows.map(() => 0));
    const { entry, samples } = await steer({ mapped: identity, shuffled }, {}, data);
    resultsSchema.shape.behaviours.element.shape.transfer.parse({ identity: { with_tags: entry } });
    z.array(sampleSchema).parse(samples);
    const { arms } = entry;
    expect(arms.mapped).toEqual(arms.native);
    expect(
      native(
        samples.filter((s) => s.stage === 'transfer'),
        'mapped',
        'bad',
        block,
      ),
    ).toEqual(await plainNative('bad', block));
    expect(entry.transfer_rate?.value ?? 1).toBe(1);
    expect(entry.native_alignment!.cossim).toMatchObject({ value: expect.closeTo(1, 6) });
    expect(entry.native_alignment!.norm_ratio).toMatchObject({ value: expect.closeTo(1, 6) });
    expect(entry.noninferiority!.difference).toBe(0);
    // The map has no error: its own activation put back changes nothing.
    expect(arms.mapped_bad_to_bad).toMatchObject({ changed: { value: 0 }, removal: { value: 0 } });
    expect(arms.mapped_safe_to_safe).toMatchObject({ changed: { value: 0 }, elicitation: { value: 0 } });
    const noise = (['random', 'random_cov', 'random_step', 'shuffled'] as const).map(
      (arm) => arms[arm]!.restoration!.value,
    );
    expect(entry.margin).toBe(arms.mapped!.restoration!.value - Math.max(...noise));
    expect(entry.margin_without_shuffled).toBe(
      arms.mapped!.restoration!.value - Math.max(...noise.slice(0, 3)),
    );
    expect(Object.keys(arms).sort()).toEqual([
      'mapped',
      'mapped_bad_to_bad',
      'mapped_safe_to_safe',
      'native',
      'other_prompt',
      'other_tag',
      'random',
      'random_cov',
      'random_step',
      'shuffled',
      'static',
    ]);
    expect(entry.add!.arms.mapped).toEqual(entry.add!.arms.native);
  });

  it('add at α = 1 is set, for the native difference', async () => {
    const { entry, samples } = await steer({ mapped: identity }, { arms: ['native', 'mapped'] });
    expect(entry.add!.alpha).toBe(1);
    const by = (stage: string) =>
      samples
        .filter((s) => s.stage === stage && s.arm === 'mapped')
        .map((s) => [s.prompt_id, s.trigger, s.completion])
        .sort();
    expect(by('transfer.add')).toEqual(by('transfer'));
  });

  it('states in untagged prompts are those of plain hooked generation', async () => {
    const { entry } = await steer({ mapped: identity }, { modes: ['set'], arms: ['mapped'] });
    const { unpatched, native: own, mapped } = entry.untagged!;
    expect(mapped).toEqual({ ...own, difference: { ...own.difference, ci95: mapped.difference.ci95 } });
    const tested = testedCases(subject, 'bad');
    expect(unpatched).toMatchObject({
      value: tested.filter((c) => shows(c.unpatched.none.text)).length / tested.length,
      n: tested.length,
    });
    for (const state of ['bad', 'safe'] as const) {
      const donors = tested.map((c) => c.states[state]);
      const values = await captureResiduals(model.decoder, donors, [block], { batch: 3 });
      const plan = tested.map((c, k) => {
        const positions = placesFor(c, c.states.bad.positions.length);
        // The tag would stand at the end, and the line end after it belongs to the span.
        const said = positions.map((p) => c.states.none.offsets[p]!);
        const text = c.states.none.prompt.slice(said[0]![0], said.at(-1)![1]);
        expect(text.endsWith('\n')).toBe(true);
        expect(c.text.endsWith(text.trim())).toBe(true);
        return { block, positions, values: values[k][0].slice(-positions.length * width) };
      });
      const ends = await decodePatched(
        model.decoder,
        tested.map((c) => c.states.none.ids),
        plan,
        { maxNewTokens: MAX, stopTokens: model.tokenizer.eosIds },
      );
      const count = ends.filter((end) => shows(completionText(model.tokenizer, end.ids))).length;
      expect(own[state].shows).toMatchObject({ value: count / tested.length, n: tested.length });
    }
    expect(own.difference.value).toBeCloseTo(own.bad.shows.value - own.safe.shows.value, 12);
  });

  it('a map of the wrong width is refused', async () => {
    await expect(steer({ mapped: mapOf((rows) => rows.slice(1)) })).rejects.toThrow(
      /the map gave \d+ numbers for \d+ rows, the target is 48 wide/,
    );
  });

  it('the native vector of all labelled prompts is the static one of the identity map', async () => {
    const arms = ['native', 'mapped', 'static'] as const;
    const { entry } = await steer({ mapped: identity }, { modes: ['set'], arms: [...arms] });
    const ks = [1, subject.cases.length, 99];
    const labelled = await targetSpans({ model, block }, subject.cases);
    const job = worthJob(labelled, ks);
    const at = { target: { model, block }, subject };
    const done = new Map([[job.name, await runJob(at, job, { ...env, max_tokens: MAX })]]);
    const rows = worthFigures(labelled, { ks, cases: subject.cases }, doneJobs(done));
    expect(rows.map((row) => row.k)).toEqual([1, subject.cases.length]);
    expect(rows[1].native_restoration).toEqual(entry.arms.static!.restoration);
    expect(stripTrigger(subject)!.n).toBe(testedCases(subject, 'bad').length);
  });

  it('repair: taught the safe completions under the bad tag; a target that learnt nothing restores nothing and keeps all', async () => {
    const taught: RepairText[][] = [];
    // What stays open afterwards is the model of these tests.
    const same = new Proxy(model, {
      get: (of, key) => (key === Symbol.asyncDispose ? async () => {} : Reflect.get(of, key, of)),
    });
    const rows = await repair(
      {
        target: model,
        subject,
        labelled: subject.cases,
        tuned: (given) => {
          taught.push([...given]);
          return Promise.resolve(same);
        },
      },
      { ks: [1, 3, 99], max_tokens: MAX },
      env,
    );
    expect(taught.map((given) => given.length)).toEqual([1, 3]);
    expect(taught[1]!.map((row) => [row.prompt, row.response])).toEqual(
      subject.cases.slice(0, 3).map((c) => [c.states.bad.prompt, c.unpatched.safe.text]),
    );
    const n = testedCases(subject, 'bad').length;
    for (const row of rows) {
      expect(row.restoration).toMatchObject({ value: 0, n });
      expect(row.kept).toMatchObject({ value: 1, n });
    }
  });

  it('asked in words: prompts that are the safe ones restore, those as they were do not', async () => {
    const options = { max_tokens: MAX, ...env };
    const plain = await askedFor(model, subject, { text: 'x', asked: subject.cases }, options);
    expect(plain).toMatchObject({ removal: { value: 0 }, restoration: { value: 0 } });
    const swapped = subject.cases.map((c) => ({ ...c, states: { ...c.states, bad: c.states.safe } }));
    const safe = await askedFor(model, subject, { text: 'x', asked: swapped }, options);
    expect(safe!.removal.value).toBe(1);
    expect(safe!.restoration.value).toBeGreaterThan(0.5);
  });

  it('capabilities: states equal to their unpatched runs where nothing is changed, KL zero there', async () => {
    const items = subject.cases.map((c, i) => ({
      task: i % 2 === 0 ? 'even' : 'odd',
      case: c,
      isRight: (text: string) => text === c.unpatched.safe.text,
    }));
    const at = { model, block };
    const { accuracy, kl, samples } = await capabilities(
      { behaviour: 'locked', source: at, target: at, items, map: identity, clean: model },
      { states: capabilitySettings.parse({}).states, ...evaluation },
      { ...env, rng: new Rng(5) },
    );
    z.array(sampleSchema).parse(samples);
    resultsSchema.shape.behaviours.element.shape.capabilities.parse(accuracy);
    expect(Object.keys(accuracy)).toEqual(['even', 'odd']);
    // The identity map puts every activation back, at the span and everywhere.
    for (const state of ['safe', 'safe_mapped', 'full_replacement'] as const) {
      expect(accuracy.even[state]).toMatchObject({ value: 1, n: 4 });
      expect(kl[state]!.value).toBeLessThan(1e-6);
    }
    expect(accuracy.even.bad_native).toEqual(accuracy.even.bad_mapped);
    expect(accuracy.odd.clean).toEqual(accuracy.odd.untagged);
    expect(kl.bad_random!.value).toBeGreaterThan(kl.bad_native!.value);
    expect(kl.bad!.value).toBeGreaterThan(1e-3);
  });
});

describe('rates over draws', () => {
  it('count prompts, not draws', () => {
    expect(drawRate([[true], [false], [true], [true]])).toMatchObject({ value: 0.75, n: 4 });
    const rate = drawRate([
      [true, false],
      [true, true],
      [false, false],
    ]);
    expect(rate).toMatchObject({ value: 0.5, n: 3 });
    expect(rate.ci95[0]).toBeLessThanOrEqual(0.5);
    expect(rate.ci95[1]).toBeGreaterThan(0.6);
  });

  it('an arm that never ran has no figures', () => {
    const tally = new Tally([]);
    expect(tally.has('native')).toBe(false);
    expect(tally.outcome('native')).toEqual({});
  });
});
