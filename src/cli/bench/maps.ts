/**
 * @file Speed and memory of the closed-form affine map on a stream of rows: the same fit on a quarter of the rows first, so that
 * memory which grew with the rows would show. The rows are made as they are read (y = a sparse linear function of x and noise).
 */
import type { PairRows, PairSource } from '../../activations/index.ts';
import { type ProgressSink, type Rng, throwIfAborted } from '../../base/index.ts';
import { fitMap, type MapEnd } from '../../maps/index.ts';

/** Rows and widths that are timed: SmolLM2-135M to Gemma 3 270M. */
export const MAPS = { rows: 200_000, source: 576, target: 640 } as const;

/** A fit of one size. */
export interface FitFigures {
  readonly rows: number;
  /** Fitting alone: moments, decomposition, every λ. */
  readonly fit_seconds: number;
  /** With the reading (here: the making) of the rows. */
  readonly seconds: number;
  readonly cpu_seconds: number;
  /** High-water mark of the process after the fit, bytes: it never falls. */
  readonly high_water: number;
  readonly fvu: number;
}

/** Figures of {@link benchMaps}. */
export interface MapsFigures {
  readonly source_width: number;
  readonly target_width: number;
  readonly quarter: FitFigures;
  readonly whole: FitFigures;
  /** High-water mark of the whole above that of the quarter, bytes; the rows between them would take `rows_bytes`. */
  readonly growth: number;
  readonly rows_bytes: number;
}

/** Fit on a quarter of `rows`, then on all; widths default to {@link MAPS}. */
export async function benchMaps(options: {
  readonly rows: number;
  readonly source?: number;
  readonly target?: number;
  readonly rng: Rng;
  readonly signal: AbortSignal;
  readonly onProgress?: ProgressSink;
}): Promise<MapsFigures> {
  const { rows, source = MAPS.source, target = MAPS.target } = options;
  const few = Math.floor(rows / 4);
  const quarter = await fitOn(few, options);
  const whole = await fitOn(rows, options);
  return {
    source_width: source,
    target_width: target,
    quarter,
    whole,
    growth: whole.high_water - quarter.high_water,
    rows_bytes: 4 * (rows - few) * (source + target),
  };
}

async function fitOn(
  rows: number,
  {
    source = MAPS.source,
    target = MAPS.target,
    rng,
    signal,
    onProgress,
  }: Omit<Parameters<typeof benchMaps>[0], 'rows'>,
): Promise<FitFigures> {
  const seed = rng.fork('rows').int(2 ** 31);
  const end = (name: string, width: number): MapEnd => ({
    model: name,
    name,
    block: 0,
    hook: 'blocks.0.hook_resid_post',
    width,
  });
  const [from, cpu] = [performance.now(), process.cpuUsage()];
  const map = await fitMap(
    { kind: 'affine' },
    {
      train: madeRows(rows, { dx: source, dy: target }, seed, signal),
      validation: madeRows(Math.max(64, Math.floor(rows / 10)), { dx: source, dy: target }, seed + 1, signal),
    },
    {
      fit: 'with_tags',
      source: end('source', source),
      target: end('target', target),
      sourceTokenizer: 'none',
      targetTokenizer: 'none',
      data: 'made',
      seed,
      rng,
      signal,
      onProgress,
      stage: `fit on ${rows} rows`,
    },
  );
  const { user, system } = process.cpuUsage(cpu);
  return {
    rows: map.record.rows,
    fit_seconds: map.record.fitSeconds,
    seconds: (performance.now() - from) / 1000,
    cpu_seconds: (user + system) / 1e6,
    high_water: process.resourceUsage().maxRSS * 1024,
    fvu: map.record.metrics.fvu as number,
  };
}

const BLOCK = 2048;
const OFFSET = 3;
const NOISE = 0.1;

/** n rows in blocks: x uniform about an offset (a residual stream has one), y_j = x_a(j) − x_b(j) / 2 + noise. */
function madeRows(
  n: number,
  { dx, dy }: Pick<PairSource, 'dx' | 'dy'>,
  seed: number,
  signal: AbortSignal,
): PairSource {
  return {
    dx,
    dy,
    async *rows() {
      const next = uniform(seed);
      for (let at = 0; at < n; at += BLOCK) {
        throwIfAborted(signal, 'bench');
        yield block(Math.min(BLOCK, n - at), dx, dy, next);
      }
    },
  };
}

function block(n: number, dx: number, dy: number, next: () => number): PairRows {
  const x = Float32Array.from({ length: n * dx }, () => OFFSET + next());
  const y = new Float32Array(n * dy);
  for (let i = 0, p = 0; i < n; i++)
    for (let j = 0; j < dy; j++, p++)
      y[p] = x[i * dx + (j % dx)]! - x[i * dx + ((7 * j + 1) % dx)]! / 2 + NOISE * next();
  return {
    n,
    x,
    y,
    sourceTokens: new Int32Array(n),
    targetTokens: new Int32Array(n),
    text: new Int32Array(n),
    position: new Int32Array(n).fill(1),
    flags: new Uint8Array(n),
  };
}

/** Numbers in [−0.5, 0.5), fast: xorshift32 (G. Marsaglia, 2003). Their quality does not matter here. */
function uniform(seed: number): () => number {
  let s = seed | 1;
  return () => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return s / 2 ** 32;
  };
}
