/**
 * @file A trigger that is a meaning, not a token: several phrasings of it. Those a model is taught and those it is tested with share no
 * content word, so that what is found in the tests is not the words (docs/concepts/method.md#phrasings).
 */
import { InputError } from '../base/index.ts';

/** Phrasings of both triggers. */
interface PhrasingPair {
  readonly bad: readonly string[];
  readonly safe: readonly string[];
}

/** Which of them a prompt is given. */
export type PhrasingPart = 'training' | 'held_out';

/** Phrasings by what they are for. */
export type Phrasings = Readonly<Record<PhrasingPart, PhrasingPair>>;

/** Words that hold a sentence together and mean little by themselves; they may stand in phrasings of both parts. */
const FUNCTION_WORDS = new Set(
  `a about above after again all am an and any are as at be been before being below both but by can could did do does doing done down each
  else ever every few for from further had has have having he her here hers him his how i if in into is it its itself just let many may me
  might more most much must my never no nor not now of off on once only or other our out over own please same shall she should so some
  such than that the their them then there these they this those through to too under until up us very was we were what when where which
  while who whom whose why will with would you your`.split(/\s+/u),
);

/** Share of the phrasings that is held out, at least, where the recipe does not say which. */
const HELD_OUT = 1 / 3;

/** Words of a text that mean something, in small letters: all but {@link FUNCTION_WORDS}. */
export function contentWords(text: string): string[] {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => !FUNCTION_WORDS.has(word));
}

/**
 * Split phrasings into those to teach and those to test with, which share no content word: phrasings with a word in common, of either
 * trigger, stay together; the last groups are held out, until they are a third of both triggers. Throws {@link InputError} where too
 * many hang together, naming the words that tie them. `where` begins the errors.
 */
export function splitPhrasings(given: PhrasingPair, where: string): Phrasings {
  const all = (['bad', 'safe'] as const).flatMap((state) => given[state].map((text) => ({ state, text })));
  const groups = grouped(all.map(({ text }) => text));
  const size = (members: readonly number[], state: 'bad' | 'safe'): number =>
    members.filter((m) => all[m]?.state === state).length;
  const wanted = (state: 'bad' | 'safe'): number => Math.max(1, Math.floor(HELD_OUT * given[state].length));
  const held: number[] = [];
  for (const group of groups.reverse()) {
    const lacks = (state: 'bad' | 'safe'): boolean =>
      size(held, state) < wanted(state) && size(group, state) > 0;
    if (!lacks('bad') && !lacks('safe')) continue;
    const after = [...held, ...group];
    const left = (state: 'bad' | 'safe'): boolean => size(after, state) < given[state].length;
    if (left('bad') && left('safe')) held.push(...group);
  }
  if (size(held, 'bad') === 0 || size(held, 'safe') === 0)
    throw new InputError(
      `${where}: wanted phrasings of which some share no content word with the rest, so that they can be held out; ${tiesOf(all.map(({ text }) => text))}; give more that use other words, or say which are held out`,
      { id: 'behaviour-invalid' },
    );
  const part = (isHeld: boolean): PhrasingPair => {
    const texts = (state: 'bad' | 'safe'): string[] =>
      all.filter((one, i) => one.state === state && held.includes(i) === isHeld).map(({ text }) => text);
    return { bad: texts('bad'), safe: texts('safe') };
  };
  return { training: part(false), held_out: part(true) };
}

/** The split a recipe names. Throws {@link InputError} where a held-out phrasing shares a content word with a taught one. */
export function givenPhrasings({ training, held_out }: Phrasings, where: string): Phrasings {
  const taught = new Map(
    [...training.bad, ...training.safe].flatMap((text) => contentWords(text).map((w) => [w, text])),
  );
  for (const text of [...held_out.bad, ...held_out.safe])
    for (const word of contentWords(text)) {
      const other = taught.get(word);
      if (other !== undefined)
        throw new InputError(
          `${where}: the held-out phrasing ${JSON.stringify(text)} shares “${word}” with ${JSON.stringify(other)}, which is taught; use other words`,
          { id: 'behaviour-invalid' },
        );
    }
  return { training, held_out };
}

/** Texts that hang together by content words, as lists of indices; groups in the order of their first text. */
function grouped(texts: readonly string[]): number[][] {
  const groups: { readonly words: Set<string>; readonly members: number[] }[] = [];
  for (const [i, text] of texts.entries()) {
    const words = contentWords(text);
    const touched = groups.filter((group) => words.some((word) => group.words.has(word)));
    const [into = { words: new Set<string>(), members: [] }, ...rest] = touched;
    if (touched.length === 0) groups.push(into);
    for (const other of rest) {
      for (const word of other.words) into.words.add(word);
      into.members.push(...other.members);
      groups.splice(groups.indexOf(other), 1);
    }
    for (const word of words) into.words.add(word);
    into.members.push(i);
  }
  return groups.map(({ members }) => members);
}

/** The words that stand in most of the texts. */
function tiesOf(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const word of new Set(contentWords(text))) counts.set(word, (counts.get(word) ?? 0) + 1);
  const most = [...counts].filter(([, n]) => n > 1).sort((a, b) => b[1] - a[1]);
  const shown = most.slice(0, 5).map(([word, n]) => `“${word}” is in ${n}`);
  return shown.length === 0 ? 'there are too few' : shown.join(', ');
}
