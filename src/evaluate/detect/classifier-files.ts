/** @file The files of a classifier: where they are, and what they say of its labels, before any of it is run. */
import { open, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError, isLfsPointer, LFS_NEXT, parseJson, readTextFile, showText } from '../../base/index.ts';
import type { DetectorParams } from '../../contracts/index.ts';
import { loadTokenizer, type Tokenizer } from '../../models/index.ts';

/** Settings of a classifier as stages take them. */
export type ClassifierParams = Extract<DetectorParams, { kind: 'classifier' }>;

/** A classifier's folder, and its ONNX file in there. */
export interface ClassifierPlace {
  readonly folder: string;
  readonly file: string;
}

/** Names of the ONNX file in a folder, as Hugging Face's exporters write them. */
const FILES = ['model.onnx', 'onnx/model.onnx'] as const;

/** Where the files of a classifier are; `path` is the ONNX file or a folder. Throws InputError naming the one that is missing. */
export async function locateClassifier(path: string): Promise<ClassifierPlace> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined)
    throw new InputError(`classifier: ${path}: wanted an ONNX file or a folder of one, found nothing there`, {
      id: 'classifier-invalid',
    });
  if (info.isFile()) {
    const folder = dirname(path);
    const beside = await isFile(join(folder, 'tokenizer.json'));
    const inFolderAbove = !beside && (await isFile(join(dirname(folder), 'tokenizer.json')));
    return inFolderAbove
      ? { folder: dirname(folder), file: join(basename(folder), basename(path)) }
      : { folder, file: basename(path) };
  }
  for (const file of FILES) if (await isFile(join(path, file))) return { folder: path, file };
  throw new InputError(`classifier: ${path}: wanted ${FILES.join(' or ')} in it; name the file itself`, {
    id: 'classifier-invalid',
  });
}

/** What is known of a classifier without running it. */
export interface ClassifierFiles {
  readonly tokenizer: Tokenizer;
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
  { folder, file }: ClassifierPlace,
  { label }: Pick<ClassifierParams, 'label'>,
): Promise<ClassifierFiles> {
  await refusePointer(join(folder, file));
  const tokenizer = await loadTokenizer({ folder });
  const path = join(folder, 'config.json');
  const given: unknown = (await isFile(path)) ? parseJson(await readTextFile(path), path) : {};
  const config = configSchema.safeParse(given);
  if (!config.success)
    throw new InputError(`classifier: ${path}: ${z.prettifyError(config.error).replace(/\s*\n\s*/g, ' ')}`, {
      id: 'classifier-invalid',
    });
  const { id2label = {}, problem_type } = config.data;
  const labels = Object.keys(id2label).map((_, i) => id2label[String(i)] ?? '');
  return { tokenizer, label: indexOf(label, labels, folder), labels, problem: problem_type ?? undefined };
}

function indexOf(
  label: string | number | undefined,
  labels: readonly string[],
  folder: string,
): number | undefined {
  if (label === undefined) {
    if (labels.length < 2) return undefined;
    throw new InputError(`classifier: ${folder} has the labels ${names(labels)}; name one under \`label\``, {
      id: 'classifier-invalid',
    });
  }
  const index = typeof label === 'number' ? label : labels.indexOf(label);
  const isKnown = typeof label === 'number' ? labels.length === 0 || label < labels.length : index >= 0;
  if (isKnown) return index;
  const there = labels.length === 0 ? 'config.json names none: give its index' : `there are ${names(labels)}`;
  throw new InputError(`classifier: ${folder} has no label ${showText(String(label))}; ${there}`, {
    id: 'classifier-invalid',
  });
}

function names(labels: readonly string[]): string {
  return labels
    .slice(0, 20)
    .map((name, i) => `${showText(name)} (${i})`)
    .join(', ');
}

async function refusePointer(path: string): Promise<void> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(new Uint8Array(64), 0, 64, 0);
  if (isLfsPointer(buffer.subarray(0, bytesRead)))
    throw new InputError(`classifier: ${path}: wanted an ONNX model, got a Git LFS pointer; ${LFS_NEXT}`, {
      id: 'classifier-invalid',
    });
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
