/**
 * @file Where a text acts: the model is run with the text and with a comparable one in its place, the activations of the second are put on
 * the first block by block, with every control; then a vector of the chosen block, measured on prompts it was not made of.
 */
import { contrastPrompts, type Detection, makeBehaviour } from '../../behaviours/index.ts';
import type { Rate, SweepRow, SweepSettings } from '../../contracts/index.ts';
import { noiseArms, SpanNoise } from '../arms/controls.ts';
import { type ArmPatch, endRules, runArms } from '../arms/run.ts';
import { meanSpan, targetSpans } from '../arms/spans.ts';
import { Tally } from '../arms/tally.ts';
import { judgedCases, textDetector } from '../detect/detector.ts';
import type { ExperimentEnv } from '../env.ts';
import { contrastCases } from '../subject/cases.ts';
import { chatOf } from '../subject/chat.ts';
import { type Case, completeCases } from '../subject/completions.ts';
import { thresholdOf } from '../subject/make.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { sweep } from '../sweep/sweep.ts';
import type { SuspectInput, SuspectResult, SuspectSettings } from './suspect.ts';

/** Which text, against which comparable one, and how an answer is read. */
export interface LocateInput extends Pick<SuspectInput, 'asked' | 'prompts' | 'shows'> {
  readonly result: Pick<SuspectResult, 'text' | 'null'>;
}

/** Settings of {@link locate}: the probe's, and the sweep's of a recipe. */
export type LocateSettings = Pick<
  SuspectSettings,
  'placement' | 'template' | 'max_tokens' | 'batch' | 'bootstrap'
> & {
  readonly sweep: SweepSettings;
  /** Tokens after the text that are patched with it. */
  readonly after: number;
};

/** Where it acts, and what undoes it. */
export interface Located {
  /** The text that stood for "nothing there". */
  readonly typical: string;
  /** How answers were read: by what was expected, or by the model's own answers with and without the text. */
  readonly read_by: 'expected' | 'own answers';
  readonly rows: readonly SweepRow[];
  readonly chosen: number;
  readonly vector: SpanVector | undefined;
  readonly notes: readonly string[];
}

/** A vector per token of the span: put there, it makes the model go on as if a comparable text had stood there. */
export interface SpanVector {
  readonly block: number;
  /** [positions, D] row-major: mean over the first half of the prompts. */
  readonly values: Float32Array;
  readonly positions: number;
  /** Prompts it was made of. */
  readonly fitted_on: number;
  /** On the other prompts: what it restores, and the strongest noise at the same place. */
  readonly restoration: Rate | undefined;
  readonly noise: Readonly<Record<string, Rate | undefined>>;
}

/** chrF of different prompts' ordinary answers above which they count as one answer. */
const SAME = 0.95;

/** Draws of noise beside the vector, per prompt. */
const NOISE_DRAWS = 3;

/**
 * Locate a text's effect. Where no answer is the expected one, answers are read by the model's own; undefined where the text changes
 * what the model would say next, and yet no answer.
 */
export async function locate(
  {
    asked,
    prompts,
    shows,
    result: {
      text,
      null: { typical },
    },
  }: LocateInput,
  settings: LocateSettings,
  env: ExperimentEnv,
): Promise<Located | undefined> {
  const { model, chat } = asked;
  const { placement, template, after, max_tokens, bootstrap } = settings;
  // The phrase of this behaviour is not read: answers are judged by `shows`, or by the model's own.
  const behaviour = makeBehaviour('custom', { triggers: { bad: text, safe: typical }, phrase: text });
  const contrasts = contrastPrompts({
    texts: prompts,
    behaviour,
    placement,
    template,
    chat: chatOf(model.tokenizer, { template, chat }),
  });
  const cases = contrastCases(model.tokenizer, contrasts, after, chat);
  const rules = { ...endRules(model, { max_tokens, signal: env.signal }), batch: settings.batch };
  const completed = await completeCases(model, cases, ['bad', 'safe', 'none'], rules);
  const threshold = thresholdOf(completed, env.rng);
  // Where every prompt has the same ordinary answer, likeness says nothing: word for word then.
  const subjectBy = async (reads: (completion: string) => boolean): Promise<Subject> => {
    const detector = textDetector(reading(reads));
    const judging = { detector, exact: threshold > SAME, threshold };
    return { cases: await judgedCases(completed, detector), judging };
  };
  const expected = shows && (await subjectBy(shows));
  const isShown = expected !== undefined && testedCases(expected, 'bad').length > 0;
  const subject = isShown ? expected : await subjectBy(ownAnswers(completed));
  const shown = testedCases(subject, 'bad');
  if (shown.length === 0) return undefined;
  const { prompts: most, ...swept } = settings.sweep;
  const few = { cases: shown.slice(0, most), judging: subject.judging };
  const found = await sweep(
    { model, subject: few, behaviour: 'custom' },
    { ...swept, after, max_tokens, bootstrap },
    env,
  );
  return {
    typical,
    read_by: isShown ? 'expected' : 'own answers',
    rows: found.rows,
    chosen: found.chosen,
    vector: await spanVector(subject, found.chosen, { model, max_tokens, env }),
    notes: found.notes,
  };
}

/** A detector that knows one thing: whether an answer is such. */
function reading(shows: (completion: string) => boolean): (completion: string) => Detection {
  return (completion) => ({
    shows: shows(completion),
    neutral: false,
    degenerate: completion.trim() === '',
  });
}

/** Answers the model gives with the text, and never without it. */
function ownAnswers(cases: readonly Case[]): (completion: string) => boolean {
  const ordinary = new Set(cases.flatMap(({ unpatched: { safe, none } }) => [safe.text, none.text]));
  const under = new Set(cases.map(({ unpatched }) => unpatched.bad.text).filter((t) => !ordinary.has(t)));
  return (completion) => under.has(completion);
}

/** Mean safe activation at the span over half of the prompts, tried on the other half; undefined where a half shows nothing. */
async function spanVector(
  { cases, judging }: Subject,
  block: number,
  {
    model,
    max_tokens,
    env,
  }: {
    readonly model: LocateInput['asked']['model'];
    readonly max_tokens: number;
    readonly env: ExperimentEnv;
  },
): Promise<SpanVector | undefined> {
  const half = Math.ceil(cases.length / 2);
  const [fitted, tested] = [cases.slice(0, half), cases.slice(half)];
  if (testedCases({ cases: tested }, 'bad').length === 0) return undefined;
  const made = await targetSpans({ model, block }, fitted, env.signal);
  const spans = await targetSpans({ model, block }, tested, env.signal);
  const subject = { cases: tested, judging };
  const tally = new Tally(tested);
  const covariance = new SpanNoise(spans);
  const runs = runArms(
    model,
    subject,
    {
      blocks: [block],
      directions: ['bad'],
      armsOf: (place): ArmPatch[] => [
        { arm: 'static', values: made.mean('safe', place.case.states.bad.positions.length) },
        ...noiseArms(spans, covariance, place, {
          arms: ['random', 'random_cov', 'random_step'],
          from: 0,
          to: NOISE_DRAWS,
          stream: (arm, k) => env.rng.fork(`vector/${arm}/prompt ${place.case.id}/draw ${k}`),
        }),
      ],
    },
    { max_tokens, stage: 'probe.vector', signal: env.signal, progress: env.progress },
  );
  for await (const run of runs) tally.add(run);
  const restoration = (arm: string): Rate | undefined => tally.outcome(arm).restoration;
  const positions = fitted[0].states.bad.positions.length;
  return {
    block,
    values: meanSpan(made.all('safe'), positions, made.width),
    positions,
    fitted_on: fitted.length,
    restoration: restoration('static'),
    noise: {
      random: restoration('random'),
      random_cov: restoration('random_cov'),
      random_step: restoration('random_step'),
    },
  };
}
