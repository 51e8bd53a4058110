/** @file Steering vectors of a model from contrast pairs: a direction at every block, how well it separates held-out pairs, and which block to take. */
import { InputError, type Rng } from '../../base/index.ts';
import type { VectorBlock, VectorSettings } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastSet, ReadPrompt } from './contrast.ts';
import { contextOf, type Direction, directionOf, type RowMethod } from './directions.ts';
import { type Labelled, shuffled } from './labelled.ts';
import { recommendedBlock } from './ranking.ts';
import { lengthOf, promptRows } from './rows.ts';
import { separability } from './separability.ts';

/** Pairs by what they are for. */
export interface ContrastSplit {
  /** Directions are made of them. */
  readonly train: ContrastSet;
  /** Directions are measured on them; may be empty. */
  readonly held: ContrastSet;
}

/** What {@link steeringVectors} gives. */
export interface SteeringVectors {
  /** Block → direction [D], which belongs to `blocks.{block}.hook_resid_post`. */
  readonly vectors: ReadonlyMap<number, Float32Array>;
  readonly blocks: readonly VectorBlock[];
  readonly recommended: { readonly block: number; readonly alpha: number; readonly reason: string };
}

/** What α = 1 means for every method that {@link steeringVectors} knows. */
export const VECTOR_UNIT =
  'α = 1 moves the mean negative prompt to where the mean positive prompt is along the direction';

/** Fewer pairs are not split: nothing is held out. */
const LEAST_TO_SPLIT = 4;

/** Keep a share of the pairs (of unpaired prompts: of each kind) for measuring, drawn with `rng`; two at least, none of fewer than four. */
export function splitContrasts(set: ContrastSet, share: number, rng: Rng): ContrastSplit {
  const parts = (n: number): [train: number[], held: number[]] => {
    const held = n < LEAST_TO_SPLIT || share === 0 ? 0 : Math.max(2, Math.round(n * share));
    const order = rng.shuffle(Array.from({ length: n }, (_, i) => i));
    return [order.slice(held).sort((a, b) => a - b), order.slice(0, held).sort((a, b) => a - b)];
  };
  const of = (prompts: readonly ReadPrompt[], members: readonly number[]) => members.map((i) => prompts[i]);
  const positive = parts(set.positive.length);
  const negative = set.paired ? positive : parts(set.negative.length);
  const part = (k: 0 | 1): ContrastSet => ({
    positive: of(set.positive, positive[k]),
    negative: of(set.negative, negative[k]),
    paired: set.paired,
  });
  return { train: part(0), held: part(1) };
}

/**
 * Make a direction at each of `blocks` (default: all) from the training pairs and measure it on the held-out ones. Blocks whose rows do
 * not fit in `memory_mb` together are read in several passes.
 *
 * @throws InputError for a block the model has not, too few pairs, and rows of one block that do not fit in memory
 */
export async function steeringVectors(
  model: LanguageModel,
  { train, held }: ContrastSplit,
  settings: VectorSettings & { readonly method: RowMethod; readonly blocks?: readonly number[] },
  env: ExperimentEnv,
): Promise<SteeringVectors> {
  const { method, batch, shuffles, l2, memory_mb } = settings;
  const blocks = settings.blocks ?? Array.from({ length: model.nLayers }, (_, i) => i);
  checkBlocks(model, blocks);
  if (train.positive.length === 0 || train.negative.length === 0)
    throw new InputError('vector: wanted contrast pairs to make a direction of, got none', {
      id: 'data-missing',
    });
  const prompts = [...train.positive, ...train.negative, ...held.positive, ...held.negative];
  const vectors = new Map<number, Float32Array>();
  const entries: VectorBlock[] = [];
  for (const group of groupsOf(blocks, prompts.length * model.config.dModel * 4, memory_mb)) {
    const { signal, progress } = env;
    for (const { block, rows, norms } of await promptRows(model.decoder, prompts, group, {
      batch,
      signal,
      progress,
    })) {
      const sets = labelledSets(rows, model.config.dModel, train, held);
      const context = contextOf(method, sets.train, l2);
      const direction = directionOf(method, sets.train, context);
      const vector = Float32Array.from(direction.vector);
      const rng = env.rng.fork(`shuffles of block ${block}`);
      const controls = (): Float64Array[] =>
        Array.from(
          { length: shuffles },
          () => directionOf(method, shuffled(sets.train, rng), context).vector,
        );
      vectors.set(block, vector);
      entries.push({
        ...entryOf(block, vector, direction, norms.tokens > 0 ? norms.sum / norms.tokens : undefined),
        separability:
          sets.held.positive.length === 0 ? undefined : separability(sets.held, vector, controls()),
      });
    }
  }
  return { vectors, blocks: entries, recommended: { ...recommendedBlock(entries, model.nLayers), alpha: 1 } };
}

function entryOf(
  block: number,
  vector: Float32Array,
  { explained, logOdds }: Direction,
  meanNorm: number | undefined,
): VectorBlock {
  const norm = lengthOf(vector);
  return {
    block,
    norm,
    mean_norm: meanNorm,
    relative_dose: meanNorm && norm / meanNorm,
    explained,
    log_odds: logOdds,
  };
}

/** The rows of both parts; they lie in the order in which the prompts were run. */
function labelledSets(
  rows: Float32Array,
  width: number,
  train: ContrastSet,
  held: ContrastSet,
): { train: Labelled; held: Labelled } {
  let at = 0;
  const next = (prompts: readonly ReadPrompt[]): number[] => prompts.map(() => at++);
  const part = ({ positive, negative, paired }: ContrastSet): Labelled => {
    const members = next(positive);
    return { rows, width, positive: members, negative: next(negative), paired };
  };
  return { train: part(train), held: part(held) };
}

function groupsOf(blocks: readonly number[], bytes: number, memoryMb: number): number[][] {
  const size = Math.floor((memoryMb * 2 ** 20) / bytes);
  if (size < 1)
    throw new InputError(
      `vector: the rows of one block take ${Number((bytes / 2 ** 20).toPrecision(2))} MB, ${memoryMb} MB are allowed; give fewer pairs (--limit), or --memory-mb`,
      { id: 'option-invalid' },
    );
  return Array.from({ length: Math.ceil(blocks.length / size) }, (_, i) =>
    blocks.slice(i * size, (i + 1) * size),
  );
}

function checkBlocks(model: LanguageModel, blocks: readonly number[]): void {
  const wrong = blocks.find((block) => block >= model.nLayers);
  if (blocks.length === 0 || wrong !== undefined)
    throw new InputError(`vector: block ${wrong ?? 'none'}; the model has blocks 0…${model.nLayers - 1}`, {
      id: 'block-unknown',
    });
}
