/**
 * @file The refusal direction (A. Arditi et al., 2024, "Refusal in language models is mediated by a single direction"), for any behaviour: mean
 * differences at every block and position after the prompt's own text, of which that one is taken whose removal from the residual stream
 * makes positive prompts answer least as they do, while it leaves negative prompts alone. V tokens of the vocabulary.
 */
import { InputError, throwIfAborted } from '../../base/index.ts';
import type { RefusalReport, VectorBlock, VectorSettings } from '../../contracts/index.ts';
import { klDivergence } from '../../interventions/index.ts';
import { type FwdHook, HookTable, type LanguageModel, logSumExp, nextLogits } from '../../models/index.ts';
import { auroc, mean } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ReadPrompt } from './contrast.ts';
import { directionOf } from './directions.ts';
import { type Labelled, scores, shuffled } from './labelled.ts';
import type { ContrastSplit, SteeringVectors } from './make.ts';
import { lengthOf, promptRows } from './rows.ts';
import { separability } from './separability.ts';
import { ablationHooks, pushHooks } from './steer.ts';

/** Token positions after the text that are tried, at most. */
const MOST_POSITIONS = 6;

/** Tokens that say the model does it, at most; and by how much more likely they must be after positive prompts. */
const MOST_TOKENS = 5;
const LEAST_DIFFERENCE = 0.05;

/** Prompts of each kind that candidates are tried on. */
const TRIED_ON = 32;

/** What {@link refusalVectors} gives besides vectors: every candidate, and what was done to it. */
export interface RefusalVectors extends SteeringVectors {
  readonly refusal: RefusalReport;
}

/** What is known of the behaviour, and how long to look. */
export interface RefusalOptions {
  /** Tokens whose probability at the end of the prompt says that the model does it. Defaults to those that positive prompts make likelier. */
  readonly tokens?: readonly number[];
  /** Candidates whose removal is tried: those that separate held-out prompts best. */
  readonly candidates: number;
}

/**
 * Directions of the chosen position at every block; `recommended.block` is the chosen one.
 *
 * @throws InputError without held-out prompts, and when no candidate stays within the bound
 */
export async function refusalVectors(
  model: LanguageModel,
  split: ContrastSplit,
  settings: VectorSettings & RefusalOptions,
  env: ExperimentEnv,
): Promise<RefusalVectors> {
  const { train, held } = split;
  const positive = held.positive.slice(0, TRIED_ON);
  const negative = held.negative.slice(0, TRIED_ON);
  if (positive.length === 0)
    throw new InputError('refusal: wanted held-out prompts to choose a direction on, none were held out', {
      id: 'data-missing',
    });
  const found = await meanDifferences(model, split, settings, env);
  const run = new NextTokens(model, settings.batch, env.signal);
  const tokens = settings.tokens ?? (await tellingTokens(run, train));
  const plain = await run.rows(negative);
  const baseline = {
    positive: mean((await run.rows(positive)).map((row) => logOdds(row, tokens))),
    negative: mean(plain.map((row) => logOdds(row, tokens))),
  };
  const tried = found
    .filter(({ block }) => block < 0.8 * model.nLayers)
    .sort((a, b) => b.area - a.area || b.gap - a.gap)
    .slice(0, settings.candidates);
  const candidates: RefusalReport['candidates'] = [];
  for (const { block, position, direction } of tried) {
    throwIfAborted(env.signal, 'vector');
    const ablation = ablationHooks(direction, model.nLayers);
    const ablated = mean((await run.rows(positive, ablation)).map((row) => logOdds(row, tokens)));
    const added = await run.rows(negative, pushHooks({ block, delta: direction }));
    const kl = mean((await run.rows(negative, ablation)).map((row, i) => klDivergence(row, plain[i])));
    const induced = mean(added.map((row) => logOdds(row, tokens)));
    const allowed = kl <= settings.kl_bound && induced > baseline.negative;
    candidates.push({ block, position, ablated, added: induced, kl, allowed });
    env.progress({ stage: 'refusal', done: candidates.length, total: tried.length, unit: 'candidates' });
  }
  const allowed = candidates.filter((c) => c.allowed);
  if (allowed.length === 0)
    throw new InputError(
      `refusal: none of ${candidates.length} directions can be removed within ${settings.kl_bound} nats and does it when added; the least was ${Math.min(...candidates.map((c) => c.kl)).toPrecision(2)} nats; raise --kl-bound, or take another method`,
      { id: 'vector-invalid' },
    );
  const best = allowed.reduce((a, b) => (b.ablated < a.ablated ? b : a));
  const own = found.filter(({ position }) => position === best.position);
  return {
    vectors: new Map(own.map(({ block, direction }) => [block, direction])),
    blocks: own.map((candidate) => entryOf(candidate, settings.shuffles, env)),
    recommended: { block: best.block, alpha: 1, reason: reasonOf(best, baseline, candidates.length) },
    refusal: {
      position: best.position,
      tokens: [...tokens],
      kl_bound: settings.kl_bound,
      candidates,
      baseline,
    },
  };
}

/** A direction at a block and a position from the end (−1: the last token), and how well it separates held-out prompts. */
interface Candidate {
  readonly block: number;
  readonly position: number;
  readonly direction: Float32Array;
  readonly area: number;
  readonly gap: number;
  readonly train: Labelled;
  readonly held: Labelled;
  readonly meanNorm: number;
}

async function meanDifferences(
  model: LanguageModel,
  { train, held }: ContrastSplit,
  { batch }: VectorSettings,
  { signal, progress }: ExperimentEnv,
): Promise<Candidate[]> {
  const lists = [train.positive, train.negative, held.positive, held.negative];
  const all = lists.flat();
  const tail = commonTail(all);
  const read = tail.flatMap((position) =>
    all.map(({ ids }) => ({ ids, positions: [ids.length + position] })),
  );
  const blocks = Array.from({ length: model.nLayers }, (_, i) => i);
  const taken = await promptRows(model.decoder, read, blocks, { batch, signal, progress });
  const width = model.config.dModel;
  return taken.flatMap(({ block, rows, norms }) =>
    tail.map((position, k): Candidate => {
      let at = k * all.length;
      const [tp, tn, hp, hn] = lists.map((list) => list.map(() => at++));
      const set = { rows, width };
      const trained = { ...set, positive: tp, negative: tn, paired: train.paired };
      const kept = { ...set, positive: hp, negative: hn, paired: held.paired };
      const direction = Float32Array.from(directionOf('mean-difference', trained).vector);
      const [p, n] = [scores(kept, hp, direction), scores(kept, hn, direction)];
      const meanNorm = norms.sum / norms.tokens;
      const gap = mean(p) - mean(n);
      return {
        block,
        position,
        direction,
        area: auroc(p, n).value,
        gap: gap / meanNorm,
        train: trained,
        held: kept,
        meanNorm,
      };
    }),
  );
}

/** Positions from the end at which all prompts hold the same token: what the template writes after the text. The last one always counts. */
function commonTail(prompts: readonly ReadPrompt[]): number[] {
  const [first] = prompts;
  const shortest = Math.min(...prompts.map(({ ids }) => ids.length));
  let length = 1;
  while (
    length < Math.min(MOST_POSITIONS, shortest - 1) &&
    prompts.every(({ ids }) => ids.at(-length) === first.ids.at(-length)) &&
    prompts.every(({ ids }) => ids.at(-length - 1) === first.ids.at(-length - 1))
  )
    length++;
  return Array.from({ length }, (_, i) => -1 - i);
}

/** Distributions of the token after prompts. */
class NextTokens {
  readonly #model: LanguageModel;
  readonly #batch: number;
  readonly #signal: AbortSignal;

  constructor(model: LanguageModel, batch: number, signal: AbortSignal) {
    this.#model = model;
    this.#batch = batch;
    this.#signal = signal;
  }

  /** Logits [V] of each prompt. */
  async rows(prompts: readonly ReadPrompt[], fwdHooks: readonly FwdHook[] = []): Promise<Float32Array[]> {
    const { decoder, config, nLayers } = this.#model;
    const out: Float32Array[] = [];
    for (let at = 0; at < prompts.length; at += this.#batch) {
      const ids = prompts.slice(at, at + this.#batch).map((prompt) => prompt.ids);
      const hooks = new HookTable(fwdHooks, nLayers);
      const context = { hooks, rows: ids.map((_, b) => b), phase: 'prompt' as const };
      const residual = await decoder.run(decoder.embed(ids, context), { ...context, signal: this.#signal });
      const { data } = await nextLogits(decoder, residual, context);
      const v = config.vocabSize;
      out.push(...ids.map((_, b) => data.slice(b * v, (b + 1) * v)));
    }
    return out;
  }
}

/** Tokens that positive prompts make likelier as the next one than negative prompts do, the likeliest first. */
async function tellingTokens(
  run: NextTokens,
  { positive, negative }: ContrastSplit['train'],
): Promise<number[]> {
  const sides = [positive, negative].map((prompts) => prompts.slice(0, TRIED_ON));
  const difference = new Float64Array((await run.rows(sides[0].slice(0, 1)))[0].length);
  for (const [k, prompts] of sides.entries())
    for (const row of await run.rows(prompts)) {
      const z = logSumExp(row);
      for (let v = 0; v < row.length; v++)
        difference[v] += ((k === 0 ? 1 : -1) * Math.exp(row[v] - z)) / prompts.length;
    }
  const order = Array.from(difference.keys()).sort((a, b) => difference[b] - difference[a]);
  const telling = order.slice(0, MOST_TOKENS).filter((v) => difference[v] >= LEAST_DIFFERENCE);
  return telling.length > 0 ? telling : order.slice(0, 1);
}

/** ln P − ln(1 − P), P the probability of any of the tokens, kept 1e−8 away from 0 and 1. */
function logOdds(row: Float32Array, tokens: readonly number[]): number {
  const z = logSumExp(row);
  const p = tokens.reduce((sum, v) => sum + Math.exp(row[v] - z), 0);
  return Math.log(p + 1e-8) - Math.log(Math.max(0, 1 - p) + 1e-8);
}

function entryOf(
  { block, direction, train, held, meanNorm }: Candidate,
  shuffles: number,
  env: ExperimentEnv,
): VectorBlock {
  const rng = env.rng.fork(`shuffles of block ${block}`);
  const norm = lengthOf(direction);
  const controls = Array.from(
    { length: shuffles },
    () => directionOf('mean-difference', shuffled(train, rng)).vector,
  );
  return {
    block,
    norm,
    mean_norm: meanNorm,
    relative_dose: norm / meanNorm,
    separability: separability(held, direction, controls),
  };
}

function reasonOf(
  { position, ablated, kl }: RefusalReport['candidates'][number],
  { positive }: RefusalReport['baseline'],
  tried: number,
): string {
  return `of ${tried} directions the one (position ${position}) whose removal lowers the log-odds on positive prompts most, from ${positive.toFixed(1)} to ${ablated.toFixed(1)}, at ${Number(kl.toPrecision(2))} nats on negative ones`;
}
