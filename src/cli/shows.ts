/** @file `--phrase` and `--pattern`: how a bad answer is recognised, where that is known. */
import type { Command } from 'commander';
import { InputError } from '../base/index.ts';
import { makeBehaviour } from '../behaviours/index.ts';

export interface ShowsOptions {
  readonly phrase?: string;
  readonly pattern?: string;
}

/** Add them to a command. */
export function addShowsOptions(command: Command): Command {
  return command
    .option('--phrase <text>', 'what the bad answer says, where that is known')
    .option('--pattern <regex>', 'or a regular expression that finds it');
}

/** The test of an answer; undefined where neither is given. `where` begins the message where both are. */
export function showsOf(
  { phrase, pattern }: ShowsOptions,
  where: string,
): ((answer: string) => boolean) | undefined {
  if (phrase !== undefined && pattern !== undefined)
    throw new InputError(`${where}: wanted --phrase or --pattern, got both`, { id: 'option-conflict' });
  return phrase === undefined && pattern === undefined ? undefined : showing({ phrase, pattern });
}

/** The test of an answer by phrase or pattern. */
export function showing(marks: {
  readonly phrase?: string | undefined;
  readonly pattern?: string | undefined;
}): (answer: string) => boolean {
  const { detect } = makeBehaviour('custom', marks);
  return (answer) => detect(answer).shows;
}
