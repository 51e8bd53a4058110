/** @file The detector of a behaviour: by its phrases or pattern, or as its recipe says (docs/concepts/method.md#detectors). */
import { CrosspatchError, type Owned } from '../../base/index.ts';
import { behaviourFrom } from '../../behaviours/index.ts';
import type { BehaviourParams, DetectorParams } from '../../contracts/index.ts';
import { choiceDetector } from './choice.ts';
import { openClassifier } from './classifier.ts';
import { type Detector, textDetector } from './detector.ts';
import { judgeDetector } from './judge.ts';

/** What a detector may need besides its settings. */
export interface DetectorEnv {
  /** Folder of the classifier, where the behaviour has one. */
  readonly classifier?: string | undefined;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A detector that may hold a model. Dispose of it. */
export type OpenDetector = Detector & Owned;

/** Open the detector that reads completions of `behaviour`. */
export async function openDetector(behaviour: BehaviourParams, env: DetectorEnv): Promise<OpenDetector> {
  const { detector } = behaviour;
  if (detector === undefined) return holdingNothing(textDetector(behaviourFrom(behaviour).detect));
  // The table is exhaustive over kinds; TypeScript cannot tie one key to one entry here.
  return (openers[detector.kind] as Opener<DetectorParams>)(detector, env);
}

type Opener<P> = (settings: P, env: DetectorEnv) => Promise<OpenDetector>;

const openers: { readonly [K in DetectorParams['kind']]: Opener<Extract<DetectorParams, { kind: K }>> } = {
  'multiple-choice': async () => holdingNothing(choiceDetector),
  classifier: (settings, env) => {
    if (env.classifier === undefined)
      throw new CrosspatchError('detector: no folder of the classifier was given', { id: 'internal' });
    return openClassifier(env.classifier, settings, env);
  },
  judge: async (settings, { signal }) => holdingNothing(judgeDetector(settings, { signal })),
};

function holdingNothing(detector: Detector): OpenDetector {
  return { ...detector, [Symbol.asyncDispose]: async () => {} };
}
