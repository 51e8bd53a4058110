/** @file Judges that only compare characters and words: no model, no cost, the same everywhere. */
import { chrf, chrfPlusPlus } from './chrf.ts';
import type { Judge } from './judge.ts';
import { exactMatch, rougeL, tokenF1 } from './overlap.ts';

/** Text measures on a scale of 0-1. */
export const lexicalMetrics = {
  chrf,
  chrf_pp: chrfPlusPlus,
  rouge_l: rougeL,
  token_f1: tokenF1,
  exact_match: (candidate: string, reference: string): number => Number(exactMatch(candidate, reference)),
} as const;

/** Name of a text measure. */
export type LexicalMetric = keyof typeof lexicalMetrics;

/** The judge `lexical` (docs/concepts/method.md#judges). `metric` defaults to `chrf`; another one is named `lexical_<metric>`. */
export function lexicalJudge(metric: LexicalMetric = 'chrf'): Judge {
  const measure = lexicalMetrics[metric];
  return {
    name: metric === 'chrf' ? 'lexical' : `lexical_${metric}`,
    metric,
    score: (pairs) => Promise.resolve(pairs.map((p) => measure(p.candidate, p.reference))),
  };
}
