/** @file Hooks of a batch whose rows belong to different callers. */
import { type FwdHook, HookTable, parseHookName } from './hooks.ts';
import { type Lane, notANumber } from './lane.ts';

/** Beyond this an activation is on its way to overflow: its row is ended before the pass is lost for all. */
const LARGEST = 1e15;

/** Hooks of a batch: row b's go to `lanes[b]`, as if it were alone. */
export function dispatchHooks(lanes: readonly (Lane | undefined)[], nLayers: number): HookTable | undefined {
  const names = new Set(lanes.flatMap((lane) => lane?.names ?? []));
  if (names.size === 0) return undefined;
  return new HookTable(
    [...names].map((name): FwdHook => {
      const point = parseHookName(name, nLayers);
      return [
        name,
        ({ shape, data }, { rows, starts, counts, phase }) => {
          const [, columns = 0, d = 0] = shape;
          rows.forEach((b) => {
            const lane = lanes[b];
            if (lane?.hooks === undefined || lane.failure !== undefined) return;
            const own = data.subarray(b * columns * d, (b + 1) * columns * d);
            const one = { rows: [0], starts: [starts[b] as number], counts: [counts[b] as number], phase };
            const tensor = { dtype: 'f32' as const, shape: [1, columns, d], data: own };
            try {
              lane.hooks.fire(point, tensor, one);
              if (own.some((x) => !(Math.abs(x) <= LARGEST))) throw notANumber();
            } catch (error) {
              lane.failure = error;
              own.fill(0);
            }
          });
        },
      ];
    }),
    nLayers,
  );
}
