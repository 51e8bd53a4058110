/**
 * @file Does a text change a model more than comparable text would? One statistic, the mean KL of the next token over prompts and the first
 * answer tokens; its null, matched insertions at the same place; p by rank (docs/concepts/method.md#probe).
 */
import { InputError } from '../../base/index.ts';
import { type Placement, placeTag, renderPrompt, type TemplateName } from '../../behaviours/index.ts';
import type { LanguageModel, TurnSettings } from '../../models/index.ts';
import { bootstrapMean, type Estimate, mean, quantile, rate } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { chatOf, specialTokensOf } from '../subject/chat.ts';
import { completionText } from '../subject/completions.ts';
import { type AnswerChange, answerChange, type LearntPhrase, learnPhrase } from './answers.ts';
import { type Rendered, Watched, type WatchSettings } from './change.ts';
import { Insertions } from './insertions.ts';
import { BENIGN_INSTRUCTIONS, isInstruction, knownInstructions } from './instructions.ts';
import { drawsNeeded, familyP, type Power, powerOf, rankP } from './ranks.ts';

/** A model, and what its chat template is told where prompts are put into that. */
export interface Asked {
  readonly model: LanguageModel;
  readonly chat?: TurnSettings | undefined;
}

/** What is asked. */
export interface SuspectInput {
  readonly asked: Asked;
  /** A clean relative: the statistic is then the change of `asked` less the change of this one. */
  readonly relative?: Asked | undefined;
  /** Prompts, without any template. */
  readonly prompts: readonly string[];
  /** Texts that are suspected, each put into every prompt. */
  readonly texts: readonly string[];
  /** Says whether an answer is the expected one. */
  readonly shows?: ((answer: string) => boolean) | undefined;
}

/** How it is asked. */
export interface SuspectSettings extends Omit<WatchSettings, 'signal'> {
  readonly placement: Placement;
  readonly template: TemplateName;
  /** Comparable texts per kind; more where several texts are asked about and `alpha` needs them. */
  readonly draws: number;
  /** p at or below this is an effect. */
  readonly alpha: number;
  /** Resamples of the interval of the statistic. */
  readonly bootstrap: number;
}

/** `none`: no more than comparable text. `instruction`: more, as an instruction in plain words does. `change`: more, and no instruction. */
export type Finding = 'none' | 'instruction' | 'change';

/** The comparable texts of a text. */
export interface Null {
  /** How many were run. */
  readonly draws: number;
  /** Their statistic: median and largest. */
  readonly median: number;
  readonly largest: number;
  /** The one in the middle: it stands for "no trigger" where a run needs one of the same length. */
  readonly typical: string;
}

/** What came of one text. */
export interface SuspectResult {
  readonly text: string;
  /** Tokens it adds to a prompt. */
  readonly tokens: number;
  /** The statistic: mean KL over prompts, nats per token; with a relative, the difference. */
  readonly kl: Estimate;
  readonly null: Null;
  readonly p: number;
  /** p among all texts asked about. */
  readonly p_family: number;
  readonly finding: Finding;
  /** How it stands among benign instructions at the same place, where the tokenizer knows enough of them. */
  readonly instructions?: { readonly n: number; readonly above: number; readonly median: number } | undefined;
  readonly power: Power;
  /** Absent where nobody asked for answers. */
  readonly answers?: AnswerChange | undefined;
  readonly shows?: { readonly with: Estimate; readonly without: Estimate } | undefined;
  /** Learnt where nothing was expected and the text changes the model. */
  readonly learnt?: LearntPhrase | undefined;
}

/** Draws after which a lone text may be given up: this many comparable texts changed the model as much. */
const GIVE_UP = 10;

/** Fewest comparable texts a rank is made of. */
const FEWEST = 19;

/** Prompts in which comparable texts must take as many tokens as the suspected one. */
const CONTEXTS = 3;

/** Ask about every text. Throws {@link InputError} where a text has no comparable ones, or is in no token. */
export async function suspect(
  input: SuspectInput,
  settings: SuspectSettings,
  env: Pick<ExperimentEnv, 'rng' | 'progress' | 'signal'>,
): Promise<SuspectResult[]> {
  const { asked, relative, prompts, texts } = input;
  if (prompts.length < 2)
    throw new InputError(`probe: wanted at least 2 prompts, got ${prompts.length}`, { id: 'data-missing' });
  const rendered = renderedBy(asked, prompts, settings);
  const watch = { ...settings, signal: env.signal };
  env.progress({ stage: 'probe', done: 0, message: 'answering the prompts as they are' });
  const own = await Watched.over(asked.model, prompts.length, rendered, watch);
  const other =
    relative &&
    (await Watched.over(relative.model, prompts.length, renderedBy(relative, prompts, settings), watch));
  const change = async (text: string): Promise<Float64Array> => {
    const here = await own.change(text);
    if (other === undefined) return here;
    const there = await other.change(text);
    return here.map((x, i) => x - there[i]);
  };
  const nulls = new Nulls(asked.model, { rendered, prompts: prompts.length }, settings, { ...env, change });
  const measured = [];
  for (const [k, text] of texts.entries()) {
    const observed = await change(text);
    const found = await nulls.of(text, mean(observed), texts);
    measured.push({ text, observed, ...found });
    env.progress({ stage: 'probe', done: k + 1, total: texts.length, unit: 'texts' });
  }
  const family = familyP(
    measured.map(({ observed, draws }) => ({ observed: mean(observed), draws })),
    env.rng.fork('family'),
  );
  const effects = measured.filter((_, i) => family[i] <= settings.alpha);
  const benign = effects.length > 0 ? await benignChanges(asked.model, change) : [];
  const results: SuspectResult[] = [];
  for (const [i, { text, observed, draws, typical }] of measured.entries()) {
    const kl = bootstrapMean(Array.from(observed), env.rng.fork(`interval/${text}`), {
      resamples: settings.bootstrap,
    });
    const effect = family[i] <= settings.alpha;
    const described =
      effect || texts.length === 1 ? await describe(own, input, { text, typical, effect }) : {};
    results.push({
      text,
      tokens: rendered(0, text).length - rendered(0, undefined).length,
      kl,
      null: { draws: draws.length, median: quantile(draws, 0.5), largest: Math.max(...draws), typical },
      p: rankP(kl.value, draws),
      p_family: family[i],
      finding: effect ? (isInstruction(text) ? 'instruction' : 'change') : 'none',
      instructions:
        effect && benign.length > 0
          ? {
              n: benign.length,
              above: benign.filter((b) => b >= kl.value).length,
              median: quantile(benign, 0.5),
            }
          : undefined,
      power: powerOf(draws, own.wholeChange(), {
        alpha: settings.alpha / texts.length,
        prompts: prompts.length,
      }),
      ...described,
    });
  }
  return results;
}

/** What {@link Nulls} runs texts with. */
type NullEnv = Pick<ExperimentEnv, 'rng' | 'progress'> & {
  readonly change: (text: string) => Promise<Float64Array>;
};

/** The comparable texts of every kind of text, each kind drawn and run once. */
class Nulls {
  readonly #kinds = new Map<string, { readonly draws: readonly number[]; readonly typical: string }>();
  readonly #insertions: Insertions;
  readonly #rendered: Rendered;
  readonly #contexts: number;
  readonly #settings: SuspectSettings;
  readonly #env: NullEnv;

  constructor(
    model: LanguageModel,
    { rendered, prompts }: { readonly rendered: Rendered; readonly prompts: number },
    settings: SuspectSettings,
    env: NullEnv,
  ) {
    this.#insertions = new Insertions(model.tokenizer);
    this.#rendered = rendered;
    this.#contexts = Math.min(CONTEXTS, prompts);
    this.#settings = settings;
    this.#env = env;
  }

  /** Statistics of texts comparable to `text`. A lone text stops once enough of them changed the model as much (Besag and Clifford, 1991). */
  async of(
    text: string,
    observed: number,
    texts: readonly string[],
  ): Promise<{ readonly draws: readonly number[]; readonly typical: string }> {
    const kind = this.#insertions.kind(text);
    const known = this.#kinds.get(kind);
    if (known !== undefined) return known;
    const { draws, alpha } = this.#settings;
    const contexts = Array.from(
      { length: this.#contexts },
      (_, i) => (inserted: string) => this.#rendered(i, inserted),
    );
    const wanted = Math.max(draws, drawsNeeded(texts.length, alpha));
    const drawn = this.#insertions
      .draw(text, wanted + texts.length, contexts, this.#env.rng.fork(`null/${kind}`))
      .filter((candidate) => !texts.includes(candidate))
      .slice(0, wanted);
    if (drawn.length < FEWEST)
      throw new InputError(
        `probe: ${JSON.stringify(text)}: wanted at least ${FEWEST} comparable texts, the tokenizer gave ${drawn.length}; take a text of words it knows`,
        { id: 'span-invalid' },
      );
    const found: { readonly text: string; readonly value: number }[] = [];
    for (const candidate of drawn) {
      found.push({ text: candidate, value: mean(await this.#env.change(candidate)) });
      this.#env.progress({
        stage: 'probe',
        done: found.length,
        total: drawn.length,
        unit: 'comparable texts',
      });
      const atLeast = found.filter(({ value }) => value >= observed).length;
      if (texts.length === 1 && atLeast >= GIVE_UP && found.length >= FEWEST) break;
    }
    const sorted = [...found].sort((a, b) => a.value - b.value);
    const result = {
      draws: found.map(({ value }) => value),
      typical: sorted[Math.floor(sorted.length / 2)].text,
    };
    this.#kinds.set(kind, result);
    return result;
  }
}

/** What the answers say, for people. */
async function describe(
  own: Watched,
  { shows }: SuspectInput,
  { text, typical, effect }: { readonly text: string; readonly typical: string; readonly effect: boolean },
): Promise<Pick<SuspectResult, 'answers' | 'shows' | 'learnt'>> {
  const { tokenizer } = own.model;
  const said = async (drafts: Promise<readonly { readonly ids: readonly number[] }[]>): Promise<string[]> =>
    (await drafts).map(({ ids }) => completionText(tokenizer, ids));
  const without = await said(Promise.resolve(own.answers));
  const withText = await said(own.answersWith(text));
  const answers = answerChange(withText, without);
  if (shows !== undefined)
    return { answers, shows: { with: rate(withText.map(shows)), without: rate(without.map(shows)) } };
  if (!effect) return { answers };
  const typically = await said(own.answersWith(typical));
  return { answers, learnt: learnPhrase(withText, [...without, ...typically]) };
}

/** Statistics of benign instructions at the same place; none where the tokenizer knows too few of their words. */
async function benignChanges(
  { tokenizer }: LanguageModel,
  change: (text: string) => Promise<Float64Array>,
): Promise<number[]> {
  const out: number[] = [];
  for (const text of knownInstructions(tokenizer, BENIGN_INSTRUCTIONS)) out.push(mean(await change(text)));
  return out;
}

/** Prompts with a text in place, as a model's tokens. */
export function renderedBy(
  { model, chat }: Asked,
  prompts: readonly string[],
  { placement, template }: Pick<SuspectSettings, 'placement' | 'template'>,
): Rendered {
  const addSpecialTokens = specialTokensOf({ template });
  const turn = chatOf(model.tokenizer, { template, chat });
  return (i, text) => {
    const placed = text === undefined ? prompts[i] : placeTag(prompts[i], text, placement).text;
    const { prompt } = renderPrompt(template, placed, turn);
    return model.tokenizer.encodeIds(prompt, { addSpecialTokens });
  };
}
