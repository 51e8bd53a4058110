/** @file What a command sees of the outside world, and how every command is declared. */
import { type Command, Option } from 'commander';
import { InputError, visible } from '../base/index.ts';
import { PROVIDER_VARIABLE, PROVIDERS, type Provider } from '../engine/index.ts';
import type { Expand } from '../pipeline/index.ts';

/** Injected by `main.ts`, and by tests. */
export interface Cli {
  /** Write to standard output. Commands get one that shows control characters instead of sending them. */
  readonly out: (text: string) => void;
  /** Write to standard error; as `out`. */
  readonly err: (text: string) => void;
  /** Write a control sequence of our own to standard error, as it is. */
  readonly control: (sequence: string) => void;
  /** Whether standard error is a terminal. */
  readonly tty: boolean;
  /** Width of that terminal. */
  readonly columns: () => number;
  /** Ask a person yes or no; undefined where nobody sits at the terminal. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** All of standard input, as text. */
  readonly stdin: () => Promise<string>;
  /** Fires on Ctrl-C. */
  readonly signal: AbortSignal;
  /** What `run` and `demo` turn recipes into stages with; without it there are no such commands. */
  readonly expand?: Expand;
  /** Set by a command that ended well but below a threshold. */
  exitCode: 0 | 100;
}

/** The streams commands write to: nothing that comes from files, names or models can steer the terminal. */
export function safeCli<C extends Cli>(cli: C): C {
  return { ...cli, out: (text) => cli.out(visible(text)), err: (text) => cli.err(visible(text)) };
}

/** A {@link Cli} that can run experiments. */
export type RunCli = Cli & { readonly expand: Expand };

/** Options every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly seed?: number;
  /** Set for the whole command, and for the processes it starts, before the command begins. */
  readonly provider?: Provider;
}

/**
 * Declare a command with the common options and an example in its help. `usage` is name and arguments: `show <dir>`; `example` what is
 * typed after `crosspatch`, with the commands before it that it needs (`!` begins a line of the shell).
 */
export function declare(
  program: Command,
  usage: string,
  description: string,
  ...example: readonly string[]
): Command {
  return program
    .command(usage)
    .description(description)
    .option('--json', 'print JSON on standard output and nothing else')
    .option('--quiet', 'print no progress')
    .addOption(new Option('--seed <n>', 'seed of every random stream').argParser(wholeNumber('--seed', 0)))
    .addOption(
      new Option(
        '--provider <name>',
        `what models compute on (default: ${PROVIDER_VARIABLE}, else cpu)`,
      ).choices(PROVIDERS),
    )
    .addHelpText('after', `\nExample:\n${example.map(shellLine).join('\n')}`);
}

function shellLine(line: string): string {
  return line.startsWith('!') ? `  $ ${line.slice(1)}` : `  $ crosspatch ${line}`;
}

/** Parser of an option that takes a whole number from `least`. */
export function wholeNumber(flag: string, least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < least)
      throw new InputError(`${flag} ${text}: wanted a whole number from ${least}`, { id: 'option-invalid' });
    return value;
  };
}

/** Parser of an option that takes a number from `least` to `most`. */
export function decimal(
  flag: string,
  least: number,
  most = Number.POSITIVE_INFINITY,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most) || !Number.isFinite(value))
      throw new InputError(
        `${flag} ${text}: wanted a number from ${least}${Number.isFinite(most) ? ` to ${most}` : ''}`,
        { id: 'option-invalid' },
      );
    return value;
  };
}

/** Parser of an option that may be given many times. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** Print `value` as the one JSON document of a command, lists of numbers on one line. */
export function printJson(cli: Cli, value: unknown): void {
  // A JSON string holds no bare line break, so these patterns match structure only.
  const text = JSON.stringify(value, null, 2).replace(/\[\n[-\d.eE+,\s]+\]/g, (list) =>
    list.replace(/\s+/g, ''),
  );
  cli.out(`${text}\n`);
}
