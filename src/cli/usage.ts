/** @file What is said of a command line that is not understood: the nearest command or option there is, and `help`. */
import type { Command, Option } from 'commander';
import { type ErrorId, InputError } from '../base/index.ts';
import { nearest } from '../contracts/index.ts';
import type { Cli } from './cli.ts';
import { completionScript, SHELLS, type Shell } from './completion.ts';

/** `help [command…]`: the help of a command, or of the program. */
export function addHelp(program: Command): void {
  program
    .command('help [command...]')
    .description('Show the help of a command.')
    .addHelpText('after', '\nExample:\n  $ crosspatch help map fit')
    .action((words: readonly string[]) => {
      let command = program;
      for (const word of words) command = subcommand(command, word);
      command.outputHelp();
    });
}

/** `completion SHELL`: a script to source. */
export function addCompletion(program: Command, cli: Cli): void {
  program
    .command('completion')
    .argument(`<${SHELLS.join('|')}>`, 'the shell', (word): Shell => {
      const shell = SHELLS.find((s) => s === word);
      if (shell === undefined)
        throw new InputError(`completion ${word}: wanted ${SHELLS.join(', ')}`, { id: 'usage' });
      return shell;
    })
    .description('Print a script that completes commands, options and files in your shell.')
    .addHelpText(
      'after',
      '\nExample:\n  $ crosspatch completion bash > ~/.local/share/bash-completion/completions/crosspatch\n\n' +
        'zsh: crosspatch completion zsh > _crosspatch, in a folder of $fpath; fish: crosspatch completion fish > ~/.config/fish/completions/crosspatch.fish',
    )
    .action((shell: Shell) => cli.out(completionScript(program, shell)));
}

/** The command `word` of a group, or an {@link InputError} with the nearest. */
function subcommand(group: Command, word: string): Command {
  const found = group.commands.find((command) => command.name() === word);
  if (found === undefined) throw unknownCommand(group, word);
  return found;
}

export function unknownCommand(group: Command, word: string): InputError {
  const names = group.commands.map((command) => command.name());
  const near = nearest(word, names);
  const help = ['crosspatch', ...pathOf(group), '--help'].join(' ');
  return new InputError(`${word}: no such command; ${near ? `did you mean "${near}"?` : `see ${help}`}`, {
    id: 'command-unknown',
  });
}

/** Throws where a command of a group or an option of a command does not exist: before anything else is missed. */
export function refuseUnknown(program: Command, argv: readonly string[]): void {
  let command = program;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--') return;
    if (!word.startsWith('-') || word === '-') {
      if (command !== program && command.commands.length > 0 && word !== 'help')
        command = subcommand(command, word);
      else command = command.commands.find((c) => c.name() === word) ?? command;
      continue;
    }
    const [flag = word] = word.split('=');
    const option = optionsOf(command).find((o) => isFlag(o, flag));
    if (option?.required && !word.includes('=') && option.long === flag) i++;
    if (option === undefined && flag.startsWith('--')) throw unknownOption(command, flag);
  }
}

function unknownOption(command: Command, flag: string): InputError {
  const flags = optionsOf(command).flatMap(({ long }) => (long ? [long.slice(2)] : []));
  const near = nearest(flag.slice(2), flags);
  const help = ['crosspatch', ...pathOf(command), '--help'].join(' ');
  return new InputError(`unknown option '${flag}'; ${near ? `did you mean --${near}?` : `see ${help}`}`, {
    id: 'usage',
  });
}

/** The options of a command, those every command has among them. */
function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

function isFlag(option: Option, flag: string): boolean {
  return option.long === flag || option.short === flag;
}

/** Names of a command and the groups around it, the program aside. */
export function pathOf(command: Command): string[] {
  return command.parent ? [...pathOf(command.parent), command.name()] : [];
}

/** A complaint of the parser on one line, with what to do next. */
export function complaint(text: string, command: Command): string {
  const line = text.trim().replace(/\s*\n\s*/g, ' ');
  const isMissing = /required option|missing required argument/.test(line);
  const next = isMissing ? `; see ${['crosspatch', ...pathOf(command), '--help'].join(' ')}` : '';
  return `${line}${next} [${'usage' satisfies ErrorId}]\n`;
}
