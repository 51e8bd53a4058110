/**
 * @file Activations as other tools exchange them: per text one `{id}.safetensors` with vLLM's keys, `token_ids` [T] and `hidden_states`
 * [T, layers, d]. What the files of others leave open (which layers, whose) stands in the metadata of ours.
 */
import { join } from 'node:path';
import { InputError, withAtomicFolder } from '../base/index.ts';
import { writeSafetensors } from '../models/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { OpenCapture } from './read-capture.ts';

/** The two tensors of a file. */
export const TOKEN_IDS = 'token_ids';
export const HIDDEN_STATES = 'hidden_states';

/** Metadata of our files; those of others have none. */
export const STATED = {
  id: 'id',
  /** Hook names of the `layers` axis, with commas between them. */
  hooks: 'hooks',
  order: 'order',
} as const;
export const TOKENS_FIRST = 'tokens, layers, width';

const EXTENSION = '.safetensors';

/** Longest name of a file that every usual file system takes, bytes. */
const LONGEST_NAME = 255;

/** Write every text of a capture folder as a file of its own. Numbers stay as they are stored. @throws InputError as {@link OpenCapture} */
export async function exportActivations(folder: string, out: string): Promise<CaptureIndex> {
  const capture = await OpenCapture.open(folder);
  const { index } = capture;
  await withAtomicFolder(out, async (aside) => {
    for await (const { id, ids, hidden } of capture.texts())
      await writeSafetensors(
        join(aside, fileOf(id)),
        [
          {
            name: HIDDEN_STATES,
            dtype: index.dtype,
            shape: [ids.length, index.hooks.length, index.d_model],
            data: hidden,
          },
          { name: TOKEN_IDS, dtype: 'I64', shape: [ids.length], data: BigInt64Array.from(ids, BigInt) },
        ],
        {
          format: 'pt',
          [STATED.id]: id,
          [STATED.hooks]: index.hooks.join(','),
          [STATED.order]: TOKENS_FIRST,
          model: index.model,
          model_hash: index.model_hash,
          tokenizer_hash: index.tokenizer_hash,
          made_by: 'crosspatch',
        },
      );
  });
  return index;
}

/** Name of a text's file: its id, with what no file name may hold written as %XX. */
function fileOf(id: string): string {
  const name = encodeURIComponent(id) + EXTENSION;
  if (name.length > LONGEST_NAME)
    throw new InputError(
      `text ${id.slice(0, 40)}…: its id is too long for a file name; give texts shorter ids`,
      {
        id: 'data-invalid',
      },
    );
  return name;
}

/** The id of a text, from the name of a file that does not state it. */
export function idOf(file: string): string {
  return file.slice(0, -EXTENSION.length);
}

/** Whether a file is one of these. */
export function isExchanged(file: string): boolean {
  return file.endsWith(EXTENSION) && !file.startsWith('.');
}
