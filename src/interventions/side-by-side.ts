/** @file Interventions made for one prompt each, at work in the rows of one call. */
import { Activation, type FwdHook } from '../models/index.ts';

/**
 * Hooks for a call of several rows: row i is given to `hooksOf[i]`, which see it as row 0 of a call of its own. Only for hooks that change
 * activations in place, as those of `applyIntervention` do.
 */
export function sideBySide(hooksOf: readonly (readonly FwdHook[])[]): FwdHook[] {
  const names = [...new Set(hooksOf.flatMap((hooks) => hooks.map(([name]) => name)))];
  return names.map((name): FwdHook => {
    const mine = hooksOf.map((hooks) => hooks.filter(([own]) => own === name));
    return [
      name,
      ({ data, shape }, context) => {
        const [, columns, d] = shape as readonly [number, number, number];
        for (const [b, row] of context.rows.entries()) {
          const alone = { rows: [0], starts: [context.starts[b]], counts: [context.counts[b]] };
          const own = data.subarray(b * columns * d, (b + 1) * columns * d);
          for (const [, fn] of mine[row] ?? [])
            fn(new Activation({ shape: [1, columns, d], data: own }, alone.counts), {
              ...context,
              ...alone,
            });
        }
      },
    ];
  });
}
