/** @file Some rows of one source, or of two in a given proportion, drawn at random without holding any. */
import { InputError, type Rng } from '../base/index.ts';
import type { PairRows, PairSource } from './rows.ts';
import { selectPairs } from './table.ts';

/** What is drawn. */
export interface PairMix {
  /** Share of the rows that come from `second`; 0 to 1. */
  readonly share: number;
  /** Rows in all. Defaults to as many as both sources have in that proportion. */
  readonly rows?: number | undefined;
  /** Flags of rows that are not drawn. */
  readonly leaveOut: number;
  /** Begins errors. */
  readonly where: string;
}

/**
 * Rows of `first` and `second`, each drawn without replacement and in its own order, the same ones at every pass (selection sampling,
 * D. Knuth, The Art of Computer Programming 2, algorithm 3.4.2 S). Both are read through once to count them.
 *
 * @throws InputError where the sources do not have as many rows
 */
export async function mixPairs(
  first: PairSource,
  second: PairSource | undefined,
  { share, rows, leaveOut, where }: PairMix,
  rng: Rng,
): Promise<PairSource> {
  const parts = [
    { source: first, share: 1 - share, name: 'first' },
    ...(second === undefined ? [] : [{ source: second, share, name: 'second' }]),
  ].filter((part) => part.share > 0);
  const counted = await Promise.all(
    parts.map(async (part) => {
      const source = selectPairs(part.source, { leaveOut });
      return { ...part, source, count: await countOf(source) };
    }),
  );
  const most = Math.floor(Math.min(...counted.map((part) => part.count / part.share)));
  if (rows !== undefined && rows > most)
    throw new InputError(
      `${where}: asks for ${rows} rows, ${Math.round(100 * share)} % of text without tags; the texts give ${most} in that proportion; ask for fewer, or read more texts`,
      { id: 'fit-impossible' },
    );
  const total = rows ?? most;
  const fromSecond = Math.round(total * share);
  const drawn = counted.map((part) => ({
    ...part,
    take: Math.min(part.count, part.name === 'second' ? fromSecond : total - fromSecond),
    // A name, not a state: every pass draws the same rows.
    stream: () => rng.fork(part.name),
  }));
  return {
    dx: first.dx,
    dy: first.dy,
    rows: async function* (): AsyncGenerator<PairRows> {
      for (const { source, count, take, stream } of drawn) {
        const draws = stream();
        let left = take;
        let unseen = count;
        const keep = (): boolean => {
          const chosen = draws.next() * unseen < left;
          unseen--;
          if (chosen) left--;
          return chosen;
        };
        yield* selectPairs(source, { leaveOut, keep }).rows();
      }
    },
  };
}

async function countOf(source: PairSource): Promise<number> {
  let n = 0;
  for await (const rows of source.rows()) n += rows.n;
  return n;
}
