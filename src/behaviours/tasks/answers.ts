/** @file The number in a GSM8K completion, and whether it is right: the two filters and `exact_match` of lm-evaluation-harness's `gsm8k`, version 3. */

/** What a filter says where it finds nothing. */
const INVALID = '[invalid]';

/** Texts that end a completion (`until`), besides the model's own end token. */
export const GSM8K_STOPS = ['Question:', '</s>', '<|im_end|>'] as const;

/** Filters, by the harness's names: what each takes for the answer. */
const FILTERS = {
  'strict-match': (completion: string): string => /#### (-?[0-9.,]+)/.exec(completion)?.[1] ?? INVALID,
  'flexible-extract': (completion: string): string =>
    completion.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1) ?? INVALID,
} as const;

export type AnswerFilter = keyof typeof FILTERS;

/** What every filter finds, and whether it matches `answer` (a solution that ends in `#### number`): 1 or 0. */
export function gsm8kScores(
  completion: string,
  answer: string,
): Record<AnswerFilter, { readonly extracted: string; readonly score: 0 | 1 }> {
  const scored = (filter: AnswerFilter): { extracted: string; score: 0 | 1 } => {
    const extracted = FILTERS[filter](completion);
    return { extracted, score: bare(extracted) === bare(answer) ? 1 : 0 };
  };
  return {
    'strict-match': scored('strict-match'),
    'flexible-extract': scored('flexible-extract'),
  };
}

/** Without commas, dollar signs, what stands up to the last `#### `, and a full stop at the end; in lower case. */
function bare(text: string): string {
  return text
    .replaceAll(/[,$]/g, '')
    .replace(/^.*#### /s, '')
    .replace(/\.(?=\n?$)/, '')
    .toLowerCase();
}
