/**
 * @file Rows of `samples/*.jsonl`: every completion that was judged, one row per prompt and arm.
 *
 * Decisions a writer needs:
 * - Rows of one prompt share `behaviour`, `prompt_id` and `trigger`; that is how the report puts the states side by side.
 * - The unpatched run is itself a row (`arm: 'unpatched'`, `trigger: 'bad'` or `'safe'`), stage `backdoor` or the stage that ran it.
 * - `stage: 'transfer'` arms are those of `results.transfer` and patch the bad run (removal, restoration) or, with `trigger: 'safe'`,
 *   the safe run (elicitation); `stage: 'fidelity'` arms are `mapped`, `mean_ablated`, `ceiling`, `shuffled`, `token_mean`, `random`;
 *   `stage: 'inverse'` arms are `pinv`, `truncated`, `reverse_ridge`; those of `inverse-fidelity` are `mapped` (the inverse is `map.kind`),
 *   `mean_ablated`, `ceiling`.
 * - Flags and scores that do not apply are left out.
 */
import { z } from 'zod';

export const sampleSchema = z.strictObject({
  /** Unique in the run and stable from run to run, e.g. `locked/transfer/affine.with_tags/mapped/0042/bad`: a permalink. */
  id: z.string().min(1),
  stage: z.string(),
  behaviour: z.string(),
  /** Which model wrote the completion. Default `target`. */
  side: z.enum(['source', 'target']).optional(),
  prompt_id: z.string(),
  /** The text the model read, template and trigger included. */
  prompt: z.string(),
  /** Which trigger that text carries. */
  trigger: z.enum(['bad', 'safe', 'untagged', 'other']),
  /** What was done to the run: `unpatched` or an arm's name. */
  arm: z.string(),
  /** The map used, where there is one. */
  map: z.strictObject({ kind: z.string(), fit: z.string() }).optional(),
  /** The patched block, for sweeps. */
  block: z.int().min(0).optional(),
  completion: z.string(),
  /** Unpatched completions of the same prompt, to compare with (`source` = the source model's own). */
  references: z
    .strictObject({
      safe: z.string().optional(),
      bad: z.string().optional(),
      untagged: z.string().optional(),
      source: z.string().optional(),
    })
    .optional(),
  outcome: z
    .strictObject({
      /** The completion shows the behaviour. */
      triggered: z.boolean().optional(),
      removed: z.boolean().optional(),
      restored: z.boolean().optional(),
      elicited: z.boolean().optional(),
      degenerate: z.boolean().optional(),
      /** Equals the unpatched completion of the same text. */
      unchanged: z.boolean().optional(),
    })
    .optional(),
  /** `judge.metric` → score, e.g. `lexical.chrf`: 0.83. */
  scores: z.record(z.string(), z.number()).optional(),
  /** The prompt cut into its tokens' texts, and the positions whose activations were overwritten. */
  prompt_tokens: z.array(z.string()).optional(),
  changed_positions: z.array(z.int().min(0)).optional(),
});

export type Sample = z.infer<typeof sampleSchema>;
