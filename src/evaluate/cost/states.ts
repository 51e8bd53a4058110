/** @file The states in which cost is measured: which run of a prompt each is, and the one in which every activation is replaced. */
import type { CostState } from '../../contracts/index.ts';
import { captureResiduals, type Patch } from '../../interventions/index.ts';
import { type BlockOf, mapRows, type RowMap, sourceRow } from '../arms/spans.ts';
import type { ContrastCase } from '../subject/cases.ts';

/** Which run of the prompt a state is: its own, and how it is patched. */
export const COST_RUNS = {
  clean: { run: 'none', patched: false },
  untagged: { run: 'none', patched: false },
  safe: { run: 'safe', patched: false },
  bad: { run: 'bad', patched: false },
  bad_native: { run: 'bad', patched: true },
  bad_mapped: { run: 'bad', patched: true },
  bad_random: { run: 'bad', patched: true },
  safe_mapped: { run: 'safe', patched: true },
  full_replacement: { run: 'safe', patched: true },
} as const satisfies Record<CostState, { run: 'none' | 'safe' | 'bad'; patched: boolean }>;

/** Every position of the safe prompt but the first, set to the mapped activation of the source. */
export async function fullReplacement(
  { source, target, map }: { readonly source: BlockOf; readonly target: BlockOf; readonly map: RowMap },
  cases: readonly ContrastCase[],
  signal: AbortSignal | undefined,
): Promise<Patch[]> {
  const places = cases.map(({ states: { safe } }) => {
    const positions = Array.from({ length: safe.ids.length - 1 }, (_, k) => k + 1);
    return { positions, at: sourceRow(source.model, safe, positions), tokens: safe.ids.slice(1) };
  });
  const given = await captureResiduals(
    source.model.decoder,
    places.map(({ at }) => at),
    [source.block],
    { signal },
  );
  const mapped = await mapRows(
    map,
    places.map(({ tokens }, i) => ({ rows: given[i][0], tokens })),
  );
  return places.map(({ positions }, i) => ({ block: target.block, positions, values: mapped[i] }));
}
