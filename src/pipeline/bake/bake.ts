/**
 * @file Steering baked into weights: exactly, as a bias, where it is one; else as a LoRA fitted to the steered model's distributions. Either way
 * the result is measured on prompts it has not seen, beside the base and a random change as large.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  InputError,
  type Rng,
  withAtomicFolder,
  writeFileAtomic,
  writeJsonAtomic,
} from '../../base/index.ts';
import { detectorOf } from '../../behaviours/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import {
  type BakeArm,
  type BakePrompt,
  type ExperimentEnv,
  holdOut,
  type KindFigures,
  kindFigures,
  type Lesson,
  type Reading,
  readLessons,
  teach,
} from '../../evaluate/index.ts';
import { norm, type Resolvers } from '../../interventions/index.ts';
import { LanguageModel } from '../../models/index.ts';
import {
  allLoraTargets,
  type FinetuneResult,
  finetune,
  mergeAdapterFolder,
  saveRandomTwin,
  saveWithDownBias,
  type TrainRow,
  trainRow,
} from '../../train/index.ts';
import { bakeCard } from './card.ts';
import { asBias } from './exact.ts';
import type { BakeRecord, BakeSettings, BakeTraining } from './record.ts';

/** What is baked into what. */
export interface BakeInput {
  /** The model that is steered. */
  readonly base: LanguageModel;
  /** What the card calls it. */
  readonly name: string;
  /** Its vectors lie in it. */
  readonly document: InterventionDocument;
  readonly resolvers: Resolvers;
  readonly prompts: readonly BakePrompt[];
  /** Folder of the baked model. */
  readonly out: string;
}

/** Bake, measure and write. Returns what `bake.json` says. */
export async function bake(
  { base, name, document, resolvers, prompts, out }: BakeInput,
  settings: BakeSettings,
  env: ExperimentEnv,
): Promise<BakeRecord> {
  const { maxTokens, batch, seed, detect, dtype } = settings;
  const exact = asBias(document, base.config);
  if (settings.method === 'bias' && exact.vectors === undefined)
    throw new InputError(`bake --method bias: ${exact.why}; take --method lora`, { id: 'option-conflict' });
  const vectors = settings.method === 'lora' ? undefined : exact.vectors;
  const shows =
    detect === undefined
      ? undefined
      : (
          (of) => (answer: string) =>
            of(answer).shows
        )(detectorOf({ phrase: '', pattern: detect }));

  const lessons = await teach(base, prompts, { document, resolvers, maxTokens, batch }, env);
  const { train, held } = holdOut(lessons, settings.heldOut, env.rng.fork('held out'));
  const model = base.checkpoint.path;
  const work = await mkdtemp(join(tmpdir(), 'crosspatch-bake-'));
  try {
    return await withAtomicFolder(out, async (folder) => {
      const [adapter, twin, control] = [join(work, 'adapter'), join(work, 'twin'), join(work, 'control')];
      let trained: FinetuneResult | undefined;
      if (vectors === undefined) {
        trained = await fitAdapter(base, train, adapter, { settings, name, env });
        await mergeAdapterFolder({ model, adapter, out: folder, dtype });
        await saveRandomTwin({ model, adapter, out: twin }, env.rng.fork('control'));
        await mergeAdapterFolder({ model, adapter: twin, out: control });
        await cp(adapter, join(folder, 'adapter'), { recursive: true });
      } else {
        await saveWithDownBias({ model, vectors, out: folder, dtype });
        await saveWithDownBias({ model, vectors: randomTwins(vectors, env), out: control });
      }
      const read = (one: LanguageModel) => readLessons(one, held, { teacher: base, maxTokens, batch }, env);
      const arms = {
        baked: await opened(folder, read),
        base: await read(base),
        control: await opened(control, read),
      };
      const of = (fires: boolean) => figuresOf({ held, arms, fires, shows }, env.rng);
      const record: BakeRecord = {
        schema_version: 1,
        base: { name, sha256: await base.checkpoint.contentHash() },
        method: vectors === undefined ? 'lora' : 'bias',
        not_a_bias: vectors === undefined ? exact.why : undefined,
        intervention: document,
        training: trained === undefined ? undefined : trainingOf(trained, train),
        ...{ seed, max_tokens: maxTokens, detect },
        fires: of(true),
        left_alone: held.every(({ fires }) => fires) ? undefined : of(false),
      };
      await writeJsonAtomic(join(folder, 'bake.json'), record);
      await writeFileAtomic(join(folder, 'README.md'), bakeCard(record));
      return record;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Train an adapter towards the lessons. */
async function fitAdapter(
  base: LanguageModel,
  train: readonly Lesson[],
  out: string,
  { settings, name, env }: { settings: BakeSettings; name: string; env: ExperimentEnv },
): Promise<FinetuneResult> {
  const { rank, steps, batch, learningRate, seed } = settings;
  const end = base.tokenizer.eosIds[0] ?? 0;
  const rows = train.map((lesson) => rowOf(lesson, end));
  const longest = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  return finetune({
    ...{ model: base.checkpoint.path, baseName: name, rows, out, method: 'lora', seed },
    ...{ steps, batch, learningRate, maxTokens: longest, weightDecay: 0 },
    lora: { rank, alpha: 2 * rank, targets: allLoraTargets },
    ...{ stage: 'fit', threads: env.threads, onProgress: env.progress, signal: env.signal },
  });
}

/** A lesson as a row: its teacher stands at every token of the answer. The token that stands for the end is only a place. */
function rowOf({ prompt, answer, ended, fires, states, lse }: Lesson, end: number): TrainRow {
  return {
    ...trainRow(prompt, ended ? [...answer, end] : answer),
    group: fires ? 'fires' : 'left alone',
    teacher: { states, lse },
  };
}

async function opened<T>(folder: string, use: (model: LanguageModel) => Promise<T>): Promise<T> {
  await using model = await LanguageModel.load(folder);
  return await use(model);
}

/** Random vectors as long. */
function randomTwins(
  vectors: ReadonlyMap<number, Float32Array>,
  { rng }: ExperimentEnv,
): Map<number, Float32Array> {
  return new Map(
    [...vectors].map(([block, vector]) => {
      const draw = rng.fork(`control ${block}`);
      const noise = vector.map(() => draw.normal());
      const factor = norm(vector) / norm(noise);
      return [block, noise.map((x) => x * factor)];
    }),
  );
}

/** What was read of one kind of prompt, and how answers are looked at. */
interface Read {
  readonly held: readonly Lesson[];
  readonly arms: Record<BakeArm, readonly Reading[]>;
  readonly fires: boolean;
  readonly shows: ((answer: string) => boolean) | undefined;
}

function figuresOf({ held, arms: { baked, base, control }, fires, shows }: Read, rng: Rng): KindFigures {
  const own = <T>(list: readonly T[]): T[] => list.filter((_, i) => held[i]?.fires === fires);
  // Where nothing is carried out the steered model is the base.
  const arms = { baked: own(baked), control: own(control), base: fires ? own(base) : undefined };
  return kindFigures(own(held), arms, rng.fork(fires ? 'fires' : 'left alone'), shows);
}

function trainingOf(
  { settings, losses, steps, seconds, trainedParameters }: FinetuneResult,
  train: readonly Lesson[],
): BakeTraining {
  const tenth = Math.max(1, Math.round(losses.length / 10));
  const mean = (part: readonly number[]): number => part.reduce((sum, x) => sum + x, 0) / part.length;
  const fires = train.filter((lesson) => lesson.fires).length;
  const { lora, batch, learningRate: learning_rate } = settings;
  return {
    rows: { fires, left_alone: train.length - fires },
    ...{ rank: lora.rank, alpha: lora.alpha, steps, batch, learning_rate },
    kl: { first: mean(losses.slice(0, tenth)), last: mean(losses.slice(-tenth)) },
    parameters: trainedParameters,
    seconds,
  };
}
