/**
 * @file `autoencoder` (the authors' word for a one-hidden-layer network, alias `mlp`): ŷ = W₂ ReLU(W₁ x + b₁) + b₂, learnt by gradient.
 */
import { InputError, type Rng } from '../base/index.ts';
import { add, linear, relu } from '../engine/index.ts';
import type { Parameters } from '../train/index.ts';
import { bestRidge, LAMBDAS } from './affine.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import { type Net, trainNet } from './gradient.ts';
import { uniformInit } from './init.ts';
import { type AffineFit, svd } from './linalg.ts';
import { type MapBody, type MapTensor, shownSettings } from './map.ts';
import { momentsOf } from './moments.ts';
import { linearRows, reluInPlace } from './rows.ts';
import { type Scaling, scalingOf } from './scaling.ts';
import { type GradientSettings, scheduleOf } from './schedule.ts';

/** Settings of the kind. */
export interface AutoencoderSettings extends GradientSettings {
  readonly kind: 'autoencoder';
  /** `source` = ds (blog, default), `geometric` = ⌊√(ds·dt)⌋ (paper), `wide` = 4·ds, or a number. */
  readonly hidden?: 'source' | 'geometric' | 'wide' | number | undefined;
  /** Start from the ridge map, as far as `hidden` holds it. Defaults to false. */
  readonly warm_start?: boolean | undefined;
}

/** ŷ = W₂ ReLU(W₁ x + b₁) + b₂ from `encoder.weight` [h,ds], `encoder.bias` [h], `decoder.weight` [dt,h], `decoder.bias` [dt]. */
export function autoencoderBody(tensors: Readonly<Record<string, MapTensor>>): MapBody {
  const w1 = tensors['encoder.weight'];
  const b1 = tensors['encoder.bias'];
  const w2 = tensors['decoder.weight'];
  const b2 = tensors['decoder.bias'];
  const [h, dx] = w1.shape as [number, number];
  const dy = b2.data.length;
  return {
    tensors: { 'encoder.weight': w1, 'encoder.bias': b1, 'decoder.weight': w2, 'decoder.bias': b2 },
    parameters: [w1, b1, w2, b2].reduce((n, t) => n + t.data.length, 0),
    apply: (rows, n) =>
      linearRows(reluInPlace(linearRows(rows, n, w1.data, b1.data, dx, h)), n, w2.data, b2.data, h, dy),
  };
}

export async function fitAutoencoder(
  data: FitData,
  settings: AutoencoderSettings,
  context: FitContext,
): Promise<Fitted> {
  const { gram } = await momentsOf(data.train, leftOut(context.fit, settings.preset === 'blog'), context);
  const { dx, dy } = gram;
  const schedule = scheduleOf(settings, gram.count);
  const scaling = scalingOf(gram, schedule.standardize);
  const h = hiddenWidth(settings.hidden ?? 'source', dx, dy);
  const rng = context.rng.fork('initial weights');
  const parameters: Parameters = new Map([
    ['encoder.weight', uniformInit(h * dx, dx, rng)],
    ['encoder.bias', uniformInit(h, dx, rng)],
    ['decoder.weight', uniformInit(dy * h, h, rng)],
    ['decoder.bias', uniformInit(dy, h, rng)],
  ]);
  const layers = { parameters, dx, h, dy };
  if (settings.warm_start) warmStart(layers, scaling, await ridgeOf(data, context), rng);
  const net: Net = {
    parameters,
    scaling,
    shapes: {
      'encoder.weight': [h, dx],
      'encoder.bias': [h],
      'decoder.weight': [dy, h],
      'decoder.bias': [dy],
    },
    forward: (x, p) => {
      const hidden = relu(add(linear(x, p('encoder.weight')), p('encoder.bias'))); // [N,h]
      return add(linear(hidden, p('decoder.weight')), p('decoder.bias')); // [N,dy]
    },
    body: () => foldNet(layers, scaling),
  };
  const trained = await trainNet(net, data, schedule, context);
  const shown = shownSettings({ ...schedule, hidden: h, warm_start: settings.warm_start });
  return { body: net.body(), rows: gram.count, settings: shown, ...trained };
}

/** Number of hidden units. */
export function hiddenWidth(
  hidden: NonNullable<AutoencoderSettings['hidden']>,
  dx: number,
  dy: number,
): number {
  const named = { source: dx, geometric: Math.floor(Math.sqrt(dx * dy)), wide: 4 * dx };
  const h = typeof hidden === 'number' ? hidden : named[hidden];
  if (!Number.isInteger(h) || h < 1)
    throw new InputError(`map autoencoder: wanted hidden ≥ 1, got ${hidden}`, { id: 'setting-invalid' });
  return h;
}

/** The network's tensors and sizes. */
interface Layers {
  readonly parameters: Parameters;
  readonly dx: number;
  readonly h: number;
  readonly dy: number;
}

/** The best ridge map of the same rows. */
async function ridgeOf(data: FitData, context: FitContext): Promise<AffineFit> {
  const leaveOut = leftOut(context.fit);
  const { gram } = await momentsOf(data.train, leaveOut, context);
  return bestRidge(gram, (await momentsOf(data.validation, leaveOut, context)).gram, LAMBDAS).best;
}

/**
 * Put the ridge map into the network: with the SVD W = Σ s u vᵀ, two hidden units a direction, ReLU(vᵀx) − ReLU(−vᵀx) = vᵀx, for the
 * ⌊h/2⌋ strongest. Spare units keep their random input and no output.
 */
function warmStart(
  { parameters, dx, h, dy }: Layers,
  { meanX, scaleX, meanY, scaleY }: Scaling,
  ridge: AffineFit,
  rng: Rng,
): void {
  const inside = new Float64Array(dx * dy); // W in scaled units
  const bias = new Float64Array(dy);
  for (let j = 0; j < dy; j++) {
    let offset = ridge.bias[j] - meanY[j];
    for (let k = 0; k < dx; k++) {
      const w = ridge.weight[j * dx + k];
      inside[j * dx + k] = (w * scaleX[k]) / scaleY[j];
      offset += w * meanX[k];
    }
    bias[j] = offset / scaleY[j];
  }
  const { values, left, right } = svd(inside, dy, dx);
  const encoder = parameters.get('encoder.weight') as Float32Array;
  const decoder = parameters.get('decoder.weight') as Float32Array;
  decoder.fill(0);
  (parameters.get('encoder.bias') as Float32Array).fill(0);
  (parameters.get('decoder.bias') as Float32Array).set(bias);
  const kept = Math.min(Math.floor(h / 2), values.length);
  for (let r = 0; r < kept; r++) {
    const root = Math.sqrt(values[r]);
    for (const [unit, sign] of [
      [2 * r, 1],
      [2 * r + 1, -1],
    ] as const) {
      for (let k = 0; k < dx; k++) encoder[unit * dx + k] = sign * root * right[r * dx + k];
      for (let j = 0; j < dy; j++) decoder[j * h + unit] = sign * root * left[r * dy + j];
    }
  }
  encoder.set(uniformInit((h - 2 * kept) * dx, dx, rng), 2 * kept * dx);
}

/** From scaled to raw units: the first layer takes x̄ and σ_x in, the second gives σ_y and ȳ out. */
function foldNet({ parameters, dx, h, dy }: Layers, { meanX, scaleX, meanY, scaleY }: Scaling): MapBody {
  const get = (name: string): Float32Array => parameters.get(name) as Float32Array;
  const w1 = new Float32Array(h * dx);
  const b1 = new Float32Array(h);
  for (let u = 0; u < h; u++) {
    let offset = get('encoder.bias')[u];
    for (let k = 0; k < dx; k++) {
      const w = get('encoder.weight')[u * dx + k] / scaleX[k];
      w1[u * dx + k] = w;
      offset -= w * meanX[k];
    }
    b1[u] = offset;
  }
  const w2 = Float32Array.from(get('decoder.weight'), (w, p) => w * scaleY[Math.floor(p / h)]);
  const b2 = Float32Array.from(get('decoder.bias'), (b, j) => b * scaleY[j] + meanY[j]);
  return autoencoderBody({
    'encoder.weight': { shape: [h, dx], data: w1 },
    'encoder.bias': { shape: [h], data: b1 },
    'decoder.weight': { shape: [dy, h], data: w2 },
    'decoder.bias': { shape: [dy], data: b2 },
  });
}
