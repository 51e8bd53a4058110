/** @file What the files of a classifier say of its labels, before any of it is run. */
import { z } from 'zod';
import { showText } from '../../base/index.ts';
import type { DetectorParams } from '../../contracts/index.ts';
import { type TextModelPlace, textModelError } from '../text-model/place.ts';
import { openReader, readConfig, type TextReader } from '../text-model/reader.ts';

/** Settings of a classifier as stages take them. */
export type ClassifierParams = Extract<DetectorParams, { kind: 'classifier' }>;

/** What is known of a classifier without running it. */
export interface ClassifierFiles {
  readonly reader: TextReader;
  /** Index of the label that shows the behaviour; undefined where the recipe names none, which a single output needs not. */
  readonly label: number | undefined;
  /** By index, where config.json names them. */
  readonly labels: readonly string[];
  readonly problem: string | undefined;
}

const configSchema = z.object({
  id2label: z.record(z.string(), z.string()).optional(),
  problem_type: z.string().nullish(),
});

/** Read tokenizer and config. Throws InputError for a tokenizer that cannot be run, and for a label the classifier does not have. */
export async function readClassifierFiles(
  place: TextModelPlace,
  { label, max_tokens }: Pick<ClassifierParams, 'label' | 'max_tokens'>,
): Promise<ClassifierFiles> {
  const { folder } = place;
  const reader = await openReader(place, 'classifier', max_tokens);
  const { id2label = {}, problem_type } = await readConfig(folder, 'classifier', configSchema);
  const labels = Object.keys(id2label).map((_, i) => id2label[String(i)] ?? '');
  return { reader, label: indexOf(label, labels, folder), labels, problem: problem_type ?? undefined };
}

function indexOf(
  label: string | number | undefined,
  labels: readonly string[],
  folder: string,
): number | undefined {
  if (label === undefined) {
    if (labels.length < 2) return undefined;
    throw textModelError('classifier', `${folder} has the labels ${names(labels)}; name one under \`label\``);
  }
  const index = typeof label === 'number' ? label : labels.indexOf(label);
  const isKnown = typeof label === 'number' ? labels.length === 0 || label < labels.length : index >= 0;
  if (isKnown) return index;
  const there = labels.length === 0 ? 'config.json names none: give its index' : `there are ${names(labels)}`;
  throw textModelError('classifier', `${folder} has no label ${showText(String(label))}; ${there}`);
}

function names(labels: readonly string[]): string {
  return labels
    .slice(0, 20)
    .map((name, i) => `${showText(name)} (${i})`)
    .join(', ');
}
