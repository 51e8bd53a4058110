/** @file The files of a model that reads texts (a classifier, a judge) in ONNX: where they are, before any of it is run. */
import { open, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorLine, InputError, isLfsPointer, LFS_NEXT } from '../../base/index.ts';

/** A model's folder, and its ONNX file in there. */
export interface TextModelPlace {
  readonly folder: string;
  readonly file: string;
}

/** What it is for: begins every message. */
export type TextModelRole = 'classifier' | 'judge';

/** Names of the ONNX file in a folder, as Hugging Face's exporters write them. */
const FILES = ['model.onnx', 'onnx/model.onnx'] as const;

/** An error of such a model. */
export function textModelError(role: TextModelRole, message: string): InputError {
  return new InputError(`${role}: ${message}`, { id: 'classifier-invalid' });
}

/** Where the files are; `path` is the ONNX file or a folder. Throws InputError naming the one that is missing. */
export async function locateTextModel(path: string, role: TextModelRole): Promise<TextModelPlace> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined)
    throw textModelError(role, `${path}: wanted an ONNX file or a folder of one, found nothing there`);
  if (info.isFile()) {
    const folder = dirname(path);
    const beside = await isFile(join(folder, 'tokenizer.json'));
    const inFolderAbove = !beside && (await isFile(join(dirname(folder), 'tokenizer.json')));
    return inFolderAbove
      ? { folder: dirname(folder), file: join(basename(folder), basename(path)) }
      : { folder, file: basename(path) };
  }
  for (const file of FILES) if (await isFile(join(path, file))) return { folder: path, file };
  throw textModelError(role, `${path}: wanted ${FILES.join(' or ')} in it; name the file itself`);
}

/** Throws InputError where the file is a Git LFS pointer. */
export async function refusePointer({ folder, file }: TextModelPlace, role: TextModelRole): Promise<void> {
  const path = join(folder, file);
  await using handle = await open(path).catch((cause: unknown) => {
    throw textModelError(role, `${path}: wanted an ONNX model that can be read, got ${errorLine(cause)}`);
  });
  const { buffer, bytesRead } = await handle.read(new Uint8Array(64), 0, 64, 0);
  if (isLfsPointer(buffer.subarray(0, bytesRead)))
    throw textModelError(role, `${path}: wanted an ONNX model, got a Git LFS pointer; ${LFS_NEXT}`);
}

export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
