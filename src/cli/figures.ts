/** @file Figures as a command prints them, and `--require key>=x`: thresholds on them, with the exit code 100. */
import type { Command } from 'commander';
import { checkRequirement, parseRequirement, type Requirement } from '../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, printJson } from './cli.ts';

export interface RequireOption {
  readonly require?: readonly string[];
}

/** Give a command the option. Its thresholds are read at once, so that a typo does not wait for the figures. */
export function addRequire(command: Command): Command {
  return command.option(
    '--require <key>=x>',
    'exit with 100 when a figure is below; may be repeated',
    (text: string, before: readonly string[] | undefined) => {
      parseRequirement(text);
      return collect(text, before);
    },
  );
}

/** Hold the figures of `document` (by their paths in it) to the thresholds; sets the exit code. */
export function checkRequired(cli: Cli, options: RequireOption, document: unknown): Requirement[] {
  const requirements = (options.require ?? []).map((text) => checkRequirement(document, text));
  if (requirements.some((r) => !r.met)) cli.exitCode = 100;
  return requirements;
}

/** Say on standard error which were met. */
export function sayRequired(cli: Cli, requirements: readonly Requirement[]): void {
  for (const { text, value, met } of requirements)
    cli.err(`${met ? 'met' : 'NOT MET'}: ${text} (it is ${value})\n`);
}

/** Print figures as JSON, or as `text` and the thresholds on standard error. */
export function printFigures(
  cli: Cli,
  options: CommonOptions & RequireOption,
  document: Readonly<Record<string, unknown>>,
  text: () => string,
): void {
  const requirements = checkRequired(cli, options, document);
  if (options.json) {
    printJson(cli, { ...document, ...(requirements.length === 0 ? {} : { requirements }) });
    return;
  }
  cli.out(text());
  sayRequired(cli, requirements);
}
