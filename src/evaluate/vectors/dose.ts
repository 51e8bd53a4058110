/**
 * @file The dose curve of steering vectors: for strengths and blocks, what steering does to held-out prompts and what it costs on neutral ones,
 * beside a random direction of the same length and no steering; and the one point to take. D width.
 */
import { InputError, type Rng } from '../../base/index.ts';
import type { DosePoint, DoseReport, DoseSettings, VectorBlock } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastSet, ReadPrompt } from './contrast.ts';
import { CostMeter, strengthFor } from './cost.ts';
import { SteerBench } from './dose-bench.ts';
import { type Beside, checkLora, type LoraInput, loraPoints } from './lora.ts';
import { rankedBlocks } from './ranking.ts';
import { lengthOf } from './rows.ts';

/** What a curve is measured on. */
export interface DoseInput {
  readonly vectors: ReadonlyMap<number, Float32Array>;
  readonly blocks: readonly VectorBlock[];
  /** Pairs that no direction was made of. */
  readonly held: ContrastSet;
  /** Prompts that are steered. Defaults to the held-out negative ones, or positive where strengths are below 0. */
  readonly prompts?: readonly ReadPrompt[] | undefined;
  /** Neutral prompts; the cost is measured on them. Defaults to the prompts that are steered. */
  readonly neutral?: readonly ReadPrompt[];
  /** What a completion must hold, or match, to count. Without it the shift of the last block's projection is the effect. */
  readonly marks?: { readonly phrase?: string; readonly pattern?: string };
  /** A sentence that asks for the same: what a prompt does at what cost, beside the vectors. `within`: token ids of a prompt with it. */
  readonly ask?:
    | { readonly text: string; readonly within: (prompt: ReadPrompt) => readonly number[] }
    | undefined;
  /** Pairs to train a LoRA on, and who trains it; wanted where the settings have `lora`. */
  readonly lora?: LoraInput;
}

/** A curve and the point to take. */
export interface DoseResult {
  readonly report: DoseReport;
  readonly recommended: { readonly block: number; readonly alpha: number; readonly reason: string };
}

/**
 * Strengths above 0 push negative prompts towards positive, strengths below 0 positive ones towards negative; one list has one sign.
 *
 * @throws InputError for strengths of both signs, and where no pair was held out
 */
export async function doseCurve(
  model: LanguageModel,
  input: DoseInput,
  settings: DoseSettings,
  env: ExperimentEnv,
): Promise<DoseResult> {
  const { alphas, budgets, bound } = settings;
  const up = alphas.every((a) => a > 0);
  if (!up && !alphas.every((a) => a < 0))
    throw new InputError(`dose ${alphas.join(', ')}: wanted strengths of one sign, 0 apart`, {
      id: 'option-invalid',
    });
  const steered = (input.prompts ?? (up ? input.held.negative : input.held.positive)).slice(
    0,
    settings.prompts,
  );
  if (steered.length === 0)
    throw new InputError('dose: wanted prompts to steer, and no pairs were held out; give more pairs', {
      id: 'data-missing',
    });
  const lora = settings.lora && input.lora && { ...input.lora, settings: settings.lora };
  if (lora !== undefined) checkLora(lora.train, settings);
  const { signal } = env;
  const neutral = (input.neutral ?? steered).slice(0, settings.neutral);
  const plain = neutral.map(({ ids }) => ids);
  const meter = await CostMeter.open(model, plain, { tokens: settings.continuation, batch: 4, signal });
  const bench = await SteerBench.open(model, steered, { ...input, ...settings, signal });
  const chosen = rankedBlocks(input.blocks, model.nLayers).slice(0, settings.blocks);
  const arms = (block: number) => armsOf(input.vectors.get(block)!, env.rng.fork(`random of block ${block}`));
  const points: DosePoint[] = [
    await pointOf({ arm: 'none', block: chosen[0].block, alpha: 0 }, chosen[0], bench, meter),
  ];
  const total =
    chosen.length * alphas.length * 2 + budgets.length * 2 + (lora === undefined ? 0 : budgets.length + 1);
  let measured = 0;
  const done = (): void => env.progress({ stage: 'dose', done: ++measured, total, unit: 'points' });
  for (const entry of chosen)
    for (const alpha of alphas)
      for (const [arm, v] of arms(entry.block)) {
        points.push(await pointOf({ arm, block: entry.block, alpha, v }, entry, bench, meter));
        done();
      }
  for (const budget of budgets)
    for (const [arm, v] of arms(chosen[0].block)) {
      const { block } = chosen[0];
      const sign = up ? 1 : -1;
      const found = await strengthFor(
        budget,
        async (alpha) => (await meter.measure({ block, delta: scaled(v, sign * alpha) })).per_token,
      );
      points.push(
        await pointOf({ arm, block, alpha: sign * found.alpha, v, budget }, chosen[0], bench, meter),
      );
      done();
    }
  const { ask } = input;
  const beside = { bench, meter, block: chosen[0].block };
  if (ask !== undefined && up) points.push(await askedPoint(ask, { ...beside, steered, neutral }));
  const taught =
    lora &&
    (await loraPoints(model, { ...lora, ...beside }, { budgets, lora: lora.settings }, { ...env, done }));
  points.push(...(taught?.points ?? []));
  const report: DoseReport = {
    effect: bench.effect,
    prompts: steered.length,
    neutral_prompts: meter.texts,
    bound,
    ask: up ? ask?.text : undefined,
    lora: taught?.training,
    points,
  };
  return { report, recommended: recommendedPoint(report) };
}

/** The point to take: within the bound, the least cost among those whose effect is within 2 % of the largest. */
export function recommendedPoint({ points, bound, effect }: DoseReport): DoseResult['recommended'] {
  const plain = points.find(({ arm }) => arm === 'none');
  const size = (point: DosePoint | undefined): number => {
    if (point === undefined) return 0;
    if (effect === 'shift') return Math.abs(point.effect.shift ?? 0);
    return Math.abs((point.effect.share?.value ?? 0) - (plain?.effect.share?.value ?? 0));
  };
  const own = points.filter(({ arm }) => arm === 'vector');
  const affordable = own.filter(({ cost }) => cost.per_token <= bound);
  const cheapest = (list: readonly DosePoint[]): DosePoint =>
    list.reduce((a, b) => (b.cost.per_token < a.cost.per_token ? b : a));
  const most = Math.max(0, ...affordable.map(size));
  const point =
    affordable.length === 0 ? cheapest(own) : cheapest(affordable.filter((p) => size(p) >= 0.98 * most));
  const { block, alpha, budget, cost } = point;
  const random = points.find(
    (p) =>
      p.arm === 'random' &&
      p.block === block &&
      (budget === undefined ? p.alpha === alpha : p.budget === budget),
  );
  const nats = `${short(cost.per_token)} nats per token`;
  const figures =
    effect === 'share'
      ? `${percent(point)} of completions show it (${percent(plain)} unsteered, ${percent(random)} with a random direction), at ${nats}`
      : `it moves the last block by ${short(point.effect.shift ?? 0)} of the distance between the means (a random direction by ${short(random?.effect.shift ?? 0)}), at ${nats}`;
  const why =
    affordable.length > 0 && most === 0
      ? `no strength for at most ${bound} nats per token has an effect (try others, another position, or more pairs); this is the cheapest`
      : affordable.length === 0
        ? `no strength costs ${bound} nats per token or less; this is the cheapest`
        : `the strongest effect for at most ${bound} nats per token`;
  return { block, alpha, reason: `${why}: ${figures}` };
}

interface PointSpec {
  readonly arm: DosePoint['arm'];
  readonly block: number;
  readonly alpha: number;
  readonly budget?: number;
  /** Vector of the arm; none for no steering. */
  readonly v?: Float32Array;
}

async function pointOf(
  { arm, block, alpha, budget, v }: PointSpec,
  { norm, mean_norm }: VectorBlock,
  bench: SteerBench,
  meter: CostMeter,
): Promise<DosePoint> {
  const push = v && { block, delta: scaled(v, alpha) };
  return {
    arm,
    block,
    alpha,
    relative_dose: mean_norm === undefined ? 0 : (Math.abs(alpha) * norm) / mean_norm,
    budget,
    effect: await bench.measure(push),
    cost: push === undefined ? { next_token: 0, per_token: 0 } : await meter.measure(push),
  };
}

/** The prompts with the sentence in them, unsteered. */
async function askedPoint(
  { within }: NonNullable<DoseInput['ask']>,
  { bench, meter, block, steered, neutral }: Beside & Record<'steered' | 'neutral', readonly ReadPrompt[]>,
): Promise<DosePoint> {
  const effect = await bench.measureAsked(steered.map(within));
  const cost = await meter.measureAsked(neutral.map(within));
  return { arm: 'asked', block, alpha: 0, relative_dose: 0, effect, cost };
}

/** The vector, and a random direction of its length. */
function armsOf(v: Float32Array, rng: Rng): ['vector' | 'random', Float32Array][] {
  const noise = Float32Array.from(v, () => rng.normal());
  return [
    ['vector', v],
    ['random', scaled(noise, lengthOf(v) / lengthOf(noise))],
  ];
}

function scaled(v: Float32Array, factor: number): Float32Array {
  return v.map((x) => factor * x);
}

function percent(point: DosePoint | undefined): string {
  return point?.effect.share === undefined ? '–' : `${Math.round(100 * point.effect.share.value)} %`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(2)));
}
