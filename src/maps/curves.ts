/** @file Figures of a map while it is learnt. */
import { collectPairs, type PairRows, type PairSource } from '../activations/index.ts';
import { Rng } from '../base/index.ts';
import type { MapCurves } from '../contracts/index.ts';
import { rowFigures } from './figures.ts';
import type { FitContext } from './fit.ts';
import type { MapBody } from './map.ts';

/** Validation rows behind a point of the curves. */
const CURVE_ROWS = 2048;

type CurveRows = Pick<PairRows, 'n' | 'x' | 'y'>;

/** Figures over steps, on a fixed sample of validation rows in raw units. */
export class Curves {
  readonly #body: () => MapBody;
  readonly #rows: CurveRows;
  readonly #points: ReadonlySet<number>;
  readonly #evaluate: FitContext['evaluate'];
  readonly #table = new Map<string, (number | null)[]>();
  last: Readonly<Record<string, number>> = {};

  private constructor(
    body: () => MapBody,
    rows: CurveRows,
    points: ReadonlySet<number>,
    { evaluate }: FitContext,
  ) {
    this.#body = body;
    this.#rows = rows;
    this.#points = points;
    this.#evaluate = evaluate;
  }

  /** Of the map that `body` gives as it stands, over `steps` steps. */
  static async open(
    body: () => MapBody,
    validation: PairSource,
    steps: number,
    context: FitContext,
  ): Promise<Curves> {
    const rng = new Rng(0).fork('curve rows'); // the same sample for every map and seed
    const rows = await collectPairs(validation, { maxRows: CURVE_ROWS, rng });
    const count = Math.max(2, context.curvePoints ?? 12);
    const points = new Set(
      Array.from({ length: count }, (_, k) => Math.round(steps * (k / (count - 1)) ** 2)),
    );
    return new Curves(body, rows, points, context);
  }

  /** Whether a point is taken after this step. */
  wants(step: number): boolean {
    return this.#points.has(step);
  }

  /** Take a point; `seconds` of fitting until then. */
  async at(step: number, seconds: number): Promise<void> {
    const body = this.#body();
    const { n, x, y } = this.#rows;
    const own = rowFigures(body.apply(x, n), y, n, y.length / n);
    this.last = { ...own, ...(await this.#evaluate?.(body)) };
    const row: Record<string, number> = { step, fit_seconds: seconds, ...this.last };
    for (const [key, value] of Object.entries(row)) {
      const column = this.#table.get(key) ?? [];
      this.#table.set(key, column);
      column.push(Number.isFinite(value) ? value : null);
    }
  }

  /** Columns of equal length. */
  table(): MapCurves {
    return Object.fromEntries(this.#table) as MapCurves;
  }
}
