/** @file `generate`: text from a model, streamed. */
import { type Command, Option } from 'commander';
import type { LanguageModel, StreamedToken } from '../../models/index.ts';
import { type Cli, type CommonOptions, collect, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { inTemplate, openModel, promptsOf, TEMPLATE_CHOICES, type TemplateChoice } from '../model.ts';
import { effectLine, steer } from '../steer.ts';

interface GenerateCommand extends CommonOptions {
  readonly model: string;
  readonly prompt?: readonly string[];
  readonly template: TemplateChoice;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly stop?: readonly string[];
  readonly intervention?: readonly string[];
}

export function addGenerate(program: Command, cli: Cli): void {
  declare(
    program,
    'generate',
    'Complete prompts (from --prompt, else standard input) and print the text as it comes.',
    'generate --model tiny-llama-m --template instruction --prompt "Which day comes after Saturday?"',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .option('--prompt <text>', 'a prompt; may be repeated', collect)
    .addOption(
      new Option('--template <name>', 'text put around a prompt; chat is the model’s own')
        .choices(TEMPLATE_CHOICES)
        .default('none'),
    )
    .addOption(
      new Option('--max-tokens <n>', 'most new tokens a prompt')
        .argParser(wholeNumber('--max-tokens', 1))
        .default(128),
    )
    .addOption(
      new Option('--temperature <t>', '0 = always the likeliest token')
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
    .option('--intervention <file>', 'JSON document that changes activations; may be repeated', collect)
    .option('--stop <text>', 'end before this text; may be repeated', collect)
    .action((options: GenerateCommand) => generate(options, cli));
}

async function generate(options: GenerateCommand, cli: Cli): Promise<void> {
  const given = await promptsOf(options.prompt, cli);
  await using model = await openModel(options.model, cli, options);
  const texts = given.map((text) => inTemplate(model, options.template, text));
  const prompts = texts.map((text) => model.toTokens(text)[0] as number[]);
  await using steering = await steer(model, options.intervention ?? [], texts, cli, options);
  const sampling = {
    maxNewTokens: options.maxTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    seed: options.seed ?? 0,
    stopStrings: options.stop ?? [],
    logprobs: options.json === true,
    signal: cli.signal,
    fwdHooks: steering.fwdHooks,
  };
  if (!options.json) {
    await stream(model.generateStream(prompts, sampling), given, cli);
    for (const [row, effects] of (await steering.effects({ kl: false })).entries())
      for (const effect of effects) if (!options.quiet) cli.err(`prompt ${row + 1}: ${effectLine(effect)}\n`);
    return;
  }
  const completions = await model.generate(prompts, sampling);
  const effects = options.intervention ? await steering.effects({ kl: true }) : undefined;
  printJson(cli, {
    model: options.model,
    template: options.template,
    completions: completions.map((completion, i) => ({
      prompt: given[i],
      prompt_ids: prompts[i],
      ids: completion.ids,
      tokens: tokenTexts(model, completion.ids),
      text: completion.text,
      finish_reason: completion.finishReason,
      logprobs: completion.logprobs,
      smallest_gap: completion.smallestGap,
      effects: effects?.[i],
    })),
  });
}

/** Print rows in their order: the first unfinished one live, the rest when their turn comes. */
async function stream(
  tokens: AsyncIterable<StreamedToken>,
  prompts: readonly string[],
  cli: Cli,
): Promise<void> {
  const waiting = prompts.map(() => '');
  const ended = prompts.map(() => false);
  let at = 0;
  const head = (): void => {
    if (prompts.length > 1 && at < prompts.length) cli.out(`${at > 0 ? '\n' : ''}[${at + 1}] `);
  };
  head();
  for await (const { row, text, finish } of tokens) {
    if (row === at) cli.out(text);
    else waiting[row] += text;
    if (finish !== undefined) ended[row] = true;
    while (at < prompts.length && ended[at]) {
      cli.out('\n');
      at++;
      head();
      cli.out(waiting[at] ?? '');
    }
  }
}

function tokenTexts(model: LanguageModel, ids: readonly number[]): string[] {
  return ids.map((id) => model.tokenizer.decode([id]));
}
