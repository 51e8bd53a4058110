/** @file A fleet in words: where the fix is carried and by how much more than what, where there is nothing to fix, and what failed. */
import type { Fleet, FleetBehaviour, FleetTarget } from '../../contracts/index.ts';
import { percent } from '../../figures/index.ts';
import { RULE } from '../verdict/rule.ts';
import { COMPARED_LABEL, join, withInterval } from '../verdict/words.ts';
import { behaviourTitle } from './matrix.ts';

/** A target that has no fix, and why. */
export interface FleetFailure {
  readonly target: string;
  readonly why: string;
}

/** Targets that failed, and those in which there is nothing to fix. */
export function fleetFailures({ targets }: Pick<Fleet, 'targets'>): FleetFailure[] {
  return targets.flatMap(({ name, status, error, behaviours }) => [
    ...(status === 'failed' ? [{ target: name, why: error ?? 'failed' }] : []),
    ...behaviours.filter((one) => !one.has_behaviour).map((one) => ({ target: name, why: nothing(one) })),
  ]);
}

/** Sentences, most important first; the same everywhere. */
export function fleetSentences(fleet: Pick<Fleet, 'targets' | 'source'>): string[] {
  const { targets, source } = fleet;
  const titles = [...new Set(targets.flatMap(({ behaviours }) => behaviours.map(behaviourTitle)))];
  const own = targets.filter(({ own_source }) => own_source).map(({ name }) => name);
  return [
    ...titles.flatMap((title) =>
      checks(targets, title).map((text) => (titles.length > 1 ? `${title}: ${text}` : text)),
    ),
    ...fleetFailures(fleet).map(({ target, why }) => `${target}: ${why}.`),
    ...(own.length > 0
      ? [
          `For ${join(own)} the stages of ${source} were computed apart: settings of the target change what the source reads.`,
        ]
      : []),
  ];
}

/** What the fix does more than, target by target. `undefined`: that was not run. */
const CHECKS: readonly {
  readonly label: string;
  readonly passes: (one: FleetBehaviour) => boolean | undefined;
}[] = [
  { label: 'noise of the same size', passes: ({ margin }) => margin && margin.ci95[0] > RULE.noise },
  { label: `${COMPARED_LABEL.token_mean}, which knows the tag alone`, passes: beaten('token_mean') },
  { label: COMPARED_LABEL.bag_of_tokens, passes: beaten('bag_of_tokens') },
  { label: `${COMPARED_LABEL.clean_a}, which never had the behaviour`, passes: beaten('clean_a') },
  { label: COMPARED_LABEL.embedding_a, passes: beaten('embedding_a') },
];

function beaten(control: FleetBehaviour['controls'][number]['control']) {
  return ({ controls }: FleetBehaviour) => controls.find((one) => one.control === control)?.beaten;
}

function checks(targets: readonly FleetTarget[], title: string): string[] {
  const held = targets.flatMap(({ name, behaviours }) =>
    behaviours
      .filter((one) => behaviourTitle(one) === title && one.has_behaviour)
      .map((one) => ({ name, one })),
  );
  if (held.length === 0) return [];
  return CHECKS.flatMap(({ label, passes }) => {
    const by = (wanted: boolean | undefined) =>
      held.filter(({ one }) => passes(one) === wanted).map(({ name }) => name);
    const [yes, no, unknown] = [by(true), by(false), by(undefined)];
    if (yes.length === 0 && no.length === 0)
      return label.startsWith(COMPARED_LABEL.clean_a) ? [`Not compared with ${label}.`] : [];
    const parts = [
      yes.length > 0 ? join(yes) : 'no target',
      ...(no.length > 0 && yes.length > 0 ? [`not in ${join(no)}`] : []),
      ...(unknown.length > 0 ? [`not run for ${join(unknown)}`] : []),
    ];
    return [`More than ${label}: ${parts.join('; ')}.`];
  });
}

/** Why there is nothing to fix. */
function nothing({ behaviour, trigger_rate: rate, native }: FleetBehaviour): string {
  if (rate && rate.value < RULE.trigger)
    return `nothing to fix: it shows ${behaviour} in ${withInterval(rate)} of ${rate.n} triggered prompts (a verdict needs ${percent(RULE.trigger)})`;
  return native
    ? `nothing to carry: its own vector removes ${behaviour} in only ${withInterval(native)} of ${native.n} triggered prompts`
    : `nothing to carry under ${behaviour}`;
}
