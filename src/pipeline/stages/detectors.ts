/** @file The detectors and judges of a recipe before anything runs: what they need is there. */
import type { DetectorParams, DetectorSettings, OnnxJudgeParams, Recipe } from '../../contracts/index.ts';
import { apiKeyOf, locateOnnxJudge, locateTextModel, readClassifierFiles } from '../../evaluate/index.ts';

/** A detector as the stages take it. */
interface PlannedDetector {
  readonly detector: DetectorParams | undefined;
  /** Folder of the classifier. */
  readonly classifier?: string | undefined;
}

/** What the report must say of how completions are read; nothing where a phrase or pattern tells them. */
export function detectorNotes(detector: DetectorParams | undefined): string[] {
  return detector === undefined ? [] : [(told[detector.kind] as (d: DetectorParams) => string)(detector)];
}

const told: { readonly [K in DetectorParams['kind']]: (d: Extract<DetectorParams, { kind: K }>) => string } =
  {
    'multiple-choice': () =>
      'A completion shows the behaviour where the behaviour’s answer has the larger logit of the two answers of its row, at the first token in which they differ. The logit shift is that of the same two tokens.',
    classifier: ({ label, threshold }) =>
      `A completion shows the behaviour where a local classifier’s score${label === undefined ? '' : ` of the label “${label}”`} is at least ${threshold}.`,
    judge: ({ model, question }) =>
      `A completion shows the behaviour where ${model} answers yes to “${question}”. Its answers are not checked by anyone: read samples.`,
  };

/** Throws InputError for a file that is missing or that cannot be used, and for a key that is not set. `where` begins the latter's message. */
export async function planDetector(
  settings: DetectorSettings | undefined,
  where: string,
): Promise<PlannedDetector> {
  if (settings?.kind === 'judge') apiKeyOf(settings.api_key_env, where);
  if (settings?.kind !== 'classifier') return { detector: settings };
  const { model, ...reading } = settings;
  const place = await locateTextModel(model, 'classifier');
  await readClassifierFiles(place, reading);
  return { detector: { ...reading, file: place.file }, classifier: place.folder };
}

/** Judges that are local ONNX models, each with its folder. Throws InputError for a file that is missing or that cannot be used. */
export async function planOnnxJudges({
  fidelity,
}: Pick<Recipe, 'fidelity'>): Promise<{ readonly folder: string; readonly params: OnnxJudgeParams }[]> {
  const planned: { folder: string; params: OnnxJudgeParams }[] = [];
  for (const { model, name, ...reading } of fidelity ? fidelity.onnx : []) {
    const place = await locateOnnxJudge(model, reading);
    planned.push({
      folder: place.folder,
      params: { ...reading, name: name ?? reading.kind, file: place.file },
    });
  }
  return planned;
}
