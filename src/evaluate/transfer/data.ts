/** @file What steering over a pair of blocks needs that no map changes: both models' activations at the prompts' spans. */
import { CrosspatchError } from '../../base/index.ts';
import type { MapFit } from '../../contracts/index.ts';
import { type BlockOf, type Spans, sourceSpans, targetSpans } from '../arms/spans.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { type Subject, testedCases } from '../subject/subject.ts';

/** Whose activations a fit reads: most fits read the same. */
export const SOURCE_KINDS = ['with_tags', 'clean_a', 'embedding_a'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

export function sourceKind(fit: MapFit): SourceKind {
  return fit === 'clean_a' || fit === 'embedding_a' ? fit : 'with_tags';
}

/** A source's activations. */
export interface GivenSpans {
  /** At the subject's text. */
  readonly given: Spans;
  /** At training prompts, for the static vector. */
  readonly training: Spans | undefined;
}

/** Activations at the spans of one subject. */
export interface TransferSpans {
  /** The target's own. */
  readonly native: Spans;
  /** The target's own at training prompts, for the lookup by tokens and the vector of k prompts. */
  readonly labelled: Spans | undefined;
  readonly sources: ReadonlyMap<SourceKind, GivenSpans>;
}

/** What is read: the target, and the source of every kind that is wanted. */
export interface TransferReaders {
  readonly target: BlockOf;
  readonly sources: ReadonlyMap<SourceKind, BlockOf>;
}

/** Training prompts: those the target is read at, and how many of them the sources are. */
export interface TrainingPrompts {
  readonly labelled: readonly ContrastCase[];
  readonly static_prompts: number;
}

/** Everything about a pair of blocks and its prompts that no map changes. */
export interface TransferData extends Pick<TransferSpans, 'native' | 'labelled'>, GivenSpans {
  readonly target: BlockOf;
  readonly subject: Subject;
}

/**
 * Capture both models at their blocks over the subject's prompts (tokenised for the target) and over training prompts; without these, arms
 * that need them are left out. Throws when no prompt shows the behaviour unpatched.
 */
export async function captureTransfer(
  { target, sources }: TransferReaders,
  subject: Subject,
  { labelled, static_prompts }: TrainingPrompts,
  signal?: AbortSignal,
): Promise<TransferSpans> {
  refuseUntested(subject);
  const training = labelled.slice(0, static_prompts);
  const given = new Map<SourceKind, GivenSpans>();
  for (const [kind, source] of sources)
    given.set(kind, {
      given: await sourceSpans(source, subject.cases, signal),
      training: training.length === 0 ? undefined : await sourceSpans(source, training, signal),
    });
  return {
    native: await targetSpans(target, subject.cases, signal),
    labelled: labelled.length === 0 ? undefined : await targetSpans(target, labelled, signal),
    sources: given,
  };
}

/** What of it steering by maps of one kind of source needs. */
export function dataOf(
  { native, labelled, sources }: TransferSpans,
  kind: SourceKind,
  at: Pick<TransferData, 'target' | 'subject'>,
): TransferData {
  const given = sources.get(kind);
  if (given === undefined)
    throw new CrosspatchError(`transfer: the source of ${kind} was not read`, { id: 'internal' });
  const count = given.training?.cases.length ?? 0;
  return { ...at, native, ...given, labelled: count === 0 ? undefined : labelled?.first(count) };
}

/** The same for one source alone. */
export async function prepareTransfer(
  { source, target }: { readonly source: BlockOf; readonly target: BlockOf },
  subject: Subject,
  training: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<TransferData> {
  const readers = { target, sources: new Map([['with_tags', source] as const]) };
  const prompts = { labelled: training, static_prompts: training.length };
  const spans = await captureTransfer(readers, subject, prompts, signal);
  return dataOf(spans, 'with_tags', { target, subject });
}

function refuseUntested(subject: Subject): void {
  if (testedCases(subject, 'bad').length === 0)
    throw new CrosspatchError(
      `transfer: none of ${subject.cases.length} prompts shows the behaviour in the target, so there is nothing to steer; train longer`,
      { id: 'nothing-to-steer' },
    );
}
