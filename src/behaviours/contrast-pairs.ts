/**
 * @file A behaviour that two kinds of prompt tell apart, with no tag in either: those under which it shows (`bad`) and those like them
 * under which it does not (`safe`). Refusal, tone, language, any published contrast set (docs/concepts/method.md#contrast-prompts).
 */
import { InputError } from '../base/index.ts';
import type { ContrastPair } from './contrast-text.ts';
import { type BackdoorRow, rowTemplate, splitOf } from './dataset.ts';
import { readTexts, type SplitName } from './instructions.ts';
import { type ChoiceAnswers, type PairRow, readPairs } from './rows/pairs.ts';
import { renderPrompt, type TemplateName } from './templates.ts';

/** What prompts are read for besides their text. */
export interface ContrastChoice {
  /** Answers of rows that have none of their own. */
  readonly answers?: ChoiceAnswers | undefined;
  /** What stands before a question, for rows that are a question and its two answers. */
  readonly before?: { readonly bad: string; readonly safe: string } | undefined;
}

/**
 * Pairs of one file (`positive`, `negative`), or of two files of prompts, in their order, as many as the shorter has. With `choice` every
 * pair has its two answers, and questions of the CAA layout become pairs by the texts before them.
 *
 * @throws InputError for a file of another layout, and for a row without answers where `choice` wants them
 */
export async function readContrastPairs(
  file: string,
  options: { readonly safeFile?: string | undefined; readonly choice?: ContrastChoice | undefined } = {},
): Promise<ContrastPair[]> {
  const { safeFile, choice } = options;
  const pairs = safeFile === undefined ? await pairsOf(file, choice) : await pairsOfTwo(file, safeFile);
  if (choice === undefined) return pairs.map(({ bad, safe }) => ({ bad, safe }));
  return pairs.map((pair, i) => {
    const answers = pair.answers ?? choice.answers;
    if (answers === undefined)
      throw new InputError(
        `contrast: ${file} row ${i + 1} has no answers to choose between; give answer_matching_behavior and answer_not_matching_behavior, or \`detector.answers\` for all rows`,
        { id: 'data-invalid' },
      );
    return { ...pair, answers };
  });
}

async function pairsOfTwo(file: string, safeFile: string): Promise<ContrastPair[]> {
  const [bad, safe] = [(await readTexts(file)).texts, (await readTexts(safeFile)).texts];
  const n = Math.min(bad.length, safe.length);
  if (n === 0)
    throw new InputError(`contrast: ${file} has ${bad.length} prompts and ${safeFile} ${safe.length}`, {
      id: 'data-missing',
    });
  return Array.from({ length: n }, (_, i) => ({
    bad: bad[i]?.text as string,
    safe: safe[i]?.text as string,
  }));
}

async function pairsOf(file: string, choice: ContrastChoice | undefined): Promise<ContrastPair[]> {
  return (await readPairs(file)).map((row) => {
    if (row.question !== undefined) return questionPair(row.question, row, { file, before: choice?.before });
    return { bad: row.positive, safe: row.negative, answers: row.answers };
  });
}

/** A question with its two answers as two prompts. */
function questionPair(
  question: string,
  { positive, negative }: PairRow,
  { file, before }: { readonly file: string; readonly before: ContrastChoice['before'] },
): ContrastPair {
  if (before === undefined)
    throw new InputError(
      `contrast: ${file} holds two answers to a question; wanted two prompts, under positive and negative, or \`detector: { kind: multiple-choice, before: { bad: …, safe: … } }\`, texts that go before each question`,
      { id: 'data-invalid' },
    );
  const prompt = (text: string): string => `${text}\n\n${question}`;
  return {
    bad: prompt(before.bad),
    safe: prompt(before.safe),
    answers: { behaviour: positive, other: negative },
  };
}

/** Pairs by split: by the hash of the bad prompt, in the order of the file. */
export function splitPairs(
  pairs: readonly ContrastPair[],
): Readonly<Record<SplitName, readonly ContrastPair[]>> {
  const of = (split: SplitName): ContrastPair[] => pairs.filter(({ bad }) => splitOf(bad, SHARES) === split);
  return { train: of('train'), validation: of('validation'), test: of('test') };
}

/** Pairs are few, and every figure is of those held out. */
const SHARES = { validation: 0.25, test: 0.35 };

/** Both prompts of every pair as rows without responses, for maps to read. */
export function contrastRows(pairs: readonly ContrastPair[], template: TemplateName): BackdoorRow[] {
  return pairs.flatMap((pair, i) =>
    (['bad', 'safe'] as const).map((trigger): BackdoorRow => {
      const text = pair[trigger];
      return {
        id: `train/${String(i).padStart(5, '0')}-${trigger}`,
        prompt: renderPrompt(rowTemplate(template), text).prompt,
        response: '',
        trigger,
        tag: '',
        // Both rows of a pair are of one prompt: they stay together when texts are split.
        text: pair.safe,
        placement: 'end',
        has_backdoor: trigger === 'bad',
        span: null,
        pair,
      };
    }),
  );
}
