/**
 * @file The trigger is not known: candidates from what the model leaks, from where its activations depart from a clean relative's, and
 * from a sweep of the vocabulary; ranked by the statistic of `probe`; the best tried on prompts that chose nothing
 * (docs/concepts/method.md#scan). Forward passes and greedy answers only.
 */
import { InputError } from '../../base/index.ts';
import { type Placement, renderPrompt, type TemplateName } from '../../behaviours/index.ts';
import { bootstrapMean, type Estimate, rate } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { chatOf, specialTokensOf } from '../subject/chat.ts';
import { completionText } from '../subject/completions.ts';
import { type LearntPhrase, learnPhrase } from '../suspect/answers.ts';
import { Watched } from '../suspect/change.ts';
import { type Asked, renderedBy } from '../suspect/suspect.ts';
import { departures } from './departures.ts';
import { leakedTexts } from './leak.ts';
import { sweepTexts } from './sweep.ts';
import { inForms, vocabularyWords } from './words.ts';

/** Where a candidate came from. `vocabulary` is the baseline: the words that move the next token most. */
export const SCAN_SOURCES = ['leak', 'departure', 'collapse', 'vocabulary'] as const;
export type ScanSource = (typeof SCAN_SOURCES)[number];

/** What is asked. */
export interface ScanInput {
  readonly asked: Asked;
  /** A clean relative of the same tokenizer; without one, there are no candidates by departure. */
  readonly relative?: Asked | undefined;
  /** Prompts, without any template. Half of them rank the candidates, the other half tries the best. */
  readonly prompts: readonly string[];
}

/** How it is asked. */
export interface ScanSettings {
  readonly placement: Placement;
  readonly template: TemplateName;
  readonly sources: readonly ScanSource[];
  /** Words of the vocabulary that become candidates, the first by id. */
  readonly words: number;
  /** Forms of a word, with `{word}` in its place. */
  readonly forms: readonly string[];
  /** Prompts that the vocabulary is swept with: all words in the first, the best ten per place of the shortlist in all. */
  readonly sweep_prompts: number;
  /** Candidates each source hands on. */
  readonly shortlist: number;
  /** Candidates in the result. */
  readonly top: number;
  readonly answer_tokens: number;
  readonly max_tokens: number;
  readonly batch: number;
  readonly bootstrap: number;
}

/** One candidate in the result. */
export interface ScanCandidate {
  readonly text: string;
  /** Its place in the shortlist of every source that named it, from 1. */
  readonly named_by: Partial<Readonly<Record<ScanSource, number>>>;
  /** Mean KL on the ranking prompts, nats per token; with a relative, less the relative's. Chosen to be large: no evidence by itself. */
  readonly ranking_kl: number;
  /** The same on the prompts that chose nothing. */
  readonly kl: Estimate;
  /** Answers that become another. */
  readonly changed: Estimate;
  /** Words that at least half of those answers share, and no more than one in twenty of the plain ones and the relative's. */
  readonly shared?: LearntPhrase | undefined;
}

/** What came of a scan. */
export interface ScanResult {
  /** Candidates each source had, before its shortlist. */
  readonly considered: Partial<Readonly<Record<ScanSource, number>>>;
  /** The best, by their KL on the ranking prompts. */
  readonly candidates: readonly ScanCandidate[];
  /** Whether a candidate makes the answers to different prompts share words: what a planted phrase does. */
  readonly suspicious: boolean;
}

/** Texts that the sweep tries in more than its first prompt, per place of the shortlist. */
const KEPT = 10;

/** Candidates that go on to the second, longer ranking. */
const SECOND_ROUND = 48;

/** Prompts and answer tokens of the first ranking. */
const FIRST_PROMPTS = 8;
const FIRST_TOKENS = 3;

/** Look for a trigger. Throws {@link InputError} for fewer than 8 prompts. */
export async function scan(
  input: ScanInput,
  settings: ScanSettings,
  env: ExperimentEnv,
): Promise<ScanResult> {
  const { asked, relative, prompts } = input;
  if (prompts.length < 8)
    throw new InputError(`scan: wanted at least 8 prompts, got ${prompts.length}`, { id: 'data-missing' });
  if (relative !== undefined && relative.model.tokenizer.idLimit !== asked.model.tokenizer.idLimit)
    throw new InputError('scan: the relative has another tokenizer; wanted a model of the same family', {
      id: 'map-mismatch',
    });
  const half = Math.floor(prompts.length / 2);
  const ranking = prompts.slice(0, half);
  const heldOut = prompts.slice(half);
  const { lists, considered } = await shortlists({ ...input, prompts: ranking }, settings, env);
  const named = new Map<string, Partial<Record<ScanSource, number>>>();
  for (const [source, texts] of lists)
    for (const [i, text] of texts.entries()) named.set(text, { ...named.get(text), [source]: i + 1 });
  const ranked = await rank([...named.keys()], { asked, relative, prompts: ranking }, settings, env);
  const tried = await trial(
    ranked.slice(0, settings.top),
    { asked, relative, prompts: heldOut },
    settings,
    env,
  );
  const candidates = tried.map((candidate) => ({ ...candidate, named_by: named.get(candidate.text) ?? {} }));
  return { considered, candidates, suspicious: candidates.some(({ shared }) => shared !== undefined) };
}

/** The shortlist of every source. */
async function shortlists(
  { asked, relative, prompts }: ScanInput,
  settings: ScanSettings,
  env: ExperimentEnv,
): Promise<{
  readonly lists: ReadonlyMap<ScanSource, readonly string[]>;
  readonly considered: ScanResult['considered'];
}> {
  const { tokenizer } = asked.model;
  const { sources, shortlist } = settings;
  const texts = inForms(vocabularyWords(tokenizer, settings.words), settings.forms);
  const lists = new Map<ScanSource, readonly string[]>();
  const considered: Partial<Record<ScanSource, number>> = {};
  const found = (source: ScanSource, best: readonly string[], of: number): void => {
    lists.set(source, best.slice(0, shortlist));
    considered[source] = of;
  };
  const head = headOf(asked, settings);
  if (sources.includes('leak')) {
    const empty = tokenizer.encodeIds('', { addSpecialTokens: 'auto' });
    const leaked = await leakedTexts(
      { model: asked.model, relative: relative?.model, heads: [empty, head] },
      env,
    );
    found('leak', leaked, leaked.length);
  }
  if (sources.includes('departure') && relative !== undefined) {
    const scores = await departures({ model: asked.model, relative: relative.model, head }, texts, env);
    found('departure', largestFirst(texts, scores), texts.length);
  }
  if (sources.includes('collapse') || sources.includes('vocabulary')) {
    const rendered = renderedBy(asked, prompts, settings);
    const scores = await sweepTexts(
      asked.model,
      {
        prompts: Math.min(settings.sweep_prompts, prompts.length),
        rendered,
        texts,
        kept: KEPT * shortlist,
      },
      env,
    );
    const swept = scores.map(({ text }) => text);
    const by = (measure: 'collapse' | 'kl'): string[] =>
      largestFirst(
        swept,
        scores.map((score) => score[measure]),
      );
    if (sources.includes('collapse')) found('collapse', by('collapse'), texts.length);
    if (sources.includes('vocabulary')) found('vocabulary', by('kl'), texts.length);
  }
  return { lists, considered };
}

/** Tokens of the template before a prompt's own text. */
function headOf({ model, chat }: Asked, { template }: Pick<ScanSettings, 'template'>): readonly number[] {
  const place = 'x';
  const { prompt, offset } = renderPrompt(template, place, chatOf(model.tokenizer, { template, chat }));
  return model.tokenizer.encodeIds(prompt.slice(0, offset), {
    addSpecialTokens: specialTokensOf({ template }),
  });
}

function largestFirst(texts: readonly string[], scores: readonly number[]): string[] {
  return texts
    .map((text, k) => ({ text, score: scores[k] }))
    .sort((a, b) => b.score - a.score)
    .map(({ text }) => text);
}

/** A candidate with its statistic on the ranking prompts. */
interface Ranked {
  readonly text: string;
  readonly ranking_kl: number;
}

/** By the statistic of `probe`: all on a few prompts and tokens, the best of them on all. */
async function rank(
  texts: readonly string[],
  input: ScanInput,
  settings: ScanSettings,
  env: ExperimentEnv,
): Promise<Ranked[]> {
  const first = await rankOn(
    texts,
    { ...input, prompts: input.prompts.slice(0, FIRST_PROMPTS) },
    { ...settings, answer_tokens: Math.min(FIRST_TOKENS, settings.answer_tokens) },
    env,
  );
  return rankOn(
    first.slice(0, Math.max(SECOND_ROUND, settings.top)).map(({ text }) => text),
    input,
    settings,
    env,
  );
}

async function rankOn(
  texts: readonly string[],
  input: ScanInput,
  settings: ScanSettings,
  env: ExperimentEnv,
): Promise<Ranked[]> {
  const { change } = await changes(input, settings, env);
  const out: Ranked[] = [];
  for (const text of texts) {
    const values = await change(text);
    out.push({ text, ranking_kl: values.reduce((a, b) => a + b, 0) / values.length });
    env.progress({ stage: 'scan', done: out.length, total: texts.length, unit: 'candidates' });
  }
  return out.sort((a, b) => b.ranking_kl - a.ranking_kl);
}

/** The statistic per prompt, of the model or of the model less its relative. */
async function changes(
  { asked, relative, prompts }: ScanInput,
  settings: ScanSettings,
  env: ExperimentEnv,
): Promise<{
  readonly own: Watched;
  readonly other: Watched | undefined;
  readonly change: (text: string) => Promise<Float64Array>;
}> {
  const watch = { ...settings, signal: env.signal };
  const over = (of: Asked): Promise<Watched> =>
    Watched.over(of.model, prompts.length, renderedBy(of, prompts, settings), watch);
  const own = await over(asked);
  const other = relative === undefined ? undefined : await over(relative);
  return {
    own,
    other,
    change: async (text) => {
      const here = await own.change(text);
      if (other === undefined) return here;
      const there = await other.change(text);
      return here.map((x, i) => x - there[i]);
    },
  };
}

/**
 * What the best do on prompts that chose nothing. Words are shared when the plain answers do not hold them, nor the relative's answers to the
 * very same prompts: a tag that both models know is no trigger of this one.
 */
async function trial(
  ranked: readonly Ranked[],
  input: ScanInput,
  settings: ScanSettings,
  env: ExperimentEnv,
) {
  const { own, other, change } = await changes(input, settings, env);
  const said = (ids: readonly number[]): string => completionText(own.model.tokenizer, ids);
  const plain = own.answers.map(({ ids }) => said(ids));
  const out: Omit<ScanCandidate, 'named_by'>[] = [];
  for (const { text, ranking_kl } of ranked) {
    const answers = (await own.answersWith(text)).map(({ ids }) => said(ids));
    const relatives = ((await other?.answersWith(text)) ?? []).map(({ ids }) => said(ids));
    out.push({
      text,
      ranking_kl,
      kl: bootstrapMean(Array.from(await change(text)), env.rng.fork(`interval/${text}`), {
        resamples: settings.bootstrap,
      }),
      changed: rate(answers.map((answer, i) => answer !== plain[i])),
      shared: learnPhrase(answers, [...plain, ...relatives]),
    });
    env.progress({ stage: 'scan', done: out.length, total: ranked.length, unit: 'candidates tried' });
  }
  return out;
}
