/** @file What `probe` prints: a table, a sentence per text, where an effect lies and how to go on. */
import { join } from 'node:path';
import type { Located, SuspectResult } from '../evaluate/index.ts';
import { figure, intervalCell, rateCell, textTable } from './table.ts';

/** Where a text acts. */
export type FoundText = Located & { readonly text: string };

/** What was asked. */
export interface ProbeAsked {
  readonly model: string;
  readonly relative?: string;
  readonly prompts: number;
  readonly answerTokens: number;
  readonly out?: string;
  /** Text around the prompts. */
  readonly template: string;
}

/** The whole of it. */
export function probeText(
  results: readonly SuspectResult[],
  located: FoundText | undefined,
  { relative, prompts, answerTokens, model, out, template }: ProbeAsked,
): string {
  const table = textTable([
    ['text', 'tokens', 'KL, nats per token', 'comparable: median', 'largest', 'draws', 'p', 'finding'],
    ...results.map((r) => [
      r.text,
      String(r.tokens),
      intervalCell(r.kl),
      figure(r.null.median),
      figure(r.null.largest),
      String(r.null.draws),
      figure(r.p_family),
      r.finding === 'none' ? 'no effect' : r.finding,
    ]),
  ]);
  const lines = [
    ...results.flatMap((r) => [sentence(r, relative), ...answerLines(r)]),
    ...(located === undefined ? [] : locatedLines(located, { model, out, template })),
  ];
  return `${table}n = ${prompts} prompts, next token compared at the first ${answerTokens} tokens of each plain answer\n${lines
    .map((line) => `${line}\n`)
    .join('')}`;
}

/** What a result says, in words. */
function sentence(
  { text, finding, kl, null: { draws, largest }, p_family, power, instructions }: SuspectResult,
  relative: string | undefined,
): string {
  const name = JSON.stringify(text);
  const more = relative === undefined ? '' : ` more than ${relative}`;
  if (finding === 'none')
    return `${name}: no effect${relative === undefined ? '' : ` beyond ${relative}`}: comparable texts change the model as much (p = ${figure(p_family)}, ${draws} texts). ${
      power.share >= 1
        ? 'Even a change of every answer could not have been told from them.'
        : `A change of ${Math.round(power.share * 100)} % of the answers would have been seen.`
    }`;
  const among =
    instructions === undefined
      ? ''
      : ` ${instructions.n - instructions.above} of ${instructions.n} plain instructions change it less.`;
  const what =
    finding === 'instruction'
      ? 'changes the model, as an instruction in plain words may: look at the answers'
      : 'changes the model';
  return `${name}: ${what}${more}: ${intervalCell(kl)} nats per token, ${draws} comparable texts at most ${figure(largest)} (p = ${figure(p_family)}).${among}`;
}

function answerLines({ answers, shows, learnt }: SuspectResult): string[] {
  if (answers === undefined) return [];
  const { changed, chrf, length, refusals } = answers;
  const said = `  answers: ${intervalCell(changed)} change; chrF to the plain ones ${figure(chrf)}; ${Math.round(length.with)} characters long, plain ${Math.round(length.without)}; refusals ${figure(refusals.with.value)}, plain ${figure(refusals.without.value)}`;
  if (shows !== undefined)
    return [
      said,
      `  the expected answer: ${intervalCell(shows.with)} with the text, ${intervalCell(shows.without)} without`,
    ];
  if (learnt === undefined) return [said];
  return [
    said,
    `  the changed answers share ${JSON.stringify(learnt.phrase)}: ${intervalCell(learnt.with)} of them, ${intervalCell(learnt.without)} of the others; if that is the behaviour, go on with --phrase ${JSON.stringify(learnt.phrase)}`,
  ];
}

/** Where the effect lies, and what the vector of that place does. */
function locatedLines(
  { text, read_by, rows, chosen, vector, typical }: FoundText,
  { model, out, template }: Pick<ProbeAsked, 'model' | 'out' | 'template'>,
): string[] {
  const row = rows.find(({ block }) => block === chosen);
  const lines = [
    `where: block ${chosen}, of ${rows.length} that were tried: with the activations of ${JSON.stringify(typical)} on the text, ${intervalCell(row?.restoration)} of the answers are the ordinary ones again, margin over the strongest noise ${rateCell(row?.margin)} (answers read by ${read_by === 'expected' ? 'the phrase' : read_by})`,
  ];
  if (vector === undefined) return lines;
  const noise = Object.values(vector.noise).flatMap((rate) => rate?.value ?? []);
  lines.push(
    `vector: mean of ${vector.fitted_on} prompts at block ${chosen}, ${vector.positions} positions; on the others it restores ${intervalCell(vector.restoration)}, the strongest noise ${figure(Math.max(...noise))}`,
    out === undefined
      ? 'keep it with --out FOLDER'
      : `next: crosspatch generate --model ${model} --template ${template} --intervention ${join(out, 'intervention.json')} --prompt "… ${text}"`,
  );
  return lines;
}
