/**
 * @file The one place for colours, dashes, symbols, patterns and names of arms.
 * Colours: Okabe & Ito's eight for colour-blind readers, as CSS variables so that a page sets light and dark.
 */
import type { CostState, MapFit, SweepControl, TransferArm } from '../contracts/index.ts';
import type { SeriesStyle } from './spec.ts';

/** What a series is for: decides whether beating it proves something. */
type Role = 'steered' | 'noise' | 'positive' | 'noop' | 'error' | 'baseline';

interface ArmStyle extends SeriesStyle {
  readonly label: string;
  readonly role: Role;
}

/** CSS variables of the palette: name → [light, dark]. */
export const PALETTE = {
  '--cp-native': ['#0072B2', '#5AAEE8'],
  '--cp-mapped': ['#D55E00', '#F2833A'],
  '--cp-static': ['#B87F00', '#E69F00'],
  '--cp-positive': ['#00805D', '#2DBE93'],
  '--cp-noise': ['#767676', '#A6A6A6'],
  '--cp-error': ['#B0568A', '#DE93BC'],
  '--cp-base': ['#3E8FC0', '#7CC3EE'],
} as const satisfies Record<string, readonly [light: string, dark: string]>;

/** `var(--cp-x, light)`: shows in its light colour where no page sets the variable. */
function color(name: keyof typeof PALETTE): string {
  return `var(${name}, ${PALETTE[name][0]})`;
}

const ROLE_STYLE = {
  steered: { color: color('--cp-native'), symbol: 'circle', pattern: 'solid' },
  noise: { color: color('--cp-noise'), symbol: 'times', pattern: 'hatch', dash: '2,3' },
  positive: { color: color('--cp-positive'), symbol: 'triangle', pattern: 'lines', dash: '8,3' },
  noop: { color: 'currentColor', symbol: 'plus', pattern: 'outline', dash: '1,2' },
  error: { color: color('--cp-error'), symbol: 'diamond', pattern: 'dots', dash: '6,2,1,2' },
  baseline: { color: color('--cp-base'), symbol: 'square', pattern: 'dots', dash: '4,4' },
} as const satisfies Record<Role, SeriesStyle>;

const arm = (label: string, role: Role, own: Partial<SeriesStyle> = {}): ArmStyle => ({
  ...ROLE_STYLE[role],
  ...own,
  label,
  role,
});

const MAPPED = { color: color('--cp-mapped'), symbol: 'square', pattern: 'solid' } as const;

/** Arms of transfer, in the order they are shown. */
export const TRANSFER_STYLE = {
  native: arm('native', 'steered'),
  mapped: arm('mapped', 'steered', MAPPED),
  static: arm('static vector', 'steered', { color: color('--cp-static'), symbol: 'diamond' }),
  other_prompt: arm('other prompt', 'positive'),
  other_tag: arm('other tag', 'positive', { symbol: 'star' }),
  token_mean: arm('token mean', 'positive', { symbol: 'diamond' }),
  bag_of_tokens: arm('bag of tokens', 'positive', { symbol: 'square' }),
  mapped_bad_to_bad: arm('mapped bad → bad', 'error'),
  mapped_safe_to_safe: arm('mapped safe → safe', 'error'),
  random: arm('random', 'noise'),
  random_cov: arm('random-cov', 'noise', { dash: '5,3', symbol: 'cross' }),
  random_step: arm('random-step', 'noise', { dash: '1,4', symbol: 'star' }),
  shuffled: arm('shuffled map', 'noise', { dash: '9,2', symbol: 'square' }),
} as const satisfies Record<TransferArm, ArmStyle>;

/** Controls of a sweep. */
export const SWEEP_STYLE = {
  other_prompt: TRANSFER_STYLE.other_prompt,
  other_tag: TRANSFER_STYLE.other_tag,
  random: TRANSFER_STYLE.random,
  random_cov: TRANSFER_STYLE.random_cov,
  random_step: TRANSFER_STYLE.random_step,
  self: arm('self (no-op)', 'noop'),
} as const satisfies Record<SweepControl, ArmStyle>;

/** Ways of replacing activations in fidelity. */
export const FIDELITY_STYLE = {
  mapped: arm('mapped', 'steered', MAPPED),
  mean_ablated: arm('mean-ablated', 'baseline'),
  ceiling: arm('ceiling (own)', 'noop'),
  shuffled: TRANSFER_STYLE.shuffled,
  token_mean: TRANSFER_STYLE.token_mean,
  random: TRANSFER_STYLE.random,
} as const satisfies Record<string, ArmStyle>;

export const FIT_LABEL = {
  with_tags: 'with tags',
  no_tag_rows: 'no tag rows',
  general: 'general text',
  clean_a: 'clean source',
  embedding_a: 'source’s embeddings',
} as const satisfies Record<MapFit, string>;

export const STATE_STYLE = {
  clean: arm('clean model', 'noop'),
  untagged: arm('untagged', 'baseline'),
  safe: arm('safe', 'positive'),
  bad: arm('bad', 'error'),
  bad_native: arm('bad + native', 'steered'),
  bad_mapped: arm('bad + mapped', 'steered', MAPPED),
  bad_random: arm('bad + random', 'noise'),
  safe_mapped: arm('safe + mapped', 'steered', { ...MAPPED, symbol: 'triangle' }),
  full_replacement: arm('full replacement', 'steered', { color: color('--cp-static') }),
} as const satisfies Record<CostState, ArmStyle>;

/** Styles for series that have no fixed meaning (map kinds): told apart by dash and symbol first. */
export function nthStyle(i: number): SeriesStyle {
  const cycle: readonly SeriesStyle[] = [
    { color: color('--cp-mapped'), symbol: 'circle', pattern: 'solid' },
    { color: color('--cp-native'), symbol: 'square', pattern: 'lines', dash: '7,3' },
    { color: color('--cp-positive'), symbol: 'triangle', pattern: 'hatch', dash: '2,2' },
    { color: color('--cp-error'), symbol: 'diamond', pattern: 'dots', dash: '8,2,2,2' },
    { color: color('--cp-static'), symbol: 'star', pattern: 'outline', dash: '12,3' },
    { color: color('--cp-base'), symbol: 'cross', pattern: 'solid', dash: '1,2' },
  ];
  return cycle[i % cycle.length]!;
}
