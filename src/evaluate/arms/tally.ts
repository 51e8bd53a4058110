/** @file Outcomes of arms over T: flags by arm, direction and case, and their rates. */
import type { Outcome, Rate } from '../../contracts/index.ts';
import { proportion, wilson } from '../../stats/index.ts';
import type { Direction } from '../subject/cases.ts';
import type { Case } from '../subject/completions.ts';
import type { Flags } from '../subject/subject.ts';
import type { ArmRun } from './run.ts';

/** Outcomes by arm, direction and case; several draws per case. */
export class Tally {
  readonly #cases: readonly Case[];
  readonly #flags = new Map<string, Map<Case, Flags[]>>();

  /** Figures are in the order of `cases`. */
  constructor(cases: readonly Case[]) {
    this.#cases = cases;
  }

  /** Count a run; returns how many draws of this arm the case has now. */
  add({ arm, direction, case: c, flags }: Pick<ArmRun, 'arm' | 'direction' | 'case' | 'flags'>): number {
    const key = `${direction}/${arm}`;
    const cases = this.#flags.get(key) ?? new Map<Case, Flags[]>();
    this.#flags.set(key, cases);
    const draws = cases.get(c) ?? [];
    cases.set(c, draws);
    return draws.push(flags);
  }

  /** Per case that was run, in the order of cases: the draws' flags. */
  draws(arm: string, direction: Direction): Flags[][] {
    const flags = this.#flags.get(`${direction}/${arm}`);
    return flags === undefined
      ? []
      : this.#cases.flatMap((c) => [flags.get(c) ?? []].filter((f) => f.length));
  }

  /** Flags of one case's first draw. */
  of(arm: string, direction: Direction, c: Case): Flags | undefined {
    return this.#flags.get(`${direction}/${arm}`)?.get(c)?.[0];
  }

  /** One flag per case, the first draw's. */
  each(arm: string, direction: Direction, flag: 'removed' | 'restored' | 'elicited'): boolean[] {
    return this.draws(arm, direction).map(([first]) => first[flag] ?? false);
  }

  /** The rates of an arm; figures of nothing are left out. */
  outcome(arm: string): Outcome {
    const [bad, safe] = [this.draws(arm, 'bad'), this.draws(arm, 'safe')];
    return {
      removal: rateOf(bad, (f) => f.removed === true),
      restoration: rateOf(bad, (f) => f.restored === true),
      elicitation: rateOf(safe, (f) => f.elicited === true),
    };
  }

  /** The same, with the share of completions that the patch changed. */
  outcomeWithChanged(arm: string): Outcome {
    const all = [...this.draws(arm, 'bad'), ...this.draws(arm, 'safe')];
    return { ...this.outcome(arm), changed: rateOf(all, (f) => !f.unchanged) };
  }

  /** Whether the arm was run at all. */
  has(arm: string): boolean {
    return this.#flags.has(`bad/${arm}`) || this.#flags.has(`safe/${arm}`);
  }
}

function rateOf(draws: readonly (readonly Flags[])[], hit: (f: Flags) => boolean): Rate | undefined {
  return draws.length === 0 ? undefined : drawRate(draws.map((flags) => flags.map(hit)));
}

/**
 * Share of hits over all draws of all prompts. n counts prompts: the draws of one prompt are not independent, so the interval is
 * Wilson's for n prompts at the nearest whole number of hits, widened to hold the share itself.
 */
export function drawRate(draws: readonly (readonly boolean[])[]): Rate {
  const n = draws.length;
  if (draws.every((d) => d.length === 1)) return proportion(draws.filter((d) => d[0]).length, n);
  const shares = draws.map((d) => d.filter(Boolean).length / d.length);
  const value = shares.reduce((a, b) => a + b, 0) / n;
  const [low, high] = wilson(Math.round(value * n), n);
  return { value, n, ci95: [Math.min(low, value), Math.max(high, value)] };
}
