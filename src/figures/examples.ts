/**
 * @file Example tables: completions of one prompt in every state, true, mapped, mean-ablated, steered natively and by the map,
 * inverse (the blog's Fig. 6, 7, 9, 13), as records. Who draws them marks the overwritten tokens and the words that differ.
 */
import type { BehaviourResults, Sample } from '../contracts/index.ts';
import { headline } from './cases.ts';
import { TRANSFER_STYLE } from './palette.ts';
import { clip } from './records.ts';
import type { DataRow } from './spec.ts';

/** One completion. `reference` is what it should equal: the unpatched completion of the same prompt under the wanted trigger. */
export interface ExampleState {
  readonly label: string;
  readonly completion: string;
  readonly reference?: string;
  /** Flags that hold: `restored`, `triggered` … */
  readonly flags: readonly string[];
  readonly scores: Readonly<Record<string, number>>;
}

/** A prompt with its states. `tokens` joined are the prompt; those at `changed` had their activations overwritten. */
export interface ExampleCard {
  readonly prompt_id: string;
  readonly tokens: readonly string[];
  readonly changed: readonly number[];
  readonly states: readonly ExampleState[];
}

export interface ExampleTable {
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  readonly cards: readonly ExampleCard[];
  readonly rows: readonly DataRow[];
}

/** Prompts shown, and how many of them are failures: those teach more. */
const SHOWN = 6;
const FAILURES = 3;
/** Characters kept of any text. */
const LONGEST = 1500;

interface State {
  readonly label: string;
  readonly is: (sample: Sample) => boolean;
  /** Which unpatched completion the differences are taken against. */
  readonly against: 'safe' | 'bad' | null;
}

const STEERED = [
  ['native', 'steered natively'],
  ['mapped', 'steered by the map'],
  ...(['static', 'token_mean', 'random', 'random_cov', 'random_step', 'shuffled'] as const).map(
    (arm) => [arm, `control: ${TRANSFER_STYLE[arm].label}`] as const,
  ),
] as const;
const REPLACED = [
  ['mapped', 'mapped activations'],
  ['mean_ablated', 'its mean'],
  ['shuffled', 'a shuffled map'],
] as const;

const STATES: readonly State[] = [
  state('true: unpatched, safe trigger', ['backdoor', 'unpatched', 'safe'], null),
  state('true: unpatched, bad trigger', ['backdoor', 'unpatched', 'bad'], null),
  ...STEERED.map(([arm, words]) => state(`bad trigger, ${words}`, ['transfer', arm, 'bad'], 'safe')),
  state('safe trigger, bad activations mapped in', ['transfer', 'mapped', 'safe'], 'bad'),
  ...(['safe', 'bad'] as const).flatMap((side) =>
    REPLACED.map(([arm, words]) =>
      state(`prompt replaced by ${words} (${side})`, ['fidelity', arm, side], side),
    ),
  ),
  ...(['reverse_ridge', 'pinv', 'truncated'] as const).map((arm) =>
    state(`source, steered back by the inverse (${arm.replace('_', ' ')})`, ['inverse', arm, 'bad'], 'safe'),
  ),
];

/** The rows of `samples` that example tables of `behaviour` are made of, by prompt: those without a map and those of the headline's. */
export function exampleGroups(
  behaviour: BehaviourResults,
  samples: readonly Sample[],
): ReadonlyMap<string, readonly Sample[]> {
  const chosen = headline(behaviour);
  const ofMap = (s: Sample) => !s.map || !chosen || (s.map.kind === chosen.kind && s.map.fit === chosen.fit);
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    if (sample.behaviour !== behaviour.pair.behaviour || !ofMap(sample)) continue;
    const group = groups.get(sample.prompt_id);
    if (group) group.push(sample);
    else groups.set(sample.prompt_id, [sample]);
  }
  return groups;
}

/** A few prompts, failures of the mapped vector first; null when there are no samples of the behaviour. */
export function exampleTable(behaviour: BehaviourResults, samples: readonly Sample[]): ExampleTable | null {
  const groups = [...exampleGroups(behaviour, samples)].map(([prompt_id, rows]) => ({ prompt_id, rows }));
  if (groups.length === 0) return null;
  const { pair } = behaviour;
  const failures = groups.filter(({ rows }) => isFailure(rows));
  const successes = groups.filter(({ rows }) => !isFailure(rows));
  const shown = [
    ...failures.slice(0, Math.max(FAILURES, SHOWN - successes.length)),
    ...successes.slice(0, Math.max(SHOWN - FAILURES, SHOWN - failures.length)),
  ];
  const isSteered = groups.some(({ rows }) => rows.some((s) => s.stage === 'transfer' && s.arm === 'mapped'));
  const cards = shown.map(({ prompt_id, rows }) => card(prompt_id, rows));
  return {
    id: `${pair.behaviour}-${pair.placement}-examples`,
    title: 'The same prompt in every state',
    caption: `Greedy completions. ${isSteered ? `Of ${groups.length} prompts with samples, the mapped vector failed to restore ${failures.length}; shown first are up to ${FAILURES} failures. The random and shuffled states are the controls.` : `${groups.length} prompts have samples so far; no map has been used on them yet.`}`,
    cards,
    rows: cards.flatMap(({ prompt_id, tokens, changed, states }) =>
      states.map(
        ({ label, completion, reference, flags, scores }): DataRow => ({
          prompt_id,
          prompt: tokens.join(''),
          changed_positions: changed.join(' '),
          state: label,
          completion,
          reference: reference ?? null,
          flags: flags.join(' '),
          ...scores,
        }),
      ),
    ),
  };
}

function card(prompt_id: string, rows: readonly Sample[]): ExampleCard {
  const present = STATES.flatMap((s) => {
    const sample = rows.find(s.is);
    return sample ? [{ ...s, sample }] : [];
  });
  const marked = present.find(({ sample }) => (sample.changed_positions?.length ?? 0) > 0)?.sample;
  const tokens = marked?.prompt_tokens;
  const whole = tokens && tokens.join('').length <= LONGEST;
  return {
    prompt_id: clip(prompt_id, 40),
    tokens: whole ? tokens : [cut((marked ?? rows[0])?.prompt ?? '')],
    changed: whole ? (marked?.changed_positions ?? []) : [],
    states: present.map(({ label, against, sample }) => {
      const reference = against ? sample.references?.[against] : undefined;
      return {
        label,
        completion: cut(sample.completion),
        reference: reference === undefined ? undefined : cut(reference),
        flags: Object.entries(sample.outcome ?? {}).flatMap(([flag, value]) => (value ? [flag] : [])),
        scores: sample.scores ?? {},
      };
    }),
  };
}

function state(
  label: string,
  [stage, arm, trigger]: readonly [string, string, string],
  against: State['against'],
): State {
  const side = stage === 'inverse' ? 'source' : 'target';
  return {
    label,
    against,
    is: (s) => s.stage === stage && s.arm === arm && s.trigger === trigger && (s.side ?? 'target') === side,
  };
}

function isFailure(rows: readonly Sample[]): boolean {
  return rows.some(
    (s) =>
      s.stage === 'transfer' && s.arm === 'mapped' && s.trigger === 'bad' && s.outcome?.restored === false,
  );
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${clip(text, LONGEST)} (${text.length - LONGEST} more characters)`;
}
