/**
 * @file The oracle of the training tests: loss and gradients of a whole model in float64, the graphs run by the interpreter
 * (plain loops), the cross entropy and the embedding written out here.
 */
import { gradGraph, input, interpret, type Tensor, tensor } from '../engine/index.ts';
import { EMBED, FINAL_NORM, fillMask, HEAD, type ModelConfig, RopeTable } from '../models/index.ts';
import type { LoraOptions } from './adapters.ts';
import type { Batch } from './batches.ts';
import { blockGraph, blockInputs } from './block-graph.ts';
import { headGraphs } from './head-graph.ts';
import type { Parameters } from './parameters.ts';

type Feeds = Record<string, Tensor>;

/** Loss Σ w·(−ln p) of a batch and the gradients of `scale` · loss, by parameter name and towards the first residual. */
export function oracle(
  c: ModelConfig,
  parameters: Parameters,
  batch: Batch,
  options: {
    readonly lora?: LoraOptions;
    readonly scale?: number;
    readonly chunk?: number;
    /** Start at this block with this residual [B,T,D]. */
    readonly from?: number;
    readonly residual?: Float64Array;
    readonly gradients?: boolean;
  } = {},
): { loss: number; gradients: Map<string, Float64Array>; dInput: Float64Array } {
  const { lora, scale = 1 / batch.totalWeight, from = 0 } = options;
  const [B, T, d] = [batch.segments.length, batch.columns, c.dModel];
  const wide = (name: string): Float64Array => Float64Array.from(parameters.get(name) as Float32Array);
  const graph = blockGraph(c, lora, 'f64');
  const feeds = (layer: number, x: Float64Array): Feeds => ({
    x: tensor('f64', [B, T, d], x),
    ...surroundings(c, batch, layer),
    ...Object.fromEntries(
      blockInputs(c, layer, lora).map((t) => [t.input, tensor('f64', t.shape, wide(t.name))]),
    ),
  });
  const residuals = [options.residual ?? embed(c, wide(EMBED), batch)];
  for (let i = from; i < c.blocks.length; i++)
    residuals.push(only(interpret(graph, feeds(i, residuals.at(-1) as Float64Array)), 'post'));

  const table = c.tied ? EMBED : HEAD;
  const head = headBack(
    c,
    { table: wide(table), gain: wide(FINAL_NORM) },
    residuals.at(-1) as Float64Array,
    batch,
    {
      scale,
      chunk: options.chunk ?? c.vocabSize,
    },
  );
  const gradients = new Map<string, Float64Array>();
  if (options.gradients === false) return { loss: head.loss, gradients, dInput: new Float64Array(0) };
  gradients.set(table, head.dTable).set(FINAL_NORM, head.dGain);
  let dx = head.dx;
  for (let i = c.blocks.length - 1; i >= from; i--) {
    const weights = blockInputs(c, i, lora);
    const back = gradGraph({
      name: 'back',
      forward: graph,
      seeds: { post: input('d_post', 'f64', ['B', 'T', d]) },
      wrt: ['x', ...weights.map((t) => t.input)],
    });
    const out = interpret(back, {
      ...feeds(i, residuals[i - from]),
      d_post: tensor('f64', [B, T, d], dx),
    });
    for (const t of weights) gradients.set(t.name, only(out, `grad.${t.input}`));
    dx = only(out, 'grad.x');
  }
  if (options.from === undefined) {
    const dEmbed = gradients.get(EMBED) ?? new Float64Array(c.vocabSize * d);
    eachToken(batch, (at) => {
      for (let j = 0; j < d; j++) dEmbed[batch.ids[at] * d + j] += c.embedScale * dx[at * d + j];
    });
    gradients.set(EMBED, dEmbed);
  }
  return { loss: head.loss, gradients, dInput: dx };
}

function surroundings(c: ModelConfig, batch: Batch, layer: number): Feeds {
  const [B, T, half] = [batch.segments.length, batch.columns, c.headDim / 2];
  const { window, rope } = c.blocks[layer];
  const mask = new Float64Array(B * T * T);
  fillMask(mask, new Int32Array(B), { queries: T, window });
  const positions = new Int32Array(B * T);
  batch.segments.forEach((row, b) => {
    for (const [start, end] of row)
      for (let t = start; t < end; t++) {
        positions[b * T + t] = t - start;
        mask.fill(-1e9, (b * T + t) * T, (b * T + t) * T + start);
      }
  });
  const [cos, sin] = [new Float64Array(B * T * half), new Float64Array(B * T * half)];
  new RopeTable(rope, c.headDim).fill(positions, cos, sin);
  return {
    mask: tensor('f64', [B, 1, T, T], mask),
    cos: tensor('f64', [B, T, half], cos),
    sin: tensor('f64', [B, T, half], sin),
  };
}

function embed(c: ModelConfig, table: Float64Array, batch: Batch): Float64Array {
  const d = c.dModel;
  const x = new Float64Array(batch.ids.length * d);
  eachToken(batch, (at) => {
    for (let j = 0; j < d; j++) x[at * d + j] = table[batch.ids[at] * d + j] * c.embedScale;
  });
  return x;
}

/** Cross entropy written out; its gradient by the head's graphs, a chunk of the vocabulary at a time. */
function headBack(
  c: ModelConfig,
  weights: { table: Float64Array; gain: Float64Array },
  x: Float64Array,
  batch: Batch,
  { scale, chunk }: { scale: number; chunk: number },
): { loss: number; dx: Float64Array; dTable: Float64Array; dGain: Float64Array } {
  const d = c.dModel;
  const V = c.vocabSize;
  const { at, id, weight } = batch.targets;
  const n = at.length;
  const graphs = headGraphs(c, 'f64');
  const rows = new Float64Array(n * d);
  at.forEach((from, i) => {
    rows.set(x.subarray(from * d, (from + 1) * d), i * d);
  });
  const normFeeds = { x: tensor('f64', [n, d], rows), gain: tensor('f64', [d], weights.gain) };
  const g = only(interpret(graphs.norm, normFeeds), 'g');
  const { loss, lse, slopes } = crossEntropy(g, weights.table, id, weight, d, V, c.logitSoftcap);
  const coefficient = Float64Array.from(weight, (w) => w * scale);
  const dg = new Float64Array(n * d);
  const dTable = new Float64Array(V * d);
  for (let from = 0; from < V; from += chunk) {
    const to = Math.min(V, from + chunk);
    const out = interpret(graphs.back, {
      g: tensor('f64', [n, d], g),
      w: tensor('f64', [to - from, d], weights.table.slice(from * d, to * d)),
      lse: tensor('f64', [n, 1], lse),
      coefficient: tensor('f64', [n, 1], coefficient),
    });
    only(out, 'dg').forEach((v, i) => {
      dg[i] += v;
    });
    dTable.set(only(out, 'dw'), from * d);
  }
  for (let i = 0; i < n; i++)
    for (let j = 0; j < d; j++) {
      const share = coefficient[i] * slopes[i];
      dg[i * d + j] -= share * weights.table[id[i] * d + j];
      dTable[id[i] * d + j] -= share * g[i * d + j];
    }
  const back = interpret(graphs.normBack, { ...normFeeds, dg: tensor('f64', [n, d], dg) });
  const dx = new Float64Array(x.length);
  at.forEach((to, i) => {
    dx.set(only(back, 'dx').subarray(i * d, (i + 1) * d), to * d);
  });
  return { loss, dx, dTable, dGain: only(back, 'dgain') };
}

/** Plain loops: loss, ln Σ exp of every row, and d logit / d z at every label. */
export function crossEntropy(
  g: Float64Array,
  table: Float64Array,
  labels: Int32Array,
  weights: Float32Array,
  d: number,
  V: number,
  cap: number | undefined,
): { loss: number; lse: Float64Array; slopes: Float64Array } {
  const lse = new Float64Array(labels.length);
  const slopes = new Float64Array(labels.length);
  let loss = 0;
  labels.forEach((label, i) => {
    const logits = Float64Array.from({ length: V }, (_, v) => {
      let z = 0;
      for (let j = 0; j < d; j++) z += g[i * d + j] * table[v * d + j];
      return cap === undefined ? z : cap * Math.tanh(z / cap);
    });
    const max = logits.reduce((m, l) => Math.max(m, l));
    lse[i] = max + Math.log(logits.reduce((sum, l) => sum + Math.exp(l - max), 0));
    slopes[i] = cap === undefined ? 1 : 1 - (logits[label] / cap) ** 2;
    loss += weights[i] * (lse[i] - logits[label]);
  });
  return { loss, lse, slopes };
}

const only = (out: Record<string, Tensor>, name: string): Float64Array => out[name].data as Float64Array;

function eachToken(batch: Batch, visit: (at: number) => void): void {
  batch.segments.forEach((row, b) => {
    for (const [start, end] of row) for (let t = start; t < end; t++) visit(b * batch.columns + t);
  });
}

/** Largest difference relative to the largest wanted value. */
export function worstRelative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  let [scale, worst] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    scale = Math.max(scale, Math.abs(want[i]));
    const error = Math.abs(got[i] - want[i]);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return worst / scale;
}
