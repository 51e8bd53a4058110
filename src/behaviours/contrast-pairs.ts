/**
 * @file A behaviour that two kinds of prompt tell apart, with no tag in either: those under which it shows (`bad`) and those like them
 * under which it does not (`safe`). Refusal, tone, language, any published contrast set (docs/concepts/method.md#contrast-prompts).
 */
import { InputError } from '../base/index.ts';
import type { ContrastPair } from './contrast-text.ts';
import { type BackdoorRow, rowTemplate, splitOf } from './dataset.ts';
import { readTexts, type SplitName } from './instructions.ts';
import { readPairs } from './rows/pairs.ts';
import { renderPrompt, type TemplateName } from './templates.ts';

/** Pairs of one file (`positive`, `negative`), or of two files of prompts, in their order, as many as the shorter has. */
export async function readContrastPairs(file: string, safeFile?: string): Promise<ContrastPair[]> {
  if (safeFile !== undefined) {
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
  return (await readPairs(file)).map(({ positive, negative, question }) => {
    if (question !== undefined)
      throw new InputError(
        `contrast: ${file} holds two answers to a question; wanted two prompts, under positive and negative`,
        { id: 'data-invalid' },
      );
    return { bad: positive, safe: negative };
  });
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
