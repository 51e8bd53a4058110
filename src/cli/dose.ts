/** @file `--dose` of `vector`: what a dose curve is measured on, and how it is shown. */
import { type Command, Option } from 'commander';
import { InputError } from '../base/index.ts';
import { readTexts } from '../behaviours/index.ts';
import {
  type DosePoint,
  type DoseSettings,
  doseSettings,
  type VectorMethod,
  type VectorRecord,
} from '../contracts/index.ts';
import { type ContrastSet, chatOf, type DoseInput, readText, specialTokensOf } from '../evaluate/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { decimal } from './cli.ts';
import { addLoraOptions, type LoraOptions, loraInput, loraSentence, loraSettingsOf } from './dose-lora.ts';
import { numberList } from './lists.ts';
import { countOption, defaults } from './settings.ts';
import { figure, textTable } from './table.ts';
import { TEMPLATE_CHOICES, type TemplateChoice, type TemplateOptions, turnSettings } from './template.ts';

export interface DoseOptions extends TemplateOptions, LoraOptions {
  /** `refusal` reads `--phrase` too. */
  readonly method: VectorMethod;
  readonly dose?: true | readonly number[];
  readonly budget?: readonly number[];
  readonly doseBlocks: number;
  readonly dosePrompts: number;
  readonly phrase?: string;
  readonly pattern?: string;
  readonly doseData?: string;
  readonly doseTemplate?: TemplateChoice;
  readonly neutral?: string;
  readonly ask?: string;
  readonly neutralPrompts: number;
  readonly continuation: number;
  readonly maxTokens: number;
  readonly bound: number;
}

/** The options of dose curves. */
export function addDoseOptions(command: Command): Command {
  const { dose } = defaults;
  command
    .addOption(
      new Option(
        '--dose [alphas]',
        `measure effect and cost of these strengths on held-out prompts (default: ${dose.alphas.join(',')})`,
      ).argParser(numberList('--dose', Number.NEGATIVE_INFINITY)),
    )
    .addOption(
      new Option(
        '--budget <nats>',
        'seek the strengths of these costs in nats per token, for the vector and a random direction',
      ).argParser(numberList('--budget', 0)),
    )
    .option('--phrase <text>', 'the effect is the share of completions that hold this text')
    .option('--pattern <regex>', 'the effect is the share of completions that match this')
    .option(
      '--dose-data <file>',
      'prompts that are steered (default: the held-out ones of the pairs): for pairs of texts that are no prompts',
    )
    .addOption(
      new Option(
        '--dose-template <name>',
        'text around the prompts of --dose-data and --neutral (default: --template)',
      ).choices(TEMPLATE_CHOICES),
    )
    .option(
      '--neutral <file>',
      'prompts to measure the cost on (default: the held-out prompts that are steered)',
    )
    .option(
      '--ask <text>',
      'a sentence that asks for the same, such as "Be polite.": its effect and cost beside',
    )
    .addOption(countOption('--dose-blocks <n>', { section: doseSettings, key: 'blocks' }))
    .addOption(countOption('--dose-prompts <n>', { section: doseSettings, key: 'prompts' }))
    .addOption(countOption('--neutral-prompts <n>', { section: doseSettings, key: 'neutral' }))
    .addOption(countOption('--continuation <n>', { section: doseSettings, key: 'continuation' }))
    .addOption(countOption('--max-tokens <n>', { section: doseSettings, key: 'max_tokens' }))
    .addOption(
      new Option('--bound <nats>', 'nats per token a recommended strength may cost')
        .argParser(decimal('--bound', 0))
        .default(dose.bound),
    );
  return addLoraOptions(command);
}

/** The settings of the curve asked for; undefined where none is. @throws InputError for options that want `--dose` */
export function doseSettingsOf(options: DoseOptions): DoseSettings | undefined {
  const { dose, budget, phrase, pattern, doseData, neutral, ask, lora, method } = options;
  if (dose === undefined && budget === undefined) {
    for (const [flag, value] of Object.entries({
      phrase: method === 'refusal' ? undefined : phrase,
      pattern,
      'dose-data': doseData,
      neutral,
      ask,
      lora,
    }))
      if (value !== undefined)
        throw new InputError(`--${flag}: belongs to --dose or --budget`, { id: 'option-conflict' });
    return undefined;
  }
  if (phrase !== undefined && pattern !== undefined)
    throw new InputError('--phrase and --pattern: wanted one of them', { id: 'option-conflict' });
  return doseSettings.parse({
    alphas: dose === true ? undefined : dose,
    budgets: budget ?? [],
    blocks: options.doseBlocks,
    prompts: options.dosePrompts,
    neutral: options.neutralPrompts,
    continuation: options.continuation,
    max_tokens: options.maxTokens,
    bound: options.bound,
    lora: loraSettingsOf(options),
  });
}

/** What completions are held against, the neutral prompts as the model reads them, prompts with `--ask` after their own text, and how a LoRA is trained on `train`. */
export async function doseInputs(
  model: LanguageModel,
  train: ContrastSet,
  options: DoseOptions,
): Promise<Pick<DoseInput, 'marks' | 'prompts' | 'neutral' | 'ask' | 'lora'>> {
  const { phrase, pattern, doseData, neutral, ask } = options;
  const prompts = async (file: string | undefined, limit: number) =>
    file === undefined
      ? undefined
      : (await readTexts(file, { limit })).texts.map(({ id, text }) => {
          const prompt = readIn(model, options, text);
          // The shift along the vector is read at the last token.
          return { ...prompt, id, positions: [prompt.ids.length - 1] };
        });
  return {
    prompts: await prompts(doseData, options.dosePrompts),
    neutral: await prompts(neutral, options.neutralPrompts),
    lora: loraInput(model, train, options),
    marks: phrase === undefined && pattern === undefined ? undefined : { phrase, pattern },
    ask:
      ask === undefined
        ? undefined
        : { text: ask, within: (prompt) => askedIds(model, options, prompt.text, ask) },
  };
}

/** Template of the prompts that are steered and measured on. */
function doseTemplate({ doseTemplate: own, template }: DoseOptions): Exclude<TemplateChoice, 'none'> {
  const name = own ?? template;
  return name === 'none' ? 'raw' : name;
}

/** A text in the template of the options. */
function readIn(
  model: LanguageModel,
  options: DoseOptions,
  text: string,
): { text: string; ids: readonly number[] } {
  const template = doseTemplate(options);
  return readText(model.tokenizer, text, {
    template,
    chat: chatOf(model.tokenizer, { template, chat: turnSettings(options) }),
  });
}

/** A prompt that stands in the template already, with a sentence after its own text. */
function askedIds(
  model: LanguageModel,
  options: DoseOptions,
  prompt: string,
  ask: string,
): readonly number[] {
  const template = doseTemplate(options);
  const place = 'x';
  const empty = readIn(model, options, place).text;
  const tail = empty.slice(empty.lastIndexOf(place) + place.length);
  const text = `${prompt.slice(0, prompt.length - tail.length)} ${ask}${tail}`;
  return model.tokenizer.encodeIds(text, { addSpecialTokens: specialTokensOf({ template }) });
}

/** The strengths of the recommended block and those sought by their cost, the vector beside a random direction. */
export function doseTable({ dose, recommended }: VectorRecord): string {
  if (dose === undefined) return '';
  const shown = dose.points.filter(
    ({ arm, block, budget }) =>
      arm === 'none' ||
      arm === 'asked' ||
      arm === 'lora' ||
      (arm === 'vector' && (block === recommended.block || budget !== undefined)),
  );
  const randomOf = (p: DosePoint): DosePoint | undefined =>
    dose.points.find(
      (r) =>
        p.arm === 'vector' &&
        r.arm === 'random' &&
        r.block === p.block &&
        r.budget === p.budget &&
        (p.budget !== undefined || r.alpha === p.alpha),
    );
  const effect = (p: DosePoint | undefined): string => {
    if (p === undefined) return '–';
    return dose.effect === 'share' ? figure(p.effect.share?.value) : figure(p.effect.shift ?? undefined);
  };
  const labels = {
    none: () => 'unsteered',
    vector: ({ block }) => String(block),
    random: () => 'random',
    asked: () => `asked: ${JSON.stringify(dose.ask ?? '')}`,
    lora: () => 'LoRA',
  } satisfies Record<DosePoint['arm'], (p: DosePoint) => string>;
  const rows = shown.map((p) => {
    const random = randomOf(p);
    return [
      labels[p.arm](p),
      `${figure(p.alpha)}${p.arm === 'vector' && p.block === recommended.block && p.alpha === recommended.alpha ? ' *' : ''}`,
      p.arm === 'lora' ? '–' : figure(p.relative_dose),
      effect(p),
      effect(random),
      figure(p.effect.changed.value),
      figure(p.cost.per_token),
      figure(random?.cost.per_token),
    ];
  });
  const table = textTable([
    ['block', 'α', '‖Δ‖/‖h‖', dose.effect, 'random', 'changed', 'nats per token', 'random'],
    ...rows,
  ]);
  return `${table}${loraSentence(dose)}`;
}
