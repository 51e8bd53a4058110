/** @file Stage `repair`: the target fine-tuned on a few labelled prompts, and asked in words: baselines of the mapped vector. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Asked, evaluationSettings, worthSettings } from '../../contracts/index.ts';
import { askedFor, casesOf, type RepairRow, type RepairText, repair } from '../../evaluate/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { allLoraTargets, finetune, mergeAdapterFolder } from '../../train/index.ts';
import { promptTokens, trainingBytes } from '../estimates.ts';
import { defineStage, subjectModel } from '../stage.ts';
import { dataStage, distinctTexts, readRows } from './data.ts';
import { askingParams, detectorInput, detectorOf, runsStage, subjectOf } from './runs.ts';

const repairParams = z.strictObject({
  ...askingParams.shape,
  ...worthSettings.shape,
  max_tokens: evaluationSettings.shape.max_tokens,
});

/** Sections of results.json. */
export interface RepairOutput {
  readonly rows: readonly RepairRow[];
  readonly asked: Asked | null;
}

/** Rows of a training step, at most. */
const MOST_ROWS = 8;

export const repairStage = defineStage({
  name: 'repair',
  version: '1',
  module: import.meta.url,
  child: true,
  params: repairParams,
  inputs: {
    target: subjectModel,
    data: dataStage,
    /** The target's unpatched runs. */
    runs: runsStage,
    ...detectorInput,
  },
  estimate: (p, info) => {
    const each = promptTokens(info) + p.max_tokens;
    const trained = p.repair === false ? 0 : p.ks.length * p.repair.steps * MOST_ROWS;
    const completed = p.prompts * (p.repair === false ? 1 : 1 + 2 * p.ks.length);
    return { tokens: (trained + completed) * each, memory_bytes: trainingBytes(info.models, 'lora') };
  },
  async run({ params: p, inputs, folder, model, seed, threads, ...env }): Promise<RepairOutput> {
    const target = await model('target');
    await using detector = await detectorOf(p, { inputs, threads, ...env });
    const subject = await subjectOf(target.tokenizer, p, {
      ...inputs,
      split: 'test',
      n: p.prompts,
      detector,
    });
    const texts = distinctTexts(await readRows(inputs.data.folder)).slice(0, Math.max(...p.ks));
    const labelled = casesOf(target.tokenizer, texts, p, 'training');
    const place = { path: inputs.target.model ?? inputs.target.folder, scratch: join(folder, '.repair') };
    const settings = p.repair;
    const training = { seed, threads, progress: env.progress, signal: env.signal };
    try {
      const rows =
        settings === false
          ? []
          : await repair(
              { target, subject, labelled, tuned: (taught) => tuned(taught, settings, place, training) },
              p,
              env,
            );
      return { rows, asked: (p.ask && (await asked(p.ask))) || null };
    } finally {
      await rm(place.scratch, { recursive: true, force: true });
    }
    async function asked(text: string): Promise<Asked | undefined> {
      const prompts = subject.cases.map((c) => `${text} ${c.text}`);
      const cases = casesOf(target.tokenizer, prompts, p);
      return askedFor(target, subject, { text, asked: cases }, { max_tokens: p.max_tokens, ...env });
    }
  },
});

/** The model of `path`, fine-tuned by LoRA; it takes the place of the one made before. */
async function tuned(
  rows: readonly RepairText[],
  { steps, rank, learning_rate }: Exclude<z.output<typeof worthSettings>['repair'], false>,
  { path, scratch }: { readonly path: string; readonly scratch: string },
  {
    seed,
    threads,
    progress,
    signal,
  }: Pick<Parameters<typeof finetune>[0], 'seed' | 'threads' | 'signal'> & {
    readonly progress: Parameters<typeof finetune>[0]['onProgress'];
  },
): Promise<LanguageModel> {
  await rm(scratch, { recursive: true, force: true });
  const [adapter, out] = [join(scratch, 'adapter'), join(scratch, 'model')];
  await finetune({
    model: path,
    rows,
    out: adapter,
    method: 'lora',
    steps,
    batch: Math.min(MOST_ROWS, rows.length),
    learningRate: learning_rate,
    lora: { rank, alpha: 2 * rank, targets: [...allLoraTargets] },
    seed,
    threads,
    stage: 'repair',
    onProgress: progress,
    signal,
  });
  await mergeAdapterFolder({ model: path, adapter, out });
  return LanguageModel.load(out, { threads });
}
