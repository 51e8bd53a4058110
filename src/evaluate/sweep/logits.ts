/** @file Logit shift: how far a patch moves the choice between the safe and the bad completion, without generation (docs/concepts/method.md#logit-shift). */
import type { LanguageModel } from '../../models/index.ts';
import { type Probe, probeUnpatched } from '../drafts/verify.ts';
import type { Direction } from '../subject/cases.ts';
import type { Case } from '../subject/completions.ts';

/** The probe of a case and its unpatched values. */
export interface LogitContrast {
  readonly probe: Probe;
  /** LD of the bad and of the safe run. */
  readonly bad: number;
  readonly safe: number;
}

/**
 * LD = logit of the safe run's first differing token minus that of the bad run's, after what the two completions share. An end counts
 * as the first stop token. Where the choice between two answers is read, LD is theirs: the shift does not depend on its sign. Cases
 * whose completions do not part are left out.
 */
export async function logitContrasts(
  model: LanguageModel,
  cases: readonly Case[],
  signal?: AbortSignal,
): Promise<Map<Case, LogitContrast>> {
  const end = model.tokenizer.eosIds[0];
  const found = cases.flatMap((c) => {
    const probe = c.states.bad.choice ?? firstDifference(c.unpatched.safe.ids, c.unpatched.bad.ids, end);
    return probe === undefined ? [] : [{ case: c, probe }];
  });
  const values = async (state: Direction): Promise<number[]> =>
    probeUnpatched(
      model.decoder,
      found.map(({ case: c, probe }) => {
        const { ids, choice } = c.states[state];
        return { ids, probe: choice ?? probe };
      }),
      { signal },
    );
  const [bad, safe] = [await values('bad'), await values('safe')];
  return new Map(found.map(({ case: c, probe }, j) => [c, { probe, bad: bad[j], safe: safe[j] }]));
}

/** (LD_patched − LD_bad) / (LD_safe − LD_bad): 0 = nothing moved, 1 = as in the safe run. NaN when the two runs do not differ. */
export function logitShift(patched: number, { bad, safe }: Pick<LogitContrast, 'bad' | 'safe'>): number {
  return safe === bad ? Number.NaN : (patched - bad) / (safe - bad);
}

function firstDifference(
  safe: readonly number[],
  bad: readonly number[],
  end: number | undefined,
): Probe | undefined {
  let k = 0;
  while (k < safe.length && k < bad.length && safe[k] === bad[k]) k++;
  const up = safe[k] ?? end;
  const down = bad[k] ?? end;
  if (up === undefined || down === undefined || up === down) return undefined;
  return { prefix: safe.slice(0, k), up, down };
}
