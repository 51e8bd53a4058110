/** @file What the verdict says beside the comparison: cost, a weak backdoor, and expected no-ops that did something. */
import type { BehaviourResults } from '../../contracts/index.ts';
import { percent, short } from '../../figures/index.ts';
import { join, points, withInterval } from './words.ts';

export function cost({ capabilities, cost_kl: kl }: BehaviourResults): string[] {
  const against = (state: 'bad_mapped' | 'full_replacement') =>
    Object.entries(capabilities ?? {}).flatMap(([task, states]) => {
      const [patched, safe] = [states[state], states.safe];
      return patched && safe ? [`${points(patched.value - safe.value)} on ${taskName(task)}`] : [];
    });
  const [fix, full] = [against('bad_mapped'), against('full_replacement')];
  const parts = [
    ...(fix.length > 0 ? [`the mapped fix on triggered prompts against the safe state, ${join(fix)}`] : []),
    ...(full.length > 0 ? [`replacing every activation, ${join(full)}`] : []),
    ...(kl?.safe_mapped
      ? [`KL of the patched safe state ${short(kl.safe_mapped.value)} nats per token`]
      : []),
  ];
  return [parts.length > 0 ? `Cost: ${parts.join('; ')}.` : 'Cost: not measured.'];
}

/** A backdoor that was learnt badly. */
export function trained({ backdoor }: BehaviourResults): string[] {
  const weak = (['source', 'target'] as const).flatMap((side) => {
    const rate = backdoor?.[side]?.trigger_rate;
    return rate && rate.value < 0.9
      ? [`the ${side} shows the behaviour in only ${withInterval(rate)} of triggered prompts`]
      : [];
  });
  return weak.length > 0 ? [`Note: ${join(weak)}.`] : [];
}

/** Expected no-ops that did something: a fault of the run, not a result. */
export function alarms({ sweep, fidelity }: BehaviourResults): string[] {
  const self = (['source', 'target'] as const).flatMap((side) =>
    (sweep?.[side] ?? []).flatMap((row) => {
      const changed = row.controls.self?.changed ?? row.controls.self?.removal;
      return changed && changed.value > 0 ? [`${side} block ${row.block}`] : [];
    }),
  );
  const ceiling = Object.values(fidelity ?? {}).flatMap((fits) =>
    Object.values(fits).flatMap((sides) =>
      [sides?.safe, sides?.bad].flatMap((judges) => {
        const scores = judges?.lexical;
        return scores?.ceiling && Math.abs(scores.ceiling.value - 1) > 1e-6
          ? [percent(scores.ceiling.value)]
          : [];
      }),
    ),
  );
  return [
    ...(self.length > 0
      ? [`WARNING: patching a run with its own activations changed completions (${join(self)}).`]
      : []),
    ...(ceiling.length > 0 ? [`WARNING: the ceiling is not the unpatched text (${join(ceiling)}).`] : []),
  ];
}

/** The bundled tasks are one task to the results. */
function taskName(task: string): string {
  return task === 'bundled' ? 'the bundled tasks' : task;
}
