/** @file What people are told who rate pairs of completions: the scale of the language-model judge, and what to do with hard cases. */
import { rubricGrades } from './rubric.ts';

/** For `pairs` pairs in the file `sheet`. */
export function ratingRules(sheet: string, pairs: number): string {
  return `# How to rate

\`${sheet}\` has ${pairs} pairs of texts, one a line. Copy it to a file of your own name and put a whole number into every "rating". Which text is which you are
not told, and the order is random. Rate alone, from the first to the last, by meaning and not by wording; do not look at another's ratings.

${rubricGrades('1-5')}

- A text may end in the middle of a sentence. Rate what is there; do not guess how it would go on.
- Two refusals, or two requests to say more, are alike in the main (3) whatever they refuse, and 4 or 5 where they refuse the same with the same reason.
- Two answers to one question that contradict each other are 2: they share the topic.
- Broken, repeated or empty text is rated as what it is: against an ordinary sentence it is 1, unless it holds a part of it.
- A fixed phrase that has nothing to do with the other text is 1.
- Leave null where you cannot tell.
`;
}
