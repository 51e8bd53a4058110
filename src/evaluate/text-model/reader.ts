/** @file Texts as a model reads them: rows of ids, cut to a length, the special tokens of the tokenizer's template kept. */
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, parseJson, readTextFile } from '../../base/index.ts';
import { loadTokenizer, type Tokenizer } from '../../models/index.ts';
import { isFile, refusePointer, type TextModelPlace, type TextModelRole, textModelError } from './place.ts';
import type { TextRow } from './text-model.ts';

/** Reads texts for one model. */
export interface TextReader {
  /** The beginning of a text. Without ids where neither the text nor the template has any. */
  row(text: string): TextRow;
  /** Two texts; the longer one is cut first. Throws InputError for a tokenizer that knows single texts only. */
  pair(first: string, second: string): TextRow;
}

/**
 * The reader of a model's files; a row has at most `most` tokens, and no more than the model has positions for. Throws InputError for
 * files that are missing, are Git LFS pointers, or hold a tokenizer that cannot be run.
 */
export async function openReader(
  place: TextModelPlace,
  role: TextModelRole,
  most: number,
): Promise<TextReader> {
  const { folder } = place;
  await refusePointer(place, role);
  const path = join(folder, 'tokenizer.json');
  if (!(await isFile(path)))
    throw textModelError(
      role,
      `${path}: wanted the model's tokenizer, found nothing there; export the model with docs/how-to/export_judge.py, or let transformers write it: AutoTokenizer.from_pretrained(…).save_pretrained(…)`,
    );
  const tokenizer = await loadTokenizer({ folder });
  const { max_position_embeddings: positions } = await readConfig(folder, role, positionsSchema);
  return readerOf(tokenizer, Math.min(most, positions ?? most), `${role}: ${path}`);
}

const positionsSchema = z.object({ max_position_embeddings: z.int().positive().nullish() });

/** What the schema wants of config.json, which may be missing. */
export async function readConfig<S extends z.ZodType>(
  folder: string,
  role: TextModelRole,
  schema: S,
): Promise<z.output<S>> {
  const path = join(folder, 'config.json');
  const given: unknown = (await isFile(path)) ? parseJson(await readTextFile(path), path) : {};
  const config = schema.safeParse(given);
  if (config.success) return config.data;
  throw textModelError(role, `${path}: ${z.prettifyError(config.error).replace(/\s*\n\s*/g, ' ')}`);
}

/** Of a tokenizer that is open; `where` begins its errors. */
export function readerOf(tokenizer: Tokenizer, most: number, where: string): TextReader {
  const plain = (text: string): number[] => tokenizer.encodeIds(text, { addSpecialTokens: false });
  const joined = (first: readonly number[], second: readonly number[]): TextRow => {
    const row = tokenizer.join(first, second);
    if (row === undefined)
      throw new InputError(
        `${where}: wanted a post_processor that joins two texts, as BERT’s does, found none; take another model`,
        { id: 'classifier-invalid' },
      );
    return row;
  };
  const roomBeside = (marks: readonly number[]): number => {
    if (marks.length < most) return most - marks.length;
    throw new InputError(
      `${where}: wanted max_tokens above the ${marks.length} special tokens of a row, got ${most}`,
      { id: 'classifier-invalid' },
    );
  };
  return {
    row(text) {
      const room = roomBeside(tokenizer.surround([]));
      return { ids: tokenizer.surround(plain(text).slice(0, room)) };
    },
    pair(first, second) {
      const [a, b] = [plain(first), plain(second)];
      const room = roomBeside(joined([], []).ids);
      const [n, m] = longestFirst(a.length, b.length, room);
      return joined(a.slice(0, n), b.slice(0, m));
    },
  };
}

/** Tokens kept of two texts: the longer loses its end until both fit, as `truncation="longest_first"` of transformers' fast tokenizers does. */
function longestFirst(first: number, second: number, room: number): [first: number, second: number] {
  if (first + second <= room) return [first, second];
  const short = Math.min(first, second, Math.floor(room / 2));
  return first <= second ? [short, room - short] : [room - short, short];
}
