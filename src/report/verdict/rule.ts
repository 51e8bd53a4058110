/**
 * @file The rule behind the one word a run opens with (docs/concepts/method.md, Verdict). The first line that matches wins. S is the
 * restoration of the mapped arm, N of the native one, Z of the strongest noise arm.
 */
import { type BehaviourResults, NOISE_ARMS } from '../../contracts/index.ts';
import type { TransferCase } from '../../figures/index.ts';
import {
  type Compared,
  type Difference,
  difference,
  margin,
  restorationOf,
  strongestNoise,
} from './differences.ts';

export type VerdictWord =
  | 'undecided'
  | 'nothing to carry'
  | 'not carried'
  | 'carried, but so does noise'
  | 'carried, but so does a lookup'
  | 'carried, but so does the clean source'
  | 'carried, but so do the embeddings'
  | 'carried';

/** Which line of the rule matched. */
export type Reason =
  | 'not steered'
  | 'few prompts'
  | 'arms missing'
  | 'weak trigger'
  | 'weak native'
  | 'under half'
  | 'around half'
  | 'noise'
  | 'lookup'
  | 'bag'
  | 'clean source'
  | 'embeddings'
  | 'carried';

/** Thresholds of the rule, as shares. */
export const RULE = { prompts: 50, trigger: 0.8, native: 0.5, noise: 0.1, control: 0.05 } as const;

const WORD = {
  'not steered': 'undecided',
  'few prompts': 'undecided',
  'arms missing': 'undecided',
  'weak trigger': 'nothing to carry',
  'weak native': 'nothing to carry',
  'under half': 'not carried',
  'around half': 'undecided',
  noise: 'carried, but so does noise',
  lookup: 'carried, but so does a lookup',
  bag: 'carried, but so does a lookup',
  'clean source': 'carried, but so does the clean source',
  embeddings: 'carried, but so do the embeddings',
  carried: 'carried',
} as const satisfies Record<Reason, VerdictWord>;

export interface Judged {
  readonly word: VerdictWord;
  readonly reason: Reason;
}

/** The rule. `chosen`: the map and fit the verdict speaks of, null when no map was steered with. */
export function judge(behaviour: BehaviourResults, chosen: TransferCase | null): Judged {
  const reason = reasonOf(behaviour, chosen);
  return { word: WORD[reason], reason };
}

function reasonOf(behaviour: BehaviourResults, chosen: TransferCase | null): Reason {
  const mapped = chosen?.entry.arms.mapped?.restoration;
  if (chosen === null || mapped === undefined) return 'not steered';
  const native = chosen.entry.arms.native?.restoration;
  if (mapped.n < RULE.prompts) return 'few prompts';
  if (native === undefined || strongestNoise(chosen) === undefined) return 'arms missing';
  const trigger = chosen.entry.trigger_rate ?? behaviour.backdoor?.target?.trigger_rate;
  if (trigger !== undefined && trigger.value < RULE.trigger) return 'weak trigger';
  if (native.ci95[1] < RULE.native) return 'weak native';
  const half = difference(behaviour, chosen, 'half_native');
  if (half && half.ci95[1] < 0) return 'under half';
  if (half && half.ci95[0] < 0) return 'around half';
  const within = (found: Difference | undefined, by: number) => found !== undefined && found.ci95[0] <= by;
  if (within(margin(behaviour, chosen), RULE.noise)) return 'noise';
  if (within(difference(behaviour, chosen, 'token_mean'), RULE.control)) return 'lookup';
  if (within(difference(behaviour, chosen, 'bag_of_tokens'), RULE.control)) return 'bag';
  if (within(difference(behaviour, chosen, 'clean_a'), RULE.control)) return 'clean source';
  if (within(difference(behaviour, chosen, 'embedding_a'), RULE.control)) return 'embeddings';
  return 'carried';
}

/** Arms the rule asks for that were not run. */
export function notChecked(behaviour: BehaviourResults, chosen: TransferCase): Compared[] {
  const asked: readonly Compared[] = ['native', ...NOISE_ARMS, 'token_mean', 'clean_a'];
  return asked.filter((arm) => arm !== chosen.fit && restorationOf(behaviour, chosen, arm) === undefined);
}
