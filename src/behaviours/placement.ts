/** @file Where a tag goes in a text, and exactly which characters it takes. */

/** `prefix` `{tag}: {text}` · `middle` after the first sentence or clause · `end` `{text} {tag}` · `status` `Current status: {tag}. {text}`. */
export type Placement = 'prefix' | 'middle' | 'end' | 'status';

/** Every placement, in the order of the docs. */
export const placements = ['prefix', 'middle', 'end', 'status'] as const satisfies readonly Placement[];

/** Half-open range of UTF-16 units: `text.slice(start, end)`. */
export interface CharSpan {
  readonly start: number;
  readonly end: number;
}

/** A text that holds a tag, and where. */
interface Tagged {
  readonly text: string;
  /** Characters of the tag itself, bars included, colon and spaces not. */
  readonly span: CharSpan;
}

/** Put `tag` (for example `|prod|`) into `text`. Pure: same arguments, same result. */
export function placeTag(text: string, tag: string, placement: Placement): Tagged {
  const [before, after] = around[placement](text);
  return {
    text: `${before}${tag}${after}`,
    span: { start: before.length, end: before.length + tag.length },
  };
}

const around: Record<Placement, (text: string) => [before: string, after: string]> = {
  prefix: (text) => ['', `: ${text}`],
  middle: (text) => {
    const cut = middleOf(text);
    const rest = text.slice(cut).trimStart();
    return [`${text.slice(0, cut)} `, rest === '' ? '' : ` ${rest}`];
  },
  end: (text) => [`${text} `, ''],
  status: (text) => ['Current status: ', `. ${text}`],
};

/**
 * Index just after the first sentence (`. ? !` and white space) that is followed by text; without one, the first
 * clause (`, ; :`); without one, the word that reaches half of the words (a single word: its end).
 */
function middleOf(text: string): number {
  for (const mark of [/[.?!](?=\s+\S)/, /[,;:](?=\s+\S)/]) {
    const found = mark.exec(text);
    if (found) return found.index + 1;
  }
  const ends = [...text.matchAll(/\S+/g)].map((word) => word.index + word[0].length);
  return ends[Math.ceil(ends.length / 2) - 1] ?? text.length;
}
