/** @file Figures in the words of the verdict: shares in per cent, differences of shares in points, names of what is compared. */
import type { BehaviourResults, Rate } from '../../contracts/index.ts';
import { percent, TRANSFER_STYLE } from '../../figures/index.ts';
import type { Compared, Difference } from './differences.ts';

export const COMPARED_LABEL = {
  native: 'the target’s own vector',
  half_native: 'half of the target’s own vector',
  static: 'a static vector',
  other_prompt: 'another prompt’s vector',
  other_tag: 'another tag’s vector',
  token_mean: 'the token-mean lookup',
  bag_of_tokens: 'the lookup by the bag of tokens',
  random: TRANSFER_STYLE.random.label,
  random_cov: TRANSFER_STYLE.random_cov.label,
  random_step: TRANSFER_STYLE.random_step.label,
  shuffled: `the ${TRANSFER_STYLE.shuffled.label}`,
  with_tags: 'the fit with tags',
  no_tag_rows: 'the fit without tag rows',
  general: 'the fit on general text',
  clean_a: 'the clean source',
  embedding_a: 'a map from the source’s embeddings',
} as const satisfies Record<Compared, string>;

/** `locked, tag at the end`. */
export function title({ pair }: BehaviourResults): string {
  const place = { prefix: 'tag in front', middle: 'tag in the middle', end: 'tag at the end', none: '' }[
    pair.placement
  ];
  return place ? `${pair.behaviour}, ${place}` : pair.behaviour;
}

/** `93 % [90, 95]`; the ends in whole per cents but near 0 and 100. */
export function withInterval(rate: Rate): string {
  return `${percent(rate.value)} ${interval(rate)}`;
}

/** `[90, 95]`, joined by a no-break space. */
export function interval({ ci95 }: Rate): string {
  const end = (value: number) =>
    value > 0.01 && value < 0.99 ? String(Math.round(value * 100)) : percent(value).slice(0, -2);
  return `[${end(ci95[0])},\u00a0${end(ci95[1])}]`;
}

/** A difference of shares: `+78 points`, `−0.5 points`. */
export function points(difference: number): string {
  const text = signed(difference);
  return `${text}\u00a0${/^[+−]1$/.test(text) ? 'point' : 'points'}`;
}

/** `+78 points [+73, +83]`. */
export function pointsWithInterval({ difference, ci95 }: Omit<Difference, 'paired'>): string {
  return `${points(difference)} ${pointsInterval(ci95)}`;
}

/** `[+73, +83]`. */
export function pointsInterval([low, high]: readonly [number, number]): string {
  return `[${signed(low)},\u00a0${signed(high)}]`;
}

/** In points with their sign: whole ones from 10 on, else to a tenth. */
export function signed(difference: number): string {
  const value = difference * 100;
  const size = Math.abs(value) < 9.95 ? Math.round(Math.abs(value) * 10) / 10 : Math.round(Math.abs(value));
  if (size === 0) return '0';
  return `${value < 0 ? '−' : '+'}${size}`;
}

/** `a, b and c`. */
export function join(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
