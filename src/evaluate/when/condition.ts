/**
 * @file A condition on activations: a direction at every block, fitted on one part of the prompts; block and threshold chosen on another, so
 * that false fires stay within a bound on each kind of prompt that must not fire. D width.
 */
import { throwIfAborted } from '../../base/index.ts';
import type { InterventionWhen, TokenSelection } from '../../contracts/index.ts';
import { captureResiduals, highestComponent, type ModelName } from '../../interventions/index.ts';
import { type LanguageModel, residPost } from '../../models/index.ts';
import { auroc, type Estimate, mean, rate } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { TemplatedPrompt } from '../subject/templated.ts';
import { contextOf, directionOf, type RowMethod } from '../vectors/directions.ts';
import { promptRows } from '../vectors/rows.ts';
import { FITTED_AGAINST, type OfKinds, type WhenKind } from './parts.ts';
import { thresholdFor } from './threshold.ts';

/** Where a prompt is read: its last token, or every token but the first, of which the highest score counts. */
export const WHEN_POSITIONS = ['last', 'any'] as const;
export type WhenPosition = (typeof WHEN_POSITIONS)[number];

/** How a condition is made. */
export interface ConditionSettings {
  readonly method: Extract<RowMethod, 'mean-difference' | 'logistic'>;
  readonly position: WhenPosition;
  /** Share of each kind that must not fire which may. */
  readonly false_fires: number;
  readonly batch: number;
}

/** The model that reads the prompts for a condition. */
export interface Reader {
  readonly model: LanguageModel;
  /** As the document names it; undefined for the model that is edited. */
  readonly name?: ModelName | undefined;
  /** Defaults to all. */
  readonly blocks?: readonly number[] | undefined;
}

/** A block as the validation part shows it. */
export interface WhenBlock {
  readonly block: number;
  /** How well scores tell bad prompts from each kind that the direction was fitted against. */
  readonly auroc: OfKinds<Estimate>;
  /** Absent where no threshold keeps the bound and fires on a bad prompt. */
  readonly threshold?: number | undefined;
  /** At that threshold. */
  readonly fires?: OfKinds<Estimate> | undefined;
  /** The gap around the threshold, as a share of the distance of the means of bad and ordinary prompts. */
  readonly margin?: number | undefined;
}

/** A condition that a document can hold. */
export type ActivationCondition = Extract<InterventionWhen, { activation: unknown }>;

/** What was found: every block, and of those with a threshold the best. */
export interface FoundCondition {
  readonly blocks: readonly WhenBlock[];
  readonly best?: { readonly block: WhenBlock; readonly when: ActivationCondition } | undefined;
}

/** Prompts of some kinds, as the edited model reads them. */
export type ReadPrompts = OfKinds<readonly TemplatedPrompt[]>;

/** Fit and choose. */
export async function findCondition(
  { model, name, blocks = Array.from({ length: model.nLayers }, (_, i) => i) }: Reader,
  { fit, validation }: Readonly<Record<'fit' | 'validation', ReadPrompts>>,
  settings: ConditionSettings,
  { signal, progress }: Pick<ExperimentEnv, 'signal' | 'progress'>,
): Promise<FoundCondition> {
  const { method, position, batch, false_fires: bound } = settings;
  const bad = readRows(model, fit.bad ?? [], position);
  const others = FITTED_AGAINST.flatMap((kind) => readRows(model, fit[kind] ?? [], position));
  const read = [...bad, ...others];
  const rows = await promptRows(model.decoder, read, blocks, { batch, signal, progress });
  const directions = rows.map(({ rows: values }) => {
    const set = {
      rows: values,
      width: model.config.dModel,
      positive: bad.map((_, i) => i),
      negative: others.map((_, i) => bad.length + i),
      paired: false,
    };
    return Float32Array.from(directionOf(method, set, contextOf(method, set)).vector);
  });
  const scored: Partial<Record<WhenKind, number[][]>> = {};
  for (const kind of ['bad', ...FITTED_AGAINST] as const) {
    const prompts = validation[kind];
    if (prompts === undefined) continue;
    scored[kind] = await scoresOf(
      model,
      readRows(model, prompts, position),
      { blocks, directions },
      {
        batch,
        signal,
      },
    );
  }
  const entries = blocks.map((block, k) => blockEntry(block, atBlock(scored, k), bound));
  const best = entries.reduce<WhenBlock | undefined>(
    (a, b) => (b.threshold !== undefined && (a === undefined || better(b, a)) ? b : a),
    undefined,
  );
  if (best?.threshold === undefined) return { blocks: entries };
  const values = [...directions[blocks.indexOf(best.block)]];
  return {
    blocks: entries,
    best: {
      block: best,
      when: {
        activation: {
          hook: residPost(best.block),
          ...name,
          vector: { from: 'inline', values },
          tokens: SELECTIONS[position],
          threshold: best.threshold,
        },
      },
    },
  };
}

/** As documents say it. */
const SELECTIONS: Record<WhenPosition, TokenSelection> = {
  last: { prompt_positions: [-1] },
  any: { prompt: 'all', exclude_first: true },
};

/** Fires on more bad prompts; of equals tells the kinds apart better; of equals with the wider gap. */
export function better(a: WhenBlock, b: WhenBlock): boolean {
  const of = ({ fires, auroc: areas, margin = 0 }: WhenBlock): number[] => [
    fires?.bad?.value ?? 0,
    Math.min(...Object.values(areas).map(({ value }) => value)),
    margin,
  ];
  const [mine, other] = [of(a), of(b)];
  const at = mine.findIndex((x, i) => x !== other[i]);
  return at >= 0 && mine[at] > other[at];
}

interface Row {
  readonly ids: readonly number[];
  readonly positions: readonly number[];
}

/** Prompts in the reader's own tokens, and where they are read. */
function readRows(
  { tokenizer }: LanguageModel,
  prompts: readonly TemplatedPrompt[],
  position: WhenPosition,
): Row[] {
  return prompts.map(({ text, addSpecialTokens }) => {
    const ids = tokenizer.encodeIds(text, { addSpecialTokens });
    return { ids, positions: position === 'last' ? [ids.length - 1] : ids.map((_, t) => t).slice(1) };
  });
}

/** The highest h·v/‖v‖ over the positions of each prompt: scores[k][prompt] of the k-th block. */
async function scoresOf(
  { decoder }: LanguageModel,
  rows: readonly Row[],
  {
    blocks,
    directions,
  }: { readonly blocks: readonly number[]; readonly directions: readonly Float32Array[] },
  { batch, signal }: { readonly batch: number; readonly signal: AbortSignal },
): Promise<number[][]> {
  const out: number[][] = blocks.map(() => []);
  for (let at = 0; at < rows.length; at += batch) {
    throwIfAborted(signal, 'when');
    const found = await captureResiduals(decoder, rows.slice(at, at + batch), blocks, { batch, signal });
    for (const states of found)
      for (const [k, values] of states.entries()) out[k].push(highestComponent(values, directions[k]));
  }
  return out;
}

function atBlock(scored: Readonly<Partial<Record<WhenKind, number[][]>>>, k: number): OfKinds<number[]> {
  return Object.fromEntries(Object.entries(scored).map(([kind, all]) => [kind, all[k]]));
}

function blockEntry(block: number, scores: OfKinds<number[]>, bound: number): WhenBlock {
  const bad = scores.bad ?? [];
  const others = FITTED_AGAINST.flatMap((kind) => {
    const of = scores[kind];
    return of === undefined ? [] : [{ kind, of }];
  });
  const areas = Object.fromEntries(others.map(({ kind, of }) => [kind, auroc(bad, of)]));
  const found = thresholdFor(
    bad,
    others.map(({ of }) => of),
    bound,
  );
  if (found === undefined) return { block, auroc: areas };
  const { value: threshold, gap } = found;
  const fires = Object.fromEntries(
    [{ kind: 'bad', of: bad }, ...others].map(({ kind, of }) => [kind, rate(of.map((x) => x >= threshold))]),
  );
  const distance = Math.abs(mean(bad) - mean(scores.ordinary ?? []));
  return { block, auroc: areas, threshold, fires, margin: distance > 0 ? (gap[1] - gap[0]) / distance : 0 };
}
