/** @file `affine-sgd`: ŷ = W x + b learnt by gradient, the authors' way (preset `blog`) or tuned. The closed form bounds what it can reach. */
import { add, linear } from '../engine/index.ts';
import type { Parameters } from '../train/index.ts';
import { affineOf } from './affine.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import { type Net, trainNet } from './gradient.ts';
import { uniformInit } from './init.ts';
import { shownSettings } from './map.ts';
import { momentsOf } from './moments.ts';
import { type Scaling, scalingOf } from './scaling.ts';
import { type GradientSettings, scheduleOf } from './schedule.ts';

/** Settings of the kind. */
export interface AffineSgdSettings extends GradientSettings {
  readonly kind: 'affine-sgd';
}

export async function fitAffineSgd(
  data: FitData,
  settings: AffineSgdSettings,
  context: FitContext,
): Promise<Fitted> {
  const { gram } = await momentsOf(data.train, leftOut(context.fit, settings.preset === 'blog'), context);
  const schedule = scheduleOf(settings, gram.count);
  const scaling = scalingOf(gram, schedule.standardize);
  const rng = context.rng.fork('initial weights');
  const { dx, dy } = gram;
  const parameters: Parameters = new Map([
    ['decoder.weight', uniformInit(dx * dy, dx, rng)],
    ['decoder.bias', uniformInit(dy, dx, rng)],
  ]);
  const net: Net = {
    parameters,
    scaling,
    shapes: { 'decoder.weight': [dy, dx], 'decoder.bias': [dy] },
    forward: (x, p) => add(linear(x, p('decoder.weight')), p('decoder.bias')),
    body: () => affineOf(foldAffine(parameters, scaling, dx, dy), dx, dy),
  };
  const trained = await trainNet(net, data, schedule, context);
  return { body: net.body(), rows: gram.count, settings: shownSettings({ ...schedule }), ...trained };
}

/** From scaled to raw units: W_raw = σ_y W / σ_x, b_raw = σ_y b + ȳ − W_raw x̄. */
function foldAffine(
  parameters: Parameters,
  { meanX, scaleX, meanY, scaleY }: Scaling,
  dx: number,
  dy: number,
): { weight: Float64Array; bias: Float64Array } {
  const w = parameters.get('decoder.weight') as Float32Array;
  const b = parameters.get('decoder.bias') as Float32Array;
  const weight = new Float64Array(dx * dy);
  const bias = new Float64Array(dy);
  for (let j = 0; j < dy; j++) {
    let offset = scaleY[j] * b[j] + meanY[j];
    for (let k = 0; k < dx; k++) {
      const p = j * dx + k;
      weight[p] = (scaleY[j] * w[p]) / scaleX[k];
      offset -= weight[p] * meanX[k];
    }
    bias[j] = offset;
  }
  return { weight, bias };
}
