/**
 * @file `shuffled`: the affine map fitted where x comes from the run of a randomly chosen tag of the same text. It knows everything
 * but the tag (docs/concepts/method.md#control-maps), so what it cannot do and `affine` can is the tag's doing.
 */
import { InputError } from '../base/index.ts';
import { LAMBDAS, ridgeOn } from './affine.ts';
import type { FitContext, FitData, Fitted } from './fit.ts';

export async function fitShuffled(data: FitData, _settings: unknown, context: FitContext): Promise<Fitted> {
  if (data.shuffled === undefined)
    throw new InputError('map shuffled: wanted rows made with shuffledTexts (data.shuffled), got none', {
      id: 'fit-impossible',
    });
  return ridgeOn(data.shuffled.train, data.shuffled.validation, LAMBDAS, context);
}
