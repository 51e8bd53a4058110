/**
 * @file Which block of A goes to which block of B (docs/concepts/method.md#block-pairs): every pair by cheap scores, from one pass of both models
 * and probes without generation; some pairs confirmed by generation, and how well each score ranks them. L, M blocks.
 */
import { throwIfAborted } from '../../base/index.ts';
import type { BlockPairs, BlockPairsSettings, EvaluationSettings } from '../../contracts/index.ts';
import { float64Products, type MatmulTN } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { mean, spearman } from '../../stats/index.ts';
import { runArms } from '../arms/run.ts';
import { Tally } from '../arms/tally.ts';
import type { JudgedCase } from '../detect/detector.ts';
import { type ProbedRun, runProbes } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import type { FitTexts } from '../mapping/texts.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { logitContrasts, logitShift } from '../sweep/logits.ts';
import { type Centred, centre, cka, fitPair, type SourceSide, sourceSide } from './fits.ts';
import { type Blocks, everyBlock, type SplitRows } from './rows.ts';
import { bothTagSpans, type TagSpans } from './spans.ts';

/** Two models, and what they are compared on. */
export interface BlockPairsInput {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  /** Texts both read: fits on the training part, errors on the others. */
  readonly texts: FitTexts;
  /** Validation prompts with the target's unpatched completions. */
  readonly subject: Subject;
  /** The target block at which scores are ranked against generation. */
  readonly target_block: number;
}

/** Settings of {@link blockPairs}. */
export type BlockPairsParams = BlockPairsSettings & Pick<EvaluationSettings, 'max_tokens'>;

/** Everything that is read of the models once. */
interface Read {
  readonly blocks: Blocks;
  readonly rows: SplitRows;
  readonly cases: readonly JudgedCase[];
  readonly spans: { readonly source: TagSpans; readonly target: TagSpans };
  readonly sides: readonly SourceSide[];
  readonly matmulTN: MatmulTN;
}

/** Score every pair; confirm some. Undefined where no prompt shows the behaviour. */
export async function blockPairs(
  input: BlockPairsInput,
  settings: BlockPairsParams,
  env: Pick<ExperimentEnv, 'rng' | 'progress' | 'signal'>,
): Promise<BlockPairs | undefined> {
  const cases = testedCases(input.subject, 'bad').slice(0, settings.prompts);
  if (cases.length === 0) return undefined;
  const products = await float64Products();
  try {
    const read = await readBoth(input, cases, settings, { ...env, matmulTN: products.matmulTN });
    const scores = await scorePairs(input, read, env);
    const confirmed = await confirm(input, read, chosenPairs(scores, input.target_block, settings.confirm), {
      max_tokens: settings.max_tokens,
      ...env,
    });
    return { ...scores, confirmed, rank_correlation: rankings(scores, confirmed, input.target_block) };
  } finally {
    await products.session[Symbol.asyncDispose]();
  }
}

async function readBoth(
  { source, target, texts }: BlockPairsInput,
  cases: readonly JudgedCase[],
  { rows: wanted, source_blocks, target_blocks }: BlockPairsSettings,
  {
    rng,
    signal,
    progress,
    matmulTN,
  }: Pick<ExperimentEnv, 'rng' | 'signal' | 'progress'> & { matmulTN: MatmulTN },
): Promise<Read> {
  const listOf = (blocks: 'all' | readonly number[], { nLayers }: LanguageModel): readonly number[] =>
    blocks === 'all' ? Array.from({ length: nLayers }, (_, k) => k) : blocks;
  const blocks = { source: listOf(source_blocks, source), target: listOf(target_blocks, target) };
  progress({ stage: 'block pairs', done: 0, unit: 'blocks', message: `reading ${wanted} tokens` });
  const models = { source, target };
  const rows = await everyBlock(models, texts, { blocks, rows: wanted, rng: rng.fork('rows'), signal });
  const spans = await bothTagSpans(models, blocks, cases, signal);
  const width = source.config.dModel;
  const sides: SourceSide[] = [];
  for (const [k, x] of rows.train.source.entries())
    sides.push(await sourceSide(x, rows.test.source[k], width, matmulTN));
  return { blocks, rows, cases, spans, sides, matmulTN };
}

type Scores = Required<
  Pick<BlockPairs, 'source_blocks' | 'target_blocks' | 'ridge_r2' | 'cka' | 'cka_contrast' | 'logit_shift'>
>;

/** Target block by target block, so that the maps of one are held at a time. */
async function scorePairs(
  { source, target }: BlockPairsInput,
  read: Read,
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<Scores> {
  const { blocks, rows, cases, spans, matmulTN } = read;
  const matrix = (): (number | null)[][] => blocks.source.map(() => blocks.target.map(() => null));
  const out = {
    source_blocks: [...blocks.source],
    target_blocks: [...blocks.target],
    ridge_r2: matrix(),
    cka: matrix(),
    cka_contrast: matrix(),
    logit_shift: matrix(),
  };
  const contrasts = await logitContrasts(target, cases, signal);
  const differences: Centred[] = [];
  for (const rows of spans.source.differences)
    differences.push(await centre(rows, source.config.dModel, matmulTN));
  for (const [m, block] of blocks.target.entries()) {
    throwIfAborted(signal, 'block pairs');
    const width = target.config.dModel;
    const y = await centre(rows.train.target[m], width, matmulTN);
    const difference = await centre(spans.target.differences[m], width, matmulTN);
    const mapped: Float32Array[][] = [];
    for (const [l, side] of read.sides.entries()) {
      const fit = await fitPair(side, y, rows.test.target[m], matmulTN);
      out.ridge_r2[l][m] = finite(fit.r2);
      out.cka[l][m] = finite(fit.cka);
      out.cka_contrast[l][m] = finite(await cka(differences[l], difference, matmulTN));
      mapped.push(spans.source.safe[l].map((span) => through(span, side, fit.weight, y.mean)));
    }
    const shifts = await shiftsAt(target, block, { cases, mapped, contrasts, signal });
    shifts.forEach((shift, l) => {
      out.logit_shift[l][m] = finite(shift);
    });
    progress({ stage: 'block pairs', done: m + 1, total: blocks.target.length, unit: 'target blocks' });
  }
  return out;
}

/** Mean logit shift of every source block's mapped spans after `block` of the target. */
async function shiftsAt(
  target: LanguageModel,
  block: number,
  given: {
    readonly cases: readonly JudgedCase[];
    /** By source block, then case. */
    readonly mapped: readonly (readonly Float32Array[])[];
    readonly contrasts: Awaited<ReturnType<typeof logitContrasts>>;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<number[]> {
  const { cases, mapped, contrasts, signal } = given;
  const probed = cases.flatMap((c, i) => {
    const contrast = contrasts.get(c);
    return contrast === undefined ? [] : [{ c, i, contrast }];
  });
  const shifts: number[][] = mapped.map(() => []);
  const plan = {
    rows: probed.map(({ c }) => ({ ids: c.states.bad.ids, from: c.states.bad.span.start })),
    blocks: [block],
    runsOf: (row: number): ProbedRun[] => {
      const { c, i, contrast } = probed[row];
      const { positions } = c.states.bad;
      return mapped.map((spans, l) => ({
        arm: String(l),
        positions,
        values: spans[i],
        mode: 'set',
        probe: contrast.probe,
      }));
    },
  };
  for await (const { row, run, value } of runProbes(target.decoder, plan, { signal }))
    shifts[Number(run.arm)].push(logitShift(value, probed[row].contrast));
  return shifts.map((values) => {
    const real = values.filter((v) => !Number.isNaN(v));
    return real.length === 0 ? Number.NaN : mean(real);
  });
}

/** A pair of blocks by its places in the lists. */
type Pair = readonly [l: number, m: number];

/** Source blocks spread over the target block in question, then the best of all by logit shift: `most` of each at most. */
function chosenPairs(
  { logit_shift, source_blocks, target_blocks }: Scores,
  at: number,
  most: number,
): Pair[] {
  if (most === 0) return [];
  const m = target_blocks.indexOf(at);
  const step = Math.max(1, (source_blocks.length - 1) / Math.max(1, most - 1));
  const spread = Array.from({ length: Math.min(most, source_blocks.length) }, (_, k) => Math.round(k * step));
  const all = source_blocks.flatMap((_, l) => target_blocks.map((_, k): Pair => [l, k]));
  const shift = ([l, k]: Pair): number => logit_shift[l][k] ?? Number.NEGATIVE_INFINITY;
  const best = all.sort((a, b) => shift(b) - shift(a)).slice(0, Math.ceil(most / 2));
  const pairs = [...(m < 0 ? [] : spread.map((l): Pair => [l, m])), ...best];
  return [...new Map(pairs.map((pair) => [pair.join(), pair])).values()];
}

/** Restoration by the ridge map of each pair, generated. */
async function confirm(
  { target, subject }: BlockPairsInput,
  { blocks, rows, cases, spans, sides, matmulTN }: Read,
  pairs: readonly Pair[],
  { max_tokens, progress, signal }: { max_tokens: number } & Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<NonNullable<BlockPairs['confirmed']>> {
  const out: NonNullable<BlockPairs['confirmed']> = [];
  for (const m of new Set(pairs.map(([, at]) => at))) {
    const y = await centre(rows.train.target[m], target.config.dModel, matmulTN);
    const own = pairs.filter(([, at]) => at === m).map(([l]) => l);
    const mapped = new Map<number, readonly Float32Array[]>();
    for (const l of own) {
      const { weight } = await fitPair(sides[l], y, rows.test.target[m], matmulTN);
      mapped.set(
        l,
        spans.source.safe[l].map((span) => through(span, sides[l], weight, y.mean)),
      );
    }
    const tally = new Tally(cases);
    const place = new Map(cases.map(({ id }, i) => [id, i]));
    const runs = runArms(
      target,
      { ...subject, cases },
      {
        blocks: [blocks.target[m]],
        directions: ['bad'],
        armsOf: ({ case: c }) =>
          own.map((l) => ({
            arm: String(l),
            values: mapped.get(l)?.[place.get(c.id) as number] as Float32Array,
          })),
      },
      { max_tokens, progress, signal, stage: 'block pairs' },
    );
    for await (const run of runs) tally.add(run);
    for (const l of own) {
      const { restoration } = tally.outcome(String(l));
      if (restoration !== undefined)
        out.push({ source_block: blocks.source[l], target_block: blocks.target[m], restoration });
    }
  }
  return out;
}

const RANKED = ['ridge_r2', 'cka', 'cka_contrast', 'logit_shift'] as const;

/** Spearman of each score with restoration over the confirmed pairs of one target block; left out where either does not vary. */
function rankings(
  scores: Scores,
  confirmed: NonNullable<BlockPairs['confirmed']>,
  at: number,
): Record<string, number> {
  const own = confirmed.filter(({ target_block }) => target_block === at);
  const m = scores.target_blocks.indexOf(at);
  const restored = own.map(({ restoration: r }) => (typeof r === 'number' ? r : r.value));
  return Object.fromEntries(
    RANKED.flatMap((score) => {
      const values = own.map(({ source_block }) => {
        return scores[score][scores.source_blocks.indexOf(source_block)][m] ?? Number.NaN;
      });
      if (own.length < 3 || values.some(Number.isNaN)) return [];
      const { value } = spearman(values, restored);
      return Number.isNaN(value) ? [] : [[score, value]];
    }),
  );
}

/** ŷ = (x − x̄) W + ȳ of every row [n,D_source] → [n,D_target]. */
function through(span: Float32Array, { centred }: SourceSide, weight: Float64Array, mean: Float64Array) {
  const [dx, dy] = [centred.width, mean.length];
  const n = span.length / dx;
  const out = new Float32Array(n * dy);
  const row = new Float64Array(dy);
  for (let i = 0; i < n; i++) {
    row.set(mean);
    for (let j = 0; j < dx; j++) {
      const x = span[i * dx + j] - centred.mean[j];
      for (let k = 0; k < dy; k++) row[k] += x * weight[j * dy + k];
    }
    out.set(row, i * dy);
  }
  return out;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
