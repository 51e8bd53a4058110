/** @file `mean`: ŷ = ȳ whatever x is. */
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import type { MapBody, MapTensor } from './map.ts';
import { momentsOf } from './moments.ts';

export function meanBody(tensors: Readonly<Record<string, MapTensor>>): MapBody {
  const { mean } = tensors as { mean: MapTensor };
  const d = mean.data.length;
  return {
    tensors: { mean },
    parameters: d,
    apply: (_rows, n) => {
      const out = new Float32Array(n * d);
      for (let i = 0; i < n; i++) out.set(mean.data, i * d);
      return out;
    },
  };
}

export async function fitMean(data: FitData, _settings: unknown, context: FitContext): Promise<Fitted> {
  const { gram, seconds } = await momentsOf(data.train, leftOut(context.fit), context);
  const mean: MapTensor = { shape: [gram.dy], data: Float32Array.from(gram.meanY) };
  return { body: meanBody({ mean }), rows: gram.count, seconds, settings: {} };
}
