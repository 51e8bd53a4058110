/** @file What steering over a pair of blocks needs that no map changes: both models' activations at the prompts' spans. */
import { CrosspatchError } from '../../base/index.ts';
import { type BlockOf, type Spans, sourceSpans, targetSpans } from '../arms/spans.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { type Subject, testedCases } from '../subject/subject.ts';

/** Everything about a pair of blocks and its prompts that no map changes. */
export interface TransferData {
  readonly source: BlockOf;
  readonly target: BlockOf;
  readonly subject: Subject;
  /** The target's own span activations. */
  readonly native: Spans;
  /** The source's, at the same text. */
  readonly given: Spans;
  /** The source's on training prompts, for the static vector. */
  readonly training: Spans | undefined;
  /** The target's own on the same, for the lookup by tokens. */
  readonly labelled: Spans | undefined;
}

/**
 * Capture both models at their blocks over the subject's prompts (tokenised for the target). `training` cases are for the static
 * vector; none leaves it out. Throws when no prompt shows the behaviour unpatched.
 */
export async function prepareTransfer(
  { source, target }: { readonly source: BlockOf; readonly target: BlockOf },
  subject: Subject,
  training: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<TransferData> {
  if (testedCases(subject, 'bad').length === 0)
    throw new CrosspatchError(
      `transfer: none of ${subject.cases.length} prompts shows the behaviour in the target, so there is nothing to steer; train longer`,
      { id: 'nothing-to-steer' },
    );
  return {
    source,
    target,
    subject,
    native: await targetSpans(target, subject.cases, signal),
    given: await sourceSpans(source, subject.cases, signal),
    training: training.length === 0 ? undefined : await sourceSpans(source, training, signal),
    labelled: training.length === 0 ? undefined : await targetSpans(target, training, signal),
  };
}
