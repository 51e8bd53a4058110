/** @file Shell completion, written from the commands themselves: commands, options, the choices of options, files. */
import type { Command, Option } from 'commander';
import { bundledModels } from '../models/index.ts';

/** Shells there are scripts for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Node {
  /** `/map/fit`; empty for the program. */
  readonly path: string;
  readonly summary: string;
  readonly commands: readonly string[];
  readonly options: readonly Option[];
  readonly isGroup: boolean;
}

/** The script of a shell for a program. */
export function completionScript(program: Command, shell: Shell): string {
  return SCRIPTS[shell](nodesOf(program, ''));
}

function nodesOf(command: Command, path: string): Node[] {
  const help = command.createHelp();
  const node = {
    path,
    summary: command.description(),
    commands: command.commands.map((c) => c.name()),
    options: help.visibleOptions(command),
    isGroup: command.commands.length > 0,
  };
  return [node, ...command.commands.flatMap((c) => nodesOf(c, `${path}/${c.name()}`))];
}

const SCRIPTS: Record<Shell, (nodes: readonly Node[]) => string> = { bash, zsh, fish };

function bash(nodes: readonly Node[]): string {
  const reply = (words: readonly string[]) => `COMPREPLY=($(compgen -W $'${words.join('\\n')}' -- "$cur"))`;
  return `# crosspatch completion bash
_crosspatch() {
  local IFS=$'\\n' cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at/\${COMP_WORDS[i]}" in
      ${pathPattern(nodes)}) at=$at/\${COMP_WORDS[i]} ;;
    esac
  done
  COMPREPLY=()
  case "$at $prev" in
${valueCases(nodes, (choices) => `${reply(choices)}; return`, 'COMPREPLY=($(compgen -f -- "$cur")); return')}
  esac
  case "$at" in
${wordCases(nodes, reply)}
  esac
  if [[ \${#COMPREPLY[@]} -eq 0 && $cur != -* ]]; then COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -o filenames -F _crosspatch crosspatch
`;
}

function zsh(nodes: readonly Node[]): string {
  const add = (words: readonly string[]) => `compadd -- ${words.join(' ')}`;
  return `#compdef crosspatch
# crosspatch completion zsh
_crosspatch() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]} at= i
  for ((i = 2; i < CURRENT; i++)); do
    case "$at/\${words[i]}" in
      ${pathPattern(nodes)}) at=$at/\${words[i]} ;;
    esac
  done
  case "$at $prev" in
${valueCases(nodes, (choices) => `${add(choices)}; return`, '_files; return')}
  esac
  case "$at" in
${wordCases(nodes, add)}
  esac
  case "$at" in
    ${nodes
      .filter((n) => n.isGroup)
      .map((n) => `'${n.path}'`)
      .join('|')}) ;;
    *) [[ $cur == -* ]] || _files ;;
  esac
}
compdef _crosspatch crosspatch
`;
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, options }) => {
    const at = path.split('/').filter(Boolean);
    const when = `-n '__crosspatch_at ${at.join(' ')}'`;
    const summaries = commands.map((name) => nodes.find((n) => n.path === `${path}/${name}`)?.summary ?? '');
    return [
      ...commands.map(
        (name, i) => `complete -c crosspatch ${when} -f -a ${name} -d ${quoted(summaries[i]!)}`,
      ),
      ...options.map((option) => {
        const short = option.short ? ` -s ${option.short.slice(1)}` : '';
        const choices = choicesOf(option);
        const value = choices ? ` -x -a '${choices.join(' ')}'` : takesValue(option) ? ' -r' : '';
        return `complete -c crosspatch ${when}${short} -l ${option.long?.slice(2)}${value} -d ${quoted(option.description)}`;
      }),
    ];
  });
  return `# crosspatch completion fish
function __crosspatch_at
    set -l words (commandline -opc)[2..-1]
    set -l at
    for word in $words
        string match -q -- '-*' $word; and break
        set -a at $word
    end
    if test (count $argv) -eq 0
        test (count $at) -eq 0
    else
        test "$at[1..(count $argv)]" = "$argv"
    end
end
${lines.join('\n')}
`;
}

/** Every command, as alternatives of a shell's `case`. */
function pathPattern(nodes: readonly Node[]): string {
  return nodes.flatMap(({ path }) => (path === '' ? [] : [path])).join('|');
}

/** Cases of `"$at $prev"`: the value of an option is one of its choices, else a file. */
function valueCases(
  nodes: readonly Node[],
  choose: (choices: readonly string[]) => string,
  file: string,
): string {
  return nodes
    .flatMap(({ path, options }) => {
      const flags = (of: readonly Option[]) => of.map((o) => `'${path} ${o.long}'`).join('|');
      const free = options.filter((option) => takesValue(option) && choicesOf(option) === undefined);
      const chosen = options.flatMap((option) => {
        const choices = choicesOf(option);
        return choices ? [`    ${flags([option])}) ${choose(choices)} ;;`] : [];
      });
      return free.length === 0 ? chosen : [...chosen, `    ${flags(free)}) ${file} ;;`];
    })
    .join('\n');
}

/** Cases of `"$at"`: subcommands and options. */
function wordCases(nodes: readonly Node[], reply: (words: readonly string[]) => string): string {
  return nodes
    .map(({ path, commands, options }) => {
      const flags = options.flatMap(({ long }) => (long ? [long] : []));
      return `    '${path}') ${reply([...commands, ...flags])} ;;`;
    })
    .join('\n');
}

/** The values an option takes, where they are known: its choices, or the bundled models. */
function choicesOf(option: Option): readonly string[] | undefined {
  if (option.argChoices) return option.argChoices;
  if (!takesValue(option) || !/bundled name|as --source/.test(option.description)) return undefined;
  return bundledModels().map(({ name }) => name);
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
