/** @file Reading `results.json` by path: flat lists of figures, differences of two runs, and thresholds (`--require`). */
import { InputError } from '../base/index.ts';
import { nearest } from '../contracts/index.ts';

/** One figure of a run under its dotted path; behaviours go by name instead of number. */
export interface FlatFigure {
  readonly path: string;
  readonly value: number;
  readonly n?: number;
  readonly ci95?: readonly [number, number];
}

/** Every number of a results document, in its order: rates as one figure, lists by index (`sweep.target.3.restoration`). */
export function flattenResults(results: unknown): FlatFigure[] {
  const out: FlatFigure[] = [];
  const walk = (value: unknown, path: readonly string[]): void => {
    if (typeof value === 'number') out.push({ path: path.join('.'), value });
    else if (isRate(value))
      out.push({ path: path.join('.'), value: value.value, n: value.n, ci95: value.ci95 });
    else if (Array.isArray(value))
      for (const [i, item] of value.entries()) walk(item, [...path, label(item, i)]);
    else if (value !== null && typeof value === 'object')
      for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key]);
  };
  walk(results, []);
  return out;
}

interface PlainRate {
  readonly value: number;
  readonly n: number;
  readonly ci95: readonly [number, number];
}

function isRate(value: unknown): value is PlainRate {
  return value !== null && typeof value === 'object' && 'value' in value && 'n' in value && 'ci95' in value;
}

/** `locked` for the entry of that behaviour (its placement added when it is not `end`), else the index. */
function label(item: unknown, index: number): string {
  const pair = (item as { pair?: { behaviour?: string; placement?: string } } | null)?.pair;
  if (!pair?.behaviour) return String(index);
  return pair.placement === 'end' || !pair.placement ? pair.behaviour : `${pair.behaviour}@${pair.placement}`;
}

/** A row of a comparison; a side is undefined where that run lacks the figure. */
export interface FigureDifference {
  readonly path: string;
  readonly a: number | undefined;
  readonly b: number | undefined;
}

/** Figures that differ between two results documents, by path. Equal figures are left out. */
export function compareResults(a: unknown, b: unknown): FigureDifference[] {
  const left = new Map(flattenResults(a).map((f) => [f.path, f.value]));
  const right = new Map(flattenResults(b).map((f) => [f.path, f.value]));
  return [...new Set([...left.keys(), ...right.keys()])]
    .map((path) => ({ path, a: left.get(path), b: right.get(path) }))
    .filter(({ a, b }) => a !== b);
}

/** The outcome of one `--require`. */
export interface Requirement {
  readonly text: string;
  readonly value: number;
  readonly met: boolean;
}

const COMPARE = {
  '>=': (a: number, b: number) => a >= b,
  '<=': (a: number, b: number) => a <= b,
  '>': (a: number, b: number) => a > b,
  '<': (a: number, b: number) => a < b,
} satisfies Record<string, (a: number, b: number) => boolean>;

/** A threshold such as `locked.transfer.affine.with_tags.margin>=0.5`, taken apart. Throws {@link InputError} when it is none. */
export function parseRequirement(text: string): {
  key: string;
  operator: keyof typeof COMPARE;
  bound: number;
} {
  const match = /^\s*([\w.@-]+?)\s*(>=|<=|>|<)\s*(\S+)\s*$/.exec(text);
  const bound = Number(match?.[3]);
  if (!match || !Number.isFinite(bound))
    throw new InputError(
      `--require ${text}: wanted key>=number, e.g. locked.transfer.affine.with_tags.margin>=0.5`,
      { id: 'option-invalid' },
    );
  return { key: match[1] as string, operator: match[2] as keyof typeof COMPARE, bound };
}

/**
 * Check a threshold. The key is a path of {@link flattenResults}, with or without `behaviours.` in front. Throws
 * {@link InputError} when there is no such figure.
 */
export function checkRequirement(results: unknown, text: string): Requirement {
  const { key, operator, bound } = parseRequirement(text);
  const figures = flattenResults(results);
  const found = figures.find((f) => f.path === key || f.path === `behaviours.${key}`);
  if (!found) {
    const paths = figures.map((f) => f.path.replace(/^behaviours\./, ''));
    const near = nearest(key, paths);
    throw new InputError(
      `--require ${text}: no such figure; ${near ? `did you mean "${near}"?` : 'see `show DIR`'}`,
      { id: 'figure-unknown' },
    );
  }
  return { text, value: found.value, met: COMPARE[operator](found.value, bound) };
}
