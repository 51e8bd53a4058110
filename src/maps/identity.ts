/** @file `identity`: ŷ = x, for two models of one width: how easy is the pair? */
import { InputError } from '../base/index.ts';
import type { FitContext, FitData, Fitted } from './fit.ts';
import type { MapBody } from './map.ts';

export function identityBody(): MapBody {
  return { tensors: {}, parameters: 0, apply: (rows) => rows.slice() };
}

/** @throws InputError when the widths differ */
export async function fitIdentity(data: FitData, _settings: unknown, _context: FitContext): Promise<Fitted> {
  const { dx, dy } = data.train;
  if (dx !== dy)
    throw new InputError(
      `map identity: wanted models of one width, got ${dx} and ${dy}; leave this control out`,
      { id: 'fit-impossible' },
    );
  return { body: identityBody(), rows: 0, seconds: 0, settings: {} };
}
