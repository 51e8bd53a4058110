/** @file `generate`: text from a model, streamed. */
import { type Command, Option } from 'commander';
import { leftOutText, type RowText } from '../../behaviours/index.ts';
import type { Arithmetic } from '../../contracts/index.ts';
import type { LanguageModel, StreamedToken, WeightsForm } from '../../models/index.ts';
import { type Cli, type CommonOptions, collect, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { addPromptSource, givenPrompts, type PromptSource } from '../given-prompts.ts';
import { arithmeticOption, checkArithmetic, openAdapted, weightsOption } from '../model.ts';
import { defaults } from '../settings.ts';
import { effectLine, steer } from '../steer.ts';
import { jsonLines } from '../table.ts';
import { addTemplateOptions, inTemplate, type TemplateOptions } from '../template.ts';

interface GenerateCommand extends CommonOptions, PromptSource, TemplateOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly weights?: WeightsForm;
  readonly arithmetic: Arithmetic;
  readonly batch: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly stop?: readonly string[];
  readonly intervention?: readonly string[];
}

export function addGenerate(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'generate',
    'Complete prompts and print the text as it comes. With --lines or --data, --json prints one line of JSON per prompt.',
    'generate --model tiny-llama-m --template instruction --prompt "Which day comes after Saturday?"',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .addOption(arithmeticOption())
    .option('--adapter <path>', 'PEFT adapter on the model');
  addTemplateOptions(addPromptSource(command))
    .addOption(
      new Option('--batch <n>', 'prompts decoded side by side')
        .argParser(wholeNumber('--batch', 1))
        .default(32),
    )
    .addOption(
      new Option('--max-tokens <n>', 'most new tokens per prompt')
        .argParser(wholeNumber('--max-tokens', 1))
        .default(128),
    )
    .addOption(
      new Option('--temperature <t>', '0: always the likeliest token')
        .argParser(decimal('--temperature', 0))
        .default(0),
    )
    .addOption(
      new Option('--top-k <k>', 'draw from the k likeliest tokens').argParser(wholeNumber('--top-k', 1)),
    )
    .addOption(
      new Option('--top-p <p>', 'draw from the smallest set of this probability')
        .argParser(decimal('--top-p', 0, 1))
        .default(1),
    )
    .option(
      '--intervention <file>',
      'steering: an intervention (.json), a folder of crosspatch vector, or a file of vectors; may be repeated',
      collect,
    )
    .option('--stop <text>', 'end before this text; may be repeated', collect)
    .action((options: GenerateCommand) => generate(options, cli));
}

async function generate(options: GenerateCommand, cli: Cli): Promise<void> {
  checkArithmetic(options, options.intervention === undefined ? [] : ['--intervention']);
  const { prompts, leftOut } = await givenPrompts(options, cli);
  const perLine = options.lines === true || options.data !== undefined;
  await using opened = await openAdapted(options.model, options.adapter, cli, {
    ...options,
    guard: { prompts: (files) => prompts.map(({ text }) => inTemplate(files, options, text).ids) },
  });
  const { model } = opened;
  const completions: Answer[] = [];
  for (let at = 0; at < prompts.length; at += options.batch) {
    const part = prompts.slice(at, at + options.batch).map((prompt, i) => ({
      ...prompt,
      head: prompts.length > 1 ? `${at + i > 0 ? '\n' : ''}[${at + i + 1}] ` : '',
    }));
    const answers = await answer(model, part, options, cli);
    if (options.json && perLine) cli.out(jsonLines(answers));
    else completions.push(...answers);
  }
  const dropped = leftOutText(leftOut);
  if (dropped !== 'none' && !options.quiet) cli.err(`${options.data}: left out: ${dropped}\n`);
  if (options.json && !perLine)
    printJson(cli, {
      model: options.model,
      template: options.template,
      arithmetic: model.guarded && { kind: model.arithmetic, ...model.guarded },
      completions: completions.map(({ id: _id, arithmetic: _said, ...completion }) => completion),
    });
}

/** What `--json` says of a prompt. */
interface Answer {
  readonly id: string;
  readonly [field: string]: unknown;
}

/** A prompt with what is printed before its completion. */
interface HeadedText extends RowText {
  readonly head: string;
}

/** Complete some prompts side by side: streamed as text after their heads, or returned for JSON. */
async function answer(
  model: LanguageModel,
  given: readonly HeadedText[],
  options: GenerateCommand,
  cli: Cli,
): Promise<Answer[]> {
  const prompts = given.map(({ text }) => inTemplate(model, options, text));
  const ids = prompts.map((prompt) => prompt.ids);
  await using steering = await steer(model, { files: options.intervention ?? [], prompts }, cli, options);
  const sampling = {
    maxNewTokens: options.maxTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    seed: options.seed ?? defaults.seed,
    stopStrings: options.stop ?? [],
    logprobs: options.json === true,
    signal: cli.signal,
    fwdHooks: steering.fwdHooks,
  };
  if (!options.json) {
    const heads = given.map(({ head }) => head);
    await stream(model.generateStream(ids, sampling), heads, cli);
    const steered = options.intervention !== undefined && !options.quiet;
    for (const [row, effects] of steered ? (await steering.effects({ kl: false })).entries() : []) {
      const lines =
        effects.length > 0 ? effects.map(effectLine) : ['left as it is: the condition `when` does not hold'];
      for (const line of lines) cli.err(`prompt ${given[row]?.id}: ${line}\n`);
    }
    return [];
  }
  const completions = await model.generate(ids, sampling);
  const effects = options.intervention ? await steering.effects({ kl: true }) : undefined;
  return completions.map((completion, i) => ({
    id: given[i]!.id,
    prompt: given[i]!.text,
    prompt_ids: ids[i],
    ids: completion.ids,
    tokens: tokenTexts(model, completion.ids),
    text: completion.text,
    finish_reason: completion.finishReason,
    logprobs: completion.logprobs,
    smallest_gap: completion.smallestGap,
    arithmetic: model.guarded && model.arithmetic,
    effects: effects?.[i],
  }));
}

/** Print rows in their order: the first unfinished one live, the rest when their turn comes. */
async function stream(
  tokens: AsyncIterable<StreamedToken>,
  heads: readonly string[],
  cli: Cli,
): Promise<void> {
  const waiting = heads.map(() => '');
  const ended = waiting.map(() => false);
  let at = 0;
  cli.out(heads[at] ?? '');
  for await (const { row, text, finish } of tokens) {
    if (row === at) cli.out(text);
    else waiting[row] += text;
    if (finish !== undefined) ended[row] = true;
    while (at < heads.length && ended[at]) {
      at++;
      cli.out(`\n${heads[at] ?? ''}${waiting[at] ?? ''}`);
    }
  }
}

function tokenTexts(model: LanguageModel, ids: readonly number[]): string[] {
  return ids.map((id) => model.tokenizer.decode([id]));
}
