/** @file Speed of running a model: prefill, decoding, capture, loading, memory; each as a share of the limit measured beside it. */
import type { Rng } from '../../base/index.ts';
import {
  allTensors,
  decodeSteps,
  EMBED,
  HEAD,
  HookTable,
  LanguageModel,
  nextLogits,
  reading,
} from '../../models/index.ts';
import { bestProduct, bestRead } from './roofline.ts';
import { interleaved } from './timing.ts';

/** Rows and tokens of the prefill that is timed. */
export const PREFILL = { rows: 16, tokens: 64 } as const;

/** Figures of {@link benchInference}; rates a second, sizes in bytes. */
export interface InferenceFigures {
  readonly gemm: { readonly probe: string; readonly flops: number };
  readonly read: { readonly probe: string; readonly bytes: number };
  readonly prefill: { readonly tokens: number; readonly flops: number; readonly share: number };
  readonly decode_1: { readonly tokens: number; readonly bytes: number; readonly share: number };
  readonly decode_16: { readonly tokens: number; readonly times_decode_1: number };
  /** Capturing the residual stream after every block, over plain prefill, less 1. */
  readonly capture_overhead: number;
  readonly load_seconds: number;
  readonly memory: {
    readonly high_water: number;
    readonly weights_f32: number;
    readonly kv: number;
    readonly ratio: number;
  };
}

/** Measure a model on disk, alone in a fresh process: the high-water mark is the process's. `rounds` turns a comparison. */
export async function benchInference(
  path: string,
  options: { readonly rounds: number; readonly rng: Rng; readonly signal: AbortSignal },
): Promise<InferenceFigures> {
  const { rounds, rng, signal } = options;
  // Measured on what was loaded first, as in any other program: memory that was used and freed before lies in scattered pages.
  const figures = await measure(path, rounds, rng, signal);
  const loading = performance.now();
  await using _again = await LanguageModel.load(path);
  return { ...figures, load_seconds: (performance.now() - loading) / 1000 };
}

async function measure(
  path: string,
  rounds: number,
  rng: Rng,
  signal: AbortSignal,
): Promise<Omit<InferenceFigures, 'load_seconds'>> {
  await using model = await LanguageModel.load(path);
  const { config, decoder } = model;
  const head = config.vocabSize * config.dModel;
  const body = weightsOf(model) - head;
  const prompts = randomPrompts(model, PREFILL.rows, rng);
  const memory = await highWater(model, prompts);
  const plain = { rows: prompts.map((_, b) => b), phase: 'prompt' as const };

  const prefill = (): Promise<number> => prefillOf(model, prompts);
  const capture = async (): Promise<number> => {
    const kept: Float32Array[] = [];
    const names = model.hookNames.filter((name) => name.endsWith('hook_resid_post'));
    const hooks = new HookTable(
      names.map((name) => [name, reading((x) => void kept.push(x.data))] as const),
      model.nLayers,
    );
    await nextLogits(decoder, await decoder.run(decoder.embed(prompts), { hooks }), plain);
    return PREFILL.rows * PREFILL.tokens;
  };
  await prefill();
  await using product = await bestProduct();
  const compute = await interleaved({ gemm: product.task, prefill, capture }, rounds, signal);
  const flopsAToken = (2 * (body * PREFILL.tokens + head)) / PREFILL.tokens;

  await using read = await bestRead(Math.max(256 * 2 ** 20, 4 * (body + head)));
  const decode = (rows: number) => () => decodeColumns(model, prompts.slice(0, rows));
  const memoryBound = await interleaved(
    { read: read.task, one: decode(1), sixteen: decode(16) },
    rounds,
    signal,
  );
  const bytesAToken = 4 * (body + head);
  return {
    gemm: { probe: product.name, flops: compute.rate('gemm') },
    read: { probe: read.name, bytes: memoryBound.rate('read') },
    prefill: {
      tokens: compute.rate('prefill'),
      flops: compute.rate('prefill') * flopsAToken,
      share: compute.ratio('prefill', 'gemm') * flopsAToken,
    },
    decode_1: {
      tokens: memoryBound.rate('one'),
      bytes: memoryBound.rate('one') * bytesAToken,
      share: memoryBound.ratio('one', 'read') * bytesAToken,
    },
    decode_16: {
      tokens: memoryBound.rate('sixteen'),
      times_decode_1: memoryBound.ratio('sixteen', 'one'),
    },
    capture_overhead: compute.ratio('prefill', 'capture') - 1,
    memory,
  };
}

/** Tokens decoded a call, the prompt's own apart. */
export const NEW_TOKENS = 48;

/** Read all prompts at once, to the logits after each; returns their tokens. */
export async function prefillOf(
  { decoder }: LanguageModel,
  prompts: readonly (readonly number[])[],
): Promise<number> {
  const context = { rows: prompts.map((_, b) => b), phase: 'prompt' as const };
  await nextLogits(decoder, await decoder.run(decoder.embed(prompts)), context);
  return prompts.reduce((n, { length }) => n + length, 0);
}

/** Tokens decoded a second × the seconds of the call: prefill is left out of the time by counting only what comes after it. */
export async function decodeColumns(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
): Promise<number> {
  const started = performance.now();
  let first = 0;
  let count = 0;
  for await (const _ of decodeSteps(model.decoder, prompts, { maxNewTokens: NEW_TOKENS + 1 })) {
    count++;
    if (count === prompts.length) first = performance.now();
  }
  const ended = performance.now();
  return ((count - prompts.length) / (ended - first)) * (ended - started);
}

/** Prefill and decode once; what the process has needed until then, loading included. */
async function highWater(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
): Promise<InferenceFigures['memory']> {
  await decodeColumns(model, prompts);
  const { config } = model;
  const weights_f32 = 4 * weightsOf(model);
  const positions = PREFILL.rows * (PREFILL.tokens + NEW_TOKENS + 1);
  const kv = 8 * positions * config.blocks.length * config.nKvHeads * config.headDim;
  const high_water = process.resourceUsage().maxRSS * 1024;
  return { high_water, weights_f32, kv, ratio: high_water / (weights_f32 + kv) };
}

/** Numbers a token passes through: all matrices and gains, the head once, the embedding table only where it is the head. */
function weightsOf({ config }: LanguageModel): number {
  const tensors = allTensors(config);
  let total = 0;
  for (const [name, shape] of tensors)
    if (name !== EMBED || !tensors.has(HEAD)) total += shape.reduce((a, b) => a * b, 1);
  return total;
}

export function randomPrompts({ config }: LanguageModel, rows: number, rng: Rng): number[][] {
  return Array.from({ length: rows }, () =>
    Array.from({ length: PREFILL.tokens }, () => rng.int(config.vocabSize)),
  );
}
