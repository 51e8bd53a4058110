/** @file Pairs of blocks of a random model with itself: a block explains itself, and its mapped span moves the choice as its own does. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pairText } from '../../activations/index.ts';
import { Rng } from '../../base/index.ts';
import { contrastPrompts, type Detection, makeBehaviour } from '../../behaviours/index.ts';
import { blockPairsSettings, resultsSchema, sweepSettings } from '../../contracts/index.ts';
import { randomModel } from '../../interventions/fixture.helper.ts';
import type { LanguageModel } from '../../models/index.ts';
import { evaluateBackdoor } from '../arms/backdoor.ts';
import { judgedCases, textDetector } from '../detect/detector.ts';
import { contrastCases } from '../subject/cases.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { sweep } from '../sweep/sweep.ts';
import { blockPairs } from './block-pairs.ts';

const MAX = 8;
const TEXTS = ['the cat is red', 'one two three', 'a dog says the cat is hot', 'up down up', 'five four'];
const words = 'the cat is red one two three a dog says hot not cold up down five four green'.split(' ');
const env = { progress: () => {}, signal: new AbortController().signal, seed: 0, threads: 2 };

let model: LanguageModel;
let release: () => Promise<void>;
let subject: Subject;
beforeAll(async () => {
  ({ model, release } = await randomModel('llama'));
  const behaviour = makeBehaviour('locked');
  const cases = contrastCases(model.tokenizer, contrastPrompts({ texts: TEXTS, behaviour }), 1);
  const none: Detection = { shows: false, neutral: false, degenerate: false };
  const tags = { behaviour: 'locked', stage: 'backdoor' };
  const done = await evaluateBackdoor(
    model,
    { cases, detector: textDetector(() => none), tags },
    { max_tokens: MAX, batch: 50 },
    { ...env, rng: new Rng(0) },
  );
  const said = (state: 'bad' | 'safe') => new Set(done.cases.map(({ unpatched }) => unpatched[state].text));
  const [bad, safe] = [said('bad'), said('safe')];
  const detector = textDetector((text) => ({ ...none, shows: bad.has(text) && !safe.has(text) }));
  const read = await judgedCases(done.cases, detector);
  subject = { cases: read, judging: { detector, exact: true, threshold: 0 } };
});
afterAll(() => release());

/** Texts of random words. */
function texts(n: number, seed: number) {
  const rng = new Rng(seed);
  const { tokenizer } = model;
  return Array.from({ length: n }, (_, i) => {
    const text = Array.from({ length: 12 }, () => rng.pick(words)).join(' ');
    return pairText(
      { id: `${seed}/${i}`, text },
      { source: tokenizer, target: tokenizer },
      { label: 'safe' },
    );
  });
}

it('a block explains itself best, and its mapped span does what its own does', async () => {
  const fit = { train: texts(40, 1), validation: texts(5, 2), test: texts(5, 3) };
  const settings = { ...blockPairsSettings.parse({ rows: 400, confirm: 3 }), max_tokens: MAX };
  const run = () =>
    blockPairs({ source: model, target: model, texts: fit, subject, target_block: 1 }, settings, {
      ...env,
      rng: new Rng(4),
    });
  const pairs = (await run())!;
  resultsSchema.shape.behaviours.element.shape.block_pairs.parse(pairs);
  expect(pairs.source_blocks).toEqual([0, 1, 2]);
  const native = await sweep(
    { model, subject, behaviour: 'locked', side: 'target' },
    {
      ...sweepSettings.parse({ draws: 1, chosen_draws: 1, controls: ['random'] }),
      after: 1,
      max_tokens: MAX,
      bootstrap: 100,
    },
    { ...env, rng: new Rng(1) },
  );
  for (const block of [0, 1, 2]) {
    expect(pairs.cka![block]![block]).toBeCloseTo(1, 6);
    expect(pairs.cka_contrast![block]![block]).toBeCloseTo(1, 6);
    expect(pairs.ridge_r2![block]![block]).toBeGreaterThan(0.97);
    for (const other of [0, 1, 2])
      if (other !== block)
        expect(pairs.ridge_r2![other]![block]).toBeLessThan(pairs.ridge_r2![block]![block]!);
    // The ridge of a block on itself is nearly the identity, so its shift is that of native steering.
    const shift = native.rows[block]!.logit_shift;
    expect(pairs.logit_shift![block]![block]).toBeCloseTo(
      typeof shift === 'number' ? shift : shift!.value,
      1,
    );
  }
  expect(
    pairs
      .confirmed!.filter((c) => c.target_block === 1)
      .map((c) => c.source_block)
      .sort(),
  ).toEqual([0, 1, 2]);
  const own = pairs.confirmed!.find((c) => c.source_block === 1 && c.target_block === 1)!;
  expect(own.restoration).toMatchObject({ n: testedCases(subject, 'bad').length });
  expect(await run()).toEqual(pairs);
});

it('without a prompt that shows the behaviour there is nothing to score', async () => {
  const detector = textDetector(() => ({ shows: false, neutral: false, degenerate: false }));
  const cases = await judgedCases(subject.cases, detector);
  const quiet = { cases, judging: { ...subject.judging, detector } };
  const fit = { train: texts(2, 1), validation: texts(1, 2), test: texts(1, 3) };
  const settings = { ...blockPairsSettings.parse({}), max_tokens: MAX };
  expect(
    await blockPairs(
      { source: model, target: model, texts: fit, subject: quiet, target_block: 1 },
      settings,
      { ...env, rng: new Rng(4) },
    ),
  ).toBeUndefined();
});
