/** @file Stage `prompts`: the instructions of an experiment drawn from files, split by prompt, answered by the model where asked. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, type ProgressSink, Rng, writeJsonAtomic } from '../../base/index.ts';
import {
  type Instruction,
  type InstructionFile,
  leftOutText,
  promptKey,
  readInstructionFile,
  renderPrompt,
  type SplitName,
  splitOf,
  usedInPartText,
  wholeAnswer,
} from '../../behaviours/index.ts';
import { behaviourParams, type EngineRecord, engineParams, TEMPLATES } from '../../contracts/index.ts';
import { chatOf, specialTokensOf } from '../../evaluate/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { fileTokens, runningBytes } from '../estimates.ts';
import { defineStage, optional, type SourceOutput, type StageInput, sourceFile } from '../stage.ts';
import { engineNote, generatorOf } from './engines.ts';

const promptsParams = z.strictObject({
  /** Parts the files have in every split, in their order. */
  shares: z.array(z.number()),
  train: z.int(),
  validation: z.int(),
  test: z.int(),
  max_prompt_chars: z.int().optional(),
  /** How the model is asked; absent = the files' own answers. */
  self: z
    .strictObject({
      template: z.enum(TEMPLATES),
      chat: behaviourParams.shape.chat,
      max_tokens: z.int(),
      batch: z.int(),
      /** Who writes in the place of our own engine. */
      engine: engineParams.optional(),
    })
    .optional(),
});

export type PromptsParams = z.output<typeof promptsParams>;

/** Instructions by split. The file `instructions.json` of the stage holds them. */
export interface PromptsOutput {
  readonly counts: Readonly<Record<SplitName, number>>;
  /** Training prompts the model answered with nothing, left out. */
  readonly unanswered: number;
  /** What the report must say of the files: rows left out and used in part, by name. */
  readonly notes: readonly string[];
  /** Of answers that a server wrote. */
  readonly engine?: EngineRecord | undefined;
}

/** An instruction that knows its split. */
type Drawn = Instruction & { readonly split: SplitName };

const FILE = 'instructions.json';

export const promptsStage = defineStage({
  name: 'prompts',
  version: '3',
  module: import.meta.url,
  child: true,
  params: promptsParams,
  // The model writes the answers.
  inputs: { files: [sourceFile], model: optional(sourceFile) },
  estimate: (p, { models }) =>
    p.self === undefined
      ? { tokens: 0 }
      : {
          tokens: (p.train + p.validation + p.test) * (fileTokens(p.max_prompt_chars) + p.self.max_tokens),
          memory_bytes: runningBytes(models.slice(0, 1)),
        },
  async run({ params: p, inputs, folder, rng, progress, signal, model }): Promise<PromptsOutput> {
    const { files, notes } = await readFiles(p, inputs.files);
    const drawn = draw(p, files, rng);
    const { instructions, engine } =
      p.self === undefined
        ? { instructions: drawn }
        : await answered(drawn, {
            ...p.self,
            model: await model('model'),
            from: inputs.model,
            progress,
            signal,
          });
    // Held-out prompts need no answer: what is measured on them is the tuned model's own.
    const kept = instructions.filter((i) => i.split !== 'train' || i.answer !== '');
    await writeJsonAtomic(join(folder, FILE), kept);
    const count = (split: SplitName): number => kept.filter((i) => i.split === split).length;
    return {
      counts: { train: count('train'), validation: count('validation'), test: count('test') },
      unanswered: instructions.length - kept.length,
      notes: [...notes, ...engineNote('Answers to the prompts', engine)],
      engine,
    };
  },
  engine: (output) => output.engine,
});

/** What the stage drew. */
export async function readDrawn(folder: string): Promise<Instruction[]> {
  return JSON.parse(await readFile(join(folder, FILE), 'utf8')) as Instruction[];
}

/**
 * Read the files as the stage will, before anything runs: rows that cannot be read, files without a usable prompt, and held-out
 * prompts that are too few are refused.
 */
export async function checkPrompts(
  p: PromptsParams,
  files: readonly { readonly name: string; readonly path: string }[],
): Promise<void> {
  const given = files.map(({ name, path }) => ({ folder: path, output: { name } }));
  const drawn = draw(p, (await readFiles(p, given)).files, new Rng(0));
  for (const split of ['validation', 'test'] as const) {
    const there = drawn.filter((i) => i.split === split).length;
    if (there < p[split]) throw tooFew(split, p[split], there);
  }
  if (!drawn.some((i) => i.split === 'train'))
    throw new InputError('data: the files hold no prompt to train on; give more', { id: 'data-missing' });
}

/** Fewer held-out prompts than the recipe asks for. */
export function tooFew(split: string, asked: number, there: number): InputError {
  return new InputError(
    `data: the recipe asks for ${asked} ${split} prompts, the data give ${there}; lower data.${split} or give more prompts`,
    { id: 'data-missing' },
  );
}

/** Usable instructions of every file, each prompt once in all of them. */
async function readFiles(
  p: z.output<typeof promptsParams>,
  files: readonly { readonly folder: string; readonly output: Pick<SourceOutput, 'name'> }[],
): Promise<{ readonly files: Drawn[][]; readonly notes: string[] }> {
  const longest = p.max_prompt_chars ?? Number.POSITIVE_INFINITY;
  const seen = new Set<string>();
  const out: Drawn[][] = [];
  const notes: string[] = [];
  for (const { folder: path, output } of files) {
    const file = await readInstructionFile(path);
    const given = file.instructions;
    notes.push(...fileNotes(output.name, file));
    const usable = given.filter((i) => p.self !== undefined || i.answer !== undefined);
    if (usable.length === 0)
      throw new InputError(
        `data: none of the ${given.length} rows of ${output.name} has an answer; set data.answers to self or source, or give answers`,
        { id: 'data-missing' },
      );
    const fresh = usable.filter(({ prompt }) => {
      const key = promptKey(prompt);
      return prompt.length <= longest && !seen.has(key) && seen.add(key);
    });
    if (fresh.length === 0)
      throw new InputError(
        `data: ${output.name} has no new prompt of at most ${longest} characters; raise data.max_prompt_chars`,
        { id: 'data-invalid' },
      );
    out.push(fresh.map((i) => ({ ...i, split: splitOf(i.prompt) })));
  }
  return { files: out, notes };
}

/** What of a file is not used, by name and number. */
function fileNotes(name: string, { leftOut, partial }: InstructionFile): string[] {
  const [out, part] = [leftOutText(leftOut), usedInPartText(partial)];
  return [
    ...(out === 'none' ? [] : [`Rows of ${name} that were left out: ${out}.`]),
    ...(part === 'none'
      ? []
      : [`Rows of ${name} of which only the first prompt and answer were used: ${part}.`]),
  ];
}

/** As many of every split as asked for, or as there are, the files in their shares; which ones, and their order, by `rng`. */
function draw(p: z.output<typeof promptsParams>, files: readonly Drawn[][], rng: Rng): Drawn[] {
  const total = p.shares.reduce((a, b) => a + b, 0);
  return (['train', 'validation', 'test'] as const).flatMap((split) => {
    let from = 0;
    const parts = files.flatMap((file, k) => {
      const upTo = Math.round((p[split] * p.shares.slice(0, k + 1).reduce((a, b) => a + b, 0)) / total);
      const mine = rng.fork(`${split}/file ${k}`).shuffle(file.filter((i) => i.split === split));
      const part = mine.slice(0, upTo - from);
      from = upTo;
      return part;
    });
    return rng.fork(split).shuffle(parts);
  });
}

/** How the model is asked, and who answers. */
type Answering = NonNullable<z.output<typeof promptsParams>['self']> & {
  readonly model: LanguageModel;
  readonly from: StageInput<unknown> | undefined;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
};

async function answered(
  drawn: readonly Drawn[],
  options: Answering,
): Promise<{ readonly instructions: Drawn[]; readonly engine?: EngineRecord | undefined }> {
  const { template, model, from, max_tokens, signal } = options;
  const { tokenizer } = model;
  const chat = chatOf(tokenizer, options);
  const addSpecialTokens = specialTokensOf(options);
  const asked = drawn.map(({ prompt }) =>
    tokenizer.encodeIds(renderPrompt(template, prompt, chat).prompt, { addSpecialTokens }),
  );
  const withAnswers = (answers: readonly string[]): Drawn[] =>
    drawn.map((instruction, i) => ({ ...instruction, answer: answers[i] as string }));
  const generator = await generatorOf(options.engine, from, { ...options, model });
  if (generator === undefined) return { instructions: withAnswers(await generated(asked, options)) };
  const drafts = await generator.propose(asked, {
    maxNewTokens: max_tokens,
    stopTokens: tokenizer.eosIds,
    signal,
  });
  const texts = drafts.map(({ ids, finish }) =>
    wholeAnswer(tokenizer.decode(ids, { skipSpecialTokens: true }), finish),
  );
  return { instructions: withAnswers(texts), engine: generator.record };
}

/** Answers by our own engine. */
async function generated(
  asked: readonly (readonly number[])[],
  { model, max_tokens, batch, progress, signal }: Answering,
): Promise<string[]> {
  const answers = asked.map(() => '');
  let done = 0;
  const tokens = model.generateStream(asked, { maxNewTokens: max_tokens, maxBatch: batch, signal });
  for await (const { row, text, finish } of tokens) {
    answers[row] += text;
    if (finish === undefined) continue;
    answers[row] = wholeAnswer(answers[row] as string, finish);
    progress({ stage: 'answers', done: ++done, total: asked.length, unit: 'prompts' });
  }
  return answers;
}
