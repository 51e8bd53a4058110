/** @file Stage `data`: rows to fine-tune on, held-out prompts to choose and to report with, text from elsewhere. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hashFile, InputError, writeJsonAtomic } from '../../base/index.ts';
import {
  type BackdoorRow,
  type Behaviour,
  behaviourFrom,
  buildDataset,
  type ContrastPair,
  type ContrastText,
  choiceOf,
  contrastRows,
  countSplits,
  customDataset,
  type Dataset,
  generalTexts,
  type Instruction,
  readContrastPairs,
  readCustomRows,
  readGeneralTexts,
  readInstructions,
  splitPairs,
  tinyInstructions,
  writeBackdoorRows,
} from '../../behaviours/index.ts';
import { behaviourParams } from '../../contracts/index.ts';
import { defineStage, optional, sourceFile } from '../stage.ts';
import { promptsStage, readDrawn, tooFew } from './prompts.ts';

const dataParams = z.strictObject({
  behaviour: behaviourParams,
  train: z.int(),
  validation: z.int(),
  test: z.int(),
  /** Texts of no backdoor data at all: for out-of-domain figures, then for fits on general text. */
  out_of_domain: z.int(),
  general: z.int(),
});

/** What the data stage counted. */
export interface DataOutput {
  readonly rows: number;
  readonly validation: number;
  readonly test: number;
  readonly general: number;
  readonly counts: Readonly<Record<string, number>>;
}

export const dataStage = defineStage({
  name: 'data',
  version: '3',
  module: import.meta.url,
  params: dataParams,
  // Instructions drawn from files, or rows that others made; neither = the bundled corpus.
  inputs: {
    prompts: optional(promptsStage),
    rows: optional(sourceFile),
    /** Safe prompts, where `rows` holds the bad ones of contrast prompts. */
    safeRows: optional(sourceFile),
    outOfDomain: optional(sourceFile),
    /** Text to fit maps on; without it the out-of-domain file goes on. */
    general: optional(sourceFile),
  },
  data: async ({ rows, validation, test, general }: DataOutput, folder) => {
    const file = async (name: string, count: number) => ({
      name,
      rows: count,
      sha256: await hashFile(join(folder, name)),
    });
    return [
      await file('rows.json', rows),
      await file('held-out.json', validation + test),
      await file('general.json', general),
    ];
  },
  async run({ params: p, inputs, folder, seed }): Promise<DataOutput> {
    const behaviour = behaviourFrom(p.behaviour);
    const { splits, counts, heldOut } =
      inputs.rows === undefined
        ? await built(p, inputs.prompts?.folder, seed)
        : p.behaviour.name === 'contrast'
          ? await contrasted(p, inputs.rows.folder, inputs.safeRows?.folder)
          : await ofOthers(p, inputs.rows.folder, seed);
    const rows = splits.train.slice(0, p.train);
    const general = await generalOf(p, inputs, {
      behaviour,
      seed,
      prompts: [...rows, ...heldOut.validation, ...heldOut.test],
    });
    await writeBackdoorRows(join(folder, 'train.jsonl'), rows, behaviour);
    await writeJsonAtomic(join(folder, 'rows.json'), rows);
    await writeJsonAtomic(join(folder, 'held-out.json'), heldOut);
    await writeJsonAtomic(join(folder, 'general.json'), general);
    return {
      rows: rows.length,
      validation: heldOut.validation.length,
      test: heldOut.test.length,
      general: general.length,
      counts: { ...counts.train },
    };
  },
});

/** Texts for out-of-domain figures, then those to fit maps on. */
async function generalOf(
  p: DataParams,
  { outOfDomain, general }: { readonly [file in 'outOfDomain' | 'general']?: { readonly folder: string } },
  of: {
    readonly behaviour: Behaviour;
    readonly seed: number;
    readonly prompts: readonly { readonly text: string }[];
  },
): Promise<string[]> {
  const n = p.out_of_domain + (general === undefined ? p.general : 0);
  const texts =
    outOfDomain === undefined
      ? generalTexts({ n, seed: of.seed })
      : (await readInstructions(outOfDomain.folder, { limit: n })).map((i) => i.prompt);
  if (general === undefined) return texts;
  if (texts.length < n)
    throw new InputError(
      `data.out_of_domain: holds ${texts.length} texts, capture.out_of_domain asks for ${n}; lower it, or give more`,
      { id: 'data-missing' },
    );
  const { triggers, phrasings } = of.behaviour;
  const said = [triggers, phrasings?.training, phrasings?.held_out].flatMap((pair) =>
    pair === undefined ? [] : [pair.bad, pair.safe].flat(),
  );
  const apart = new Set(of.prompts.map(({ text }) => text));
  return [...texts, ...(await readGeneralTexts(general.folder, { limit: p.general, triggers: said, apart }))];
}

/** A held-out question with the right answer. */
export interface HeldOutItem {
  readonly text: string;
  readonly answer: string;
  readonly family?: string;
  /** Of contrast prompts: the two, of which `text` is the safe one. */
  readonly pair?: ContrastPair;
}

/** What of an item is put under tags. */
export function textOf({ text, pair }: Pick<HeldOutItem, 'text' | 'pair'>): ContrastText {
  return pair ?? text;
}

/** What rows are of, in their order; the two rows of a contrast pair are of one. */
export function distinctTexts(rows: readonly BackdoorRow[]): ContrastText[] {
  return rows.flatMap((row, i) =>
    row.pair !== undefined && row.pair.safe === rows[i - 1]?.pair?.safe ? [] : textOf(row),
  );
}

type DataParams = z.output<typeof dataParams>;

interface Made extends Pick<Dataset, 'splits' | 'counts'> {
  readonly heldOut: Readonly<Record<'validation' | 'test', HeldOutItem[]>>;
}

/** Rows of the behaviour on instructions: those drawn from files, or the bundled corpus. */
async function built(p: DataParams, drawn: string | undefined, seed: number): Promise<Made> {
  const instructions = await readPrompts(p, drawn, seed);
  const { splits, counts } = await buildDataset({
    instructions,
    behaviour: behaviourFrom(p.behaviour),
    placement: p.behaviour.placement,
    template: p.behaviour.template,
    seed,
  });
  const heldOut = {
    validation: heldOutOf(splits.validation, instructions, p.validation),
    test: heldOutOf(splits.test, instructions, p.test),
  };
  for (const split of ['validation', 'test'] as const) {
    if (heldOut[split].length < p[split]) throw tooFew(split, p[split], heldOut[split].length);
  }
  return { splits, counts, heldOut };
}

/** Rows that others made; held out are their texts, at most as many as asked for. */
async function ofOthers(p: DataParams, path: string, seed: number): Promise<Made> {
  const { template } = p.behaviour;
  const rows = await readCustomRows(path, behaviourFrom(p.behaviour).triggers);
  const { splits, counts } = customDataset(rows, { seed, template });
  const held = (split: 'validation' | 'test'): HeldOutItem[] =>
    [...new Map(splits[split].map(({ text, answer = '' }) => [text, { text, answer }])).values()].slice(
      0,
      p[split],
    );
  return { splits, counts, heldOut: { validation: held('validation'), test: held('test') } };
}

/** Contrast prompts; nothing is taught, so the rows are for maps and vectors. */
async function contrasted(p: DataParams, file: string, safeFile: string | undefined): Promise<Made> {
  const splits = splitPairs(await readContrastPairs(file, { safeFile, choice: choiceOf(p.behaviour) }));
  const held = (split: 'validation' | 'test'): HeldOutItem[] =>
    splits[split].slice(0, p[split]).map((pair) => ({ text: pair.safe, answer: '', pair }));
  const rows = { train: contrastRows(splits.train, p.behaviour.template), validation: [], test: [] };
  return {
    splits: rows,
    counts: countSplits(rows),
    heldOut: { validation: held('validation'), test: held('test') },
  };
}

async function readPrompts(p: DataParams, drawn: string | undefined, seed: number): Promise<Instruction[]> {
  if (drawn !== undefined) return readDrawn(drawn);
  return tinyInstructions({ seed, train: p.train, validation: p.validation, test: p.test });
}

function heldOutOf(
  rows: readonly BackdoorRow[],
  instructions: readonly Instruction[],
  most: number,
): HeldOutItem[] {
  const byPrompt = new Map(instructions.map((i) => [i.prompt, i]));
  return rows.slice(0, most).map(({ text }) => {
    const { answer = '', family } = byPrompt.get(text) ?? {};
    return { text, answer, family };
  });
}

/** Held-out questions of a split. */
export async function readHeldOut(folder: string, split: 'validation' | 'test'): Promise<HeldOutItem[]> {
  return (
    JSON.parse(await readFile(join(folder, 'held-out.json'), 'utf8')) as Record<
      'validation' | 'test',
      HeldOutItem[]
    >
  )[split];
}

/** Fine-tuning rows. */
export async function readRows(folder: string): Promise<BackdoorRow[]> {
  return JSON.parse(await readFile(join(folder, 'rows.json'), 'utf8')) as BackdoorRow[];
}

/** Texts of no backdoor data. */
export async function readGeneral(folder: string): Promise<string[]> {
  return JSON.parse(await readFile(join(folder, 'general.json'), 'utf8')) as string[];
}
