/**
 * @file The same model run by us and by llama.cpp in turns: the quantised file as it lies, in exact and fast arithmetic, and all of it in
 * float32. A ratio is the median over turns of our rate over theirs.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { disposeAll, InputError, type Rng } from '../../base/index.ts';
import { tinyInstructions } from '../../behaviours/index.ts';
import type { ArithmeticFigures } from '../../contracts/index.ts';
import { exportGguf, heldAs, inspectCheckpoint, LanguageModel, openCheckpoint } from '../../models/index.ts';
import { decodeColumns, NEW_TOKENS, prefillOf, randomPrompts } from './inference.ts';
import { loadLlamaCpp, openLlamaCpp } from './llama-cpp.ts';
import { interleaved, type Task } from './timing.ts';

/** Rates in tokens a second. */
export interface Beside {
  readonly ours: number;
  readonly theirs: number;
  /** Ours over theirs, in the same turns. */
  readonly ratio: number;
}

/** What is timed, in one way of ours beside llama.cpp on a file. */
export interface WayFigures {
  readonly decode_1: Beside;
  readonly decode_16: Beside;
  readonly prefill: Beside;
}

/** Figures of {@link benchAgainst}; a part that could not be had says why. */
export interface AgainstFigures {
  readonly exact: WayFigures | { readonly skipped: string };
  readonly fast: (WayFigures & { readonly guarded: ArithmeticFigures }) | { readonly skipped: string };
  readonly f32: WayFigures | { readonly skipped: string };
}

interface Options {
  readonly rounds: number;
  readonly rng: Rng;
  readonly signal: AbortSignal;
}

/** Measure a model on disk. Throws {@link InputError} where node-llama-cpp is not installed. */
export async function benchAgainst(path: string, options: Options): Promise<AgainstFigures> {
  const llama = await loadLlamaCpp();
  const headers = await inspectCheckpoint(path);
  const quantised =
    heldAs(headers, 'packed') === 'packed'
      ? await againstQuantised(llama, path, options)
      : { exact: { skipped: 'not a quantised GGUF' }, fast: { skipped: 'not a quantised GGUF' } };
  return { ...quantised, f32: await againstFloat32(llama, path, options) };
}

type Llama = Awaited<ReturnType<typeof loadLlamaCpp>>;

async function againstQuantised(
  llama: Llama,
  path: string,
  options: Options,
): Promise<Pick<AgainstFigures, 'exact' | 'fast'>> {
  const fast = await openFast(path, options.rng);
  await using exact = await LanguageModel.load(path, { weights: 'packed' });
  const ways = fast instanceof LanguageModel ? { exact, fast } : { exact };
  try {
    const found = await turns(llama, path, ways, options);
    if (!(fast instanceof LanguageModel)) return { exact: found.exact!, fast: { skipped: fast.message } };
    return { exact: found.exact!, fast: { ...found.fast!, guarded: fast.guarded! } };
  } finally {
    if (fast instanceof LanguageModel) await disposeAll([fast]);
  }
}

/** The model in fast arithmetic, compared on bundled tasks; or why it is not to be had. */
async function openFast(path: string, rng: Rng): Promise<LanguageModel | InputError> {
  const seed = rng.fork('guard').int(2 ** 31);
  const prompts = tinyInstructions({ seed, train: 0, validation: 0, test: 16 }).map(({ prompt }) => prompt);
  try {
    return await LanguageModel.load(path, { weights: 'packed', arithmetic: 'fast', guard: { prompts } });
  } catch (error) {
    if (error instanceof InputError && error.id === 'arithmetic-differs') return error;
    throw error;
  }
}

/** Both hold all weights as float32; where there is no room for twice that, nothing is made. */
async function againstFloat32(llama: Llama, path: string, options: Options): Promise<AgainstFigures['f32']> {
  const { stored } = await inspectCheckpoint(path);
  const weights = [...stored.values()].reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0);
  const [needed, free] = [8 * weights + ROOM, process.availableMemory?.() ?? freemem()];
  if (free < needed) return { skipped: `wanted ${gigabytes(needed)} of free memory, got ${gigabytes(free)}` };
  const folder = await mkdtemp(join(tmpdir(), 'crosspatch-against-'));
  try {
    const file = join(folder, 'float32.gguf');
    await exportGguf(await openCheckpoint(path), file, { dtype: 'F32' });
    await using model = await LanguageModel.load(path);
    return (await turns(llama, file, { f32: model }, options)).f32!;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** For what two programs hold besides weights. */
const ROOM = 1e9;

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** Each of our ways and llama.cpp in turns, on the same random prompts. */
async function turns<K extends string>(
  llama: Llama,
  file: string,
  ways: Readonly<Partial<Record<K, LanguageModel>>>,
  { rounds, rng, signal }: Options,
): Promise<Partial<Record<K, WayFigures>>> {
  const models = Object.entries(ways) as [K, LanguageModel][];
  const prompts = randomPrompts(models[0]![1], 16, rng);
  await using theirs = await openLlamaCpp(llama, file, { prompts, newTokens: NEW_TOKENS });
  const beside = async (task: (model: LanguageModel) => Task, their: Task): Promise<Map<K, Beside>> => {
    const tasks = {
      theirs: their,
      ...Object.fromEntries(models.map(([name, model]) => [name, task(model)])),
    };
    for (const warm of Object.values(tasks)) await warm();
    const times = await interleaved<string>(tasks, rounds, signal);
    const rates = (name: K): Beside => ({
      ours: times.rate(name),
      theirs: times.rate('theirs'),
      ratio: times.ratio(name, 'theirs'),
    });
    return new Map(models.map(([name]) => [name, rates(name)]));
  };
  const decode = (rows: number) =>
    beside((model) => () => decodeColumns(model, prompts.slice(0, rows)), theirs.decode(rows));
  const [one, many] = [await decode(1), await decode(16)];
  const read = await beside((model) => () => prefillOf(model, prompts), theirs.prefill);
  const figures = ([name]: [K, LanguageModel]): [K, WayFigures] => [
    name,
    { decode_1: one.get(name)!, decode_16: many.get(name)!, prefill: read.get(name)! },
  ];
  return Object.fromEntries(models.map(figures)) as Partial<Record<K, WayFigures>>;
}
