/** @file How answers are watched by `probe` and `scan`: how many tokens are compared, how long answers are, rows per pass, intervals. */
import { type Command, Option } from 'commander';
import { wholeNumber } from './cli.ts';
import { bootstrapOption } from './prompts.ts';
import { defaults } from './settings.ts';

/** How answers are made and counted. */
export interface AnswerOptions {
  readonly maxTokens: number;
  readonly batch: number;
  readonly bootstrap: number;
}

export interface WatchOptions extends AnswerOptions {
  readonly answerTokens: number;
}

/** Add them to a command. */
export function addWatchOptions(command: Command): Command {
  return addAnswerOptions(
    command.addOption(
      new Option('--answer-tokens <n>', 'first tokens of the answer at which the next token is compared')
        .argParser(wholeNumber('--answer-tokens', 1))
        .default(8),
    ),
  );
}

/** Those of answers alone. */
export function addAnswerOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--max-tokens <n>', 'most new tokens of an answer')
        .argParser(wholeNumber('--max-tokens', 1))
        .default(defaults.evaluation.max_tokens),
    )
    .addOption(
      new Option('--batch <n>', 'prompts per forward pass').argParser(wholeNumber('--batch', 1)).default(16),
    )
    .addOption(bootstrapOption());
}

/** The same as settings of an experiment. */
export function watchSettings(options: WatchOptions) {
  const { answerTokens, maxTokens, batch, bootstrap } = options;
  return { answer_tokens: answerTokens, max_tokens: maxTokens, batch, bootstrap };
}
