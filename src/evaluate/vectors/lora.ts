/**
 * @file The arm `lora` of a dose curve: an adapter trained on the pairs that the vectors were made of, measured as the vectors are. Its
 * dose is the scale s in W + s·(alpha/rank)·B·A (arXiv 2106.09685): 0 is the plain model, 1 the adapter as it was trained.
 */
import { InputError, type Owned, throwIfAborted } from '../../base/index.ts';
import type { DoseLora, DoseLoraSettings, DosePoint, DoseSettings } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastSet } from './contrast.ts';
import { type CostMeter, strengthFor } from './cost.ts';
import type { SteerBench } from './dose-bench.ts';

/** Token ids of a prompt, and of the answer it is taught, the token that ends it included. */
export interface Lesson {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

/** An adapter, and the model under it. Dispose of it with all that it wrote. */
export interface TrainedLora extends Owned {
  readonly training: Omit<DoseLora, 'rows' | 'taught' | 'largest' | 'scales'>;
  /** The model with the adapter at a scale, all of its weights. Dispose of it before asking for the next. */
  readonly at: (scale: number) => Promise<LanguageModel>;
}

/** What a LoRA is trained on, and who trains it. */
export interface LoraInput {
  /** The pairs that the vectors were made of. */
  readonly train: ContrastSet;
  /** Token that ends an answer; undefined where the tokenizer has none. */
  readonly end: number | undefined;
  readonly teach: (
    lessons: readonly Lesson[],
    settings: DoseLoraSettings,
    env: ExperimentEnv,
  ) => Promise<TrainedLora>;
}

/** Where the points of an arm without a vector are measured: with what, and beside which block. */
export interface Beside {
  readonly bench: SteerBench;
  readonly meter: CostMeter;
  readonly block: number;
}

/** Refuse what the arm has no meaning for, before anything is computed. @throws InputError */
export function checkLora(
  train: Pick<ContrastSet, 'paired'>,
  { alphas }: Pick<DoseSettings, 'alphas'>,
): void {
  if (!train.paired)
    throw new InputError(
      'lora: wanted pairs, since a negative prompt is taught the answer to its positive one; got lists of unequal length',
      { id: 'option-conflict' },
    );
  if (alphas.some((alpha) => alpha < 0))
    throw new InputError(
      `lora: teaches towards positive, got strengths below 0 (${alphas.join(', ')}); swap the pairs`,
      { id: 'option-conflict' },
    );
}

/** Train the adapter and measure it at scale 1 and at the scale of every budget. `done` is called after each point. */
export async function loraPoints(
  model: LanguageModel,
  input: LoraInput & Beside,
  { budgets, lora }: Pick<DoseSettings, 'budgets'> & { readonly lora: DoseLoraSettings },
  env: ExperimentEnv & { readonly done: () => void },
): Promise<{ readonly training: DoseLora; readonly points: DosePoint[] }> {
  const { bench, meter, block } = input;
  const lessons = await lessonsOf(model, input, lora.answer, env);
  await using adapter = await input.teach(lessons, lora, env);
  const costs = new Map<number, DosePoint['cost']>();
  const costAt = async (scale: number): Promise<number> => {
    throwIfAborted(env.signal, 'vector');
    const known = costs.get(scale);
    if (known !== undefined) return known.per_token;
    await using scaled = await adapter.at(scale);
    const cost = await meter.measureModel(scaled.decoder);
    costs.set(scale, cost);
    env.progress({ stage: 'lora', done: costs.size, unit: 'scales' });
    return cost.per_token;
  };
  const points: DosePoint[] = [];
  let alpha = 1;
  for (const budget of [undefined, ...budgets]) {
    const search = { start: alpha, largest: lora.largest };
    if (budget !== undefined) ({ alpha } = await strengthFor(budget, costAt, search));
    await using scaled = await adapter.at(alpha);
    const cost = costs.get(alpha) ?? (await meter.measureModel(scaled.decoder));
    costs.set(alpha, cost);
    const effect = await bench.measureModel(scaled);
    points.push({ arm: 'lora', block, alpha, relative_dose: 0, budget, effect, cost });
    env.done();
  }
  const training: DoseLora = {
    rows: lessons.length,
    taught: taughtBy(input.train),
    ...adapter.training,
    largest: lora.largest,
    scales: costs.size,
  };
  return { training, points };
}

/** Pairs with a question teach its positive answer, the others what the model itself says to the positive prompt. */
function taughtBy({ positive }: ContrastSet): DoseLora['taught'] {
  const given = positive.filter(({ question }) => question !== undefined).length;
  if (given === 0) return 'own answers';
  return given === positive.length ? 'given answers' : 'own and given answers';
}

/** Prompts completed between two progress events. */
const GROUP = 16;

/**
 * What each pair teaches. An own answer is greedy and of up to `tokens` tokens; one that is cut there has no end token, since it would
 * teach the model to end there.
 *
 * @throws InputError where no pair has an answer to teach
 */
export async function lessonsOf(
  model: LanguageModel,
  { train, end }: Pick<LoraInput, 'train' | 'end'>,
  tokens: number,
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<Lesson[]> {
  const ending = end === undefined ? [] : [end];
  const pairs = train.positive.map((positive, i) => ({ positive, negative: train.negative[i] }));
  const lessons: Lesson[] = [];
  for (let at = 0; at < pairs.length; at += GROUP) {
    throwIfAborted(signal, 'vector');
    const group = pairs.slice(at, at + GROUP);
    const unanswered = group.filter(({ positive }) => positive.question === undefined);
    const prompts = unanswered.map(({ positive }) => positive.ids);
    const options = { maxNewTokens: tokens, maxBatch: GROUP, signal };
    const own = prompts.length === 0 ? [] : await model.generate(prompts, options);
    for (const { positive, negative } of group) {
      if (positive.question !== undefined) {
        const { ids, question } = positive;
        lessons.push({ prompt: ids.slice(0, question), answer: [...ids.slice(question), ...ending] });
        continue;
      }
      const { ids, finishReason } = own[unanswered.findIndex((pair) => pair.positive === positive)];
      lessons.push({ prompt: negative.ids, answer: [...ids, ...(finishReason === 'stop' ? ending : [])] });
    }
    progress({
      stage: 'lessons',
      done: Math.min(at + GROUP, pairs.length),
      total: pairs.length,
      unit: 'pairs',
    });
  }
  const taught = lessons.filter(({ prompt, answer }) => prompt.length > 0 && answer.length > 0);
  if (taught.length === 0)
    throw new InputError(
      `lora: wanted answers to teach, got ${pairs.length} pairs whose positive prompts have none`,
      { id: 'data-missing' },
    );
  return taught;
}
