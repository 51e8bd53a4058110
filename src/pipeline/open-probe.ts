/** @file A probe on models and a map given by their folders: opens them, then asks. */
import { type ProbeEvent, type ProbeQuestion, probe } from '../evaluate/index.ts';
import { loadMap } from '../maps/index.ts';
import type { LanguageModel } from '../models/index.ts';

/** Folders of what a probe runs on; source and map are needed for the mapped arm. */
export interface ProbePaths {
  readonly target: string;
  readonly source?: string | undefined;
  readonly map?: string | undefined;
}

/** {@link probe}; models come from `open`, who also closes them. */
export async function* openProbe(
  { target, source, map }: ProbePaths,
  question: ProbeQuestion,
  open: (path: string) => Promise<LanguageModel>,
  signal?: AbortSignal,
): AsyncGenerator<ProbeEvent, void, undefined> {
  yield { type: 'status', message: 'opening the model' };
  const isMapped = question.arms.includes('mapped');
  const models = {
    target: await open(target),
    source: isMapped && source !== undefined ? await open(source) : undefined,
    map: isMapped && map !== undefined ? await loadMap(map) : undefined,
  };
  yield* probe(models, question, signal);
}
