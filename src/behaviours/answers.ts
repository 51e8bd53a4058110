/** @file Answers a model wrote itself, made fit to be learnt: one that met the limit of tokens ends after its last whole sentence. */

/** A full stop after a word (not after a number: `2.` begins a list item), closing marks, then space or the end; or a line end. */
const SENTENCE_END = /\p{L}["'”’)\]]*[.!?]["'”’)\]]*(?=\s|$)|\S(?=\s*\n)/gu;

/**
 * An answer as it is taught. `finish` `length` means the model had more to say: what stands after the last sentence end or line
 * break goes, so that the model does not learn to stop within a sentence. An answer without any stays as it is.
 *
 * @example wholeAnswer('Paris. It is the capi', 'length') // 'Paris.'
 */
export function wholeAnswer(text: string, finish: 'stop' | 'length'): string {
  const answer = text.trim();
  if (finish === 'stop') return answer;
  const last = [...answer.matchAll(SENTENCE_END)].at(-1);
  return last === undefined ? answer : answer.slice(0, last.index + last[0].length);
}
