/** @file What a file or folder offers a steering page: vectors by block, or a whole intervention document. Numbers, not the vectors themselves. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { InputError, parseJson, readTextLimited } from '../base/index.ts';
import { parseIntervention, type VectorBlock, vectorRecordSchema } from '../contracts/index.ts';
import { norm, readVectorFolder } from '../interventions/index.ts';

/** Vectors by block, as a page shows them. */
export interface VectorFileInfo {
  readonly kind: 'vectors';
  /** The model they steer; unknown for a bare file. */
  readonly model?: { readonly name: string; readonly sha256: string; readonly width: number };
  readonly method?: string;
  readonly blocks: readonly Pick<VectorBlock, 'block' | 'norm' | 'relative_dose' | 'separability'>[];
  readonly recommended?: { readonly block: number; readonly alpha: number };
}

/** A whole document, as a page shows it. */
export interface DocumentFileInfo {
  readonly kind: 'document';
  readonly name?: string;
  /** Name of the model it was made for. */
  readonly model?: string;
  readonly edits: number;
  readonly ops: readonly string[];
}

export type SteerFileInfo = VectorFileInfo | DocumentFileInfo;

/** Most bytes read of a record or document for its description. */
const LARGEST = 4 << 20;

/**
 * Look at a folder of `crosspatch vector`, a file of vectors (`.safetensors`, `.gguf`), or an intervention document (`.json`).
 *
 * @throws InputError for anything else
 */
export async function describeSteerFile(path: string): Promise<SteerFileInfo> {
  if (path.endsWith('.json')) return describeDocument(path);
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    (cause: unknown) => {
      throw new InputError(`${path}: no such file or folder; wanted vectors or an intervention`, {
        id: 'file-unreadable',
        cause,
      });
    },
  );
  return isFolder ? describeFolder(path) : describeVectors(path);
}

async function describeFolder(path: string): Promise<VectorFileInfo> {
  const file = join(path, 'vector.json');
  const text = await readTextLimited(file, LARGEST);
  const parsed = vectorRecordSchema.safeParse(parseJson(text, file));
  if (!parsed.success)
    throw new InputError(`${file}: does not fit (${parsed.error.issues[0]?.message})`, {
      id: 'vector-invalid',
    });
  const { model, method, blocks, recommended } = parsed.data;
  return {
    kind: 'vectors',
    model: { name: model.name, sha256: model.sha256, width: model.width },
    method,
    blocks: blocks.map(({ block, norm, relative_dose, separability }) => ({
      block,
      norm,
      relative_dose,
      separability,
    })),
    recommended: { block: recommended.block, alpha: recommended.alpha },
  };
}

async function describeVectors(path: string): Promise<VectorFileInfo> {
  const { vectors } = await readVectorFolder(path);
  return { kind: 'vectors', blocks: [...vectors].map(([block, values]) => ({ block, norm: norm(values) })) };
}

async function describeDocument(path: string): Promise<DocumentFileInfo> {
  const where = basename(path);
  const document = parseIntervention(parseJson(await readTextLimited(path, LARGEST), where), where);
  return {
    kind: 'document',
    name: document.name,
    model: document.model,
    edits: document.interventions.length,
    ops: [...new Set(document.interventions.map(({ op }) => op))],
  };
}
