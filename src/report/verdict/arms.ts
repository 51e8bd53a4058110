/** @file The table of arms under a verdict: restoration of each, and the mapped arm minus it. */
import { type BehaviourResults, type Rate, VERSUS } from '../../contracts/index.ts';
import { headline } from '../../figures/index.ts';
import { type Difference, difference, restorationOf } from './differences.ts';
import { COMPARED_LABEL } from './words.ts';

export interface ArmRow {
  readonly label: string;
  readonly restoration: Rate;
  /** Mapped minus this arm; absent for the mapped arm itself. */
  readonly difference?: Difference;
}

/** The mapped arm, then every arm it is compared with that was run. Empty when nothing was steered. */
export function armRows(behaviour: BehaviourResults): ArmRow[] {
  const chosen = headline(behaviour);
  const mapped = chosen?.entry.arms.mapped?.restoration;
  if (!chosen || !mapped) return [];
  const others = VERSUS.flatMap((compared): ArmRow[] => {
    const rate = restorationOf(behaviour, chosen, compared);
    const found = difference(behaviour, chosen, compared);
    return compared === 'half_native' || !rate || !found
      ? []
      : [{ label: COMPARED_LABEL[compared], restoration: rate, difference: found }];
  });
  return [{ label: `the ${chosen.kind} map`, restoration: mapped }, ...others];
}
