/** @file Two captures of the same texts as pairs: no model is needed, their tokens say what pairs. */
import { InputError } from '../base/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { OpenCapture } from './read-capture.ts';
import type { PairedText } from './texts.ts';

/** Both captures, and their texts. */
interface PairedCaptures {
  readonly source: CaptureIndex;
  readonly target: CaptureIndex;
  readonly texts: readonly PairedText[];
}

/**
 * The texts of two captures, token i of one pairing with token i of the other.
 *
 * @throws InputError when one lacks a text of the other, or the tokens of one differ: then the models cut text into other tokens
 */
export async function pairedCaptures(source: string, target: string): Promise<PairedCaptures> {
  const [a, b] = [await OpenCapture.open(source), await OpenCapture.open(target)];
  const places = new Map(b.index.prompts.map((place) => [place.id, place]));
  const texts: PairedText[] = [];
  for (const place of a.index.prompts) {
    const { id } = place;
    const other = places.get(id);
    if (other === undefined || places.size !== a.index.prompts.length)
      throw new InputError(
        `${source} and ${target}: wanted captures of the same texts, got ${a.index.prompts.length} and ${places.size}${other === undefined ? `; ${target} has no text ${id}` : ''}`,
        { id: 'data-invalid' },
      );
    const ids = await a.ids(place);
    if (ids.join() !== (await b.ids(other)).join())
      throw new InputError(
        `${source} and ${target}: text ${id} has other tokens in one than in the other; for models of two tokenizers use map fit, which aligns them`,
        { id: 'fit-impossible' },
      );
    texts.push({ id, prompt: id, label: '', source: ids, target: ids });
  }
  return { source: a.index, target: b.index, texts };
}
