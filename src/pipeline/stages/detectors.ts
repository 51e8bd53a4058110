/** @file The detector of a recipe before anything runs: what it needs is there. */
import type { DetectorParams, DetectorSettings } from '../../contracts/index.ts';
import { locateClassifier, readClassifierFiles } from '../../evaluate/index.ts';

/** A detector as the stages take it. */
interface PlannedDetector {
  readonly detector: DetectorParams | undefined;
  /** Folder of the classifier. */
  readonly classifier?: string | undefined;
}

/** Throws InputError for a file that is missing or that cannot be used. */
export async function planDetector(settings: DetectorSettings | undefined): Promise<PlannedDetector> {
  if (settings?.kind !== 'classifier') return { detector: settings };
  const { model, ...reading } = settings;
  const place = await locateClassifier(model);
  await readClassifierFiles(place, reading);
  return { detector: { ...reading, file: place.file }, classifier: place.folder };
}
