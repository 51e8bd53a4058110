/** @file The detector of a behaviour: by its phrases or pattern, or as its recipe says (docs/concepts/method.md#detectors). */
import { behaviourFrom } from '../../behaviours/index.ts';
import type { BehaviourParams, DetectorParams } from '../../contracts/index.ts';
import { choiceDetector } from './choice.ts';
import { type Detector, textDetector } from './detector.ts';

/** Open the detector that reads completions of `behaviour`. */
export function openDetector(behaviour: BehaviourParams): Detector {
  const { detector } = behaviour;
  if (detector === undefined) return textDetector(behaviourFrom(behaviour).detect);
  return openers[detector.kind](detector);
}

const openers: { readonly [K in DetectorParams['kind']]: (settings: DetectorParams) => Detector } = {
  'multiple-choice': () => choiceDetector,
};
