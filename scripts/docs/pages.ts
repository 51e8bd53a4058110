/** @file The generated pages of docs/reference: commands from commander, recipe and results from zod, errors from their table. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command, Option } from 'commander';
import { ERRORS } from '../../src/base/index.ts';
import { createProgram } from '../../src/cli/index.ts';
import {
  fleetSchema,
  recipeSchema,
  resultsSchema,
  sampleSchema,
  vectorRecordSchema,
} from '../../src/contracts/index.ts';
import { cell, commentsOf, keyRows, keyTable } from './keys.ts';

const root = join(import.meta.dirname, '../..');
const MADE = '<!-- made by `npm run docs:pages`; do not edit -->';

/** Path from the root → text. */
export async function generatedPages(): Promise<Map<string, string>> {
  return new Map([
    ['docs/reference/cli.md', cliPage()],
    ['docs/reference/recipe.md', recipePage()],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/files.md', await filesPage()],
  ]);
}

function head(title: string, line: string, sources: string): string {
  return `---\ntitle: ${title}\none_liner: ${line}\nsources: [${sources}]\n---\n${MADE}\n# ${title}\n\n`;
}

function cliPage(): string {
  const program = createProgram(
    {
      out: () => {},
      err: () => {},
      control: () => {},
      tty: false,
      columns: () => 100,
      stdin: async () => '',
      signal: new AbortController().signal,
      exitCode: 0,
      expand: async () => ({}),
    },
    '0.0.0',
  );
  const commands = program.commands.flatMap((command) => leaves(command, ''));
  const list = commands
    .map(
      ({ name, command }) =>
        `| [\`${name}\`](#${name.replaceAll(' ', '-')}) | ${cell(command.description())} |`,
    )
    .join('\n');
  return (
    head('Commands', 'Every command and option of `crosspatch`.', 'src/cli/program.ts, src/cli/commands') +
    'Every command takes `--json` (one JSON document on standard output and nothing else), `--quiet` (no progress), `--seed N` and `--help`. Exit codes: 0 done, 1\n' +
    'failed, 2 bad usage or bad input, 100 done but below a threshold asked for with `--require`. An error is one line, `error: message [id]`: [ids](errors.md).\n\n' +
    `| command | does |\n|---|---|\n${list}\n\n${commands.map(commandSection).join('\n\n')}\n`
  );
}

interface Named {
  readonly name: string;
  readonly command: Command;
}

function leaves(command: Command, prefix: string): Named[] {
  const name = `${prefix}${command.name()}`;
  if (command.commands.length === 0) return [{ name, command }];
  return command.commands.flatMap((sub) => leaves(sub, `${name} `));
}

const COMMON = ['--json', '--quiet', '--seed'];

function commandSection({ name, command }: Named): string {
  const options = command.options.filter((option) => !option.hidden && !COMMON.includes(option.long ?? ''));
  const usage =
    `crosspatch ${name} ${command.usage().replace('[options] ', '').replace('[options]', '').trim()}`.trim();
  const rows = options.map(
    (option) => `| \`${cell(option.flags)}\` | ${defaultOf(option)} | ${cell(option.description)} |`,
  );
  const table = rows.length === 0 ? '' : `\n\n| option | default | |\n|---|---|---|\n${rows.join('\n')}`;
  return `## ${name}\n\n${command.description()}\n\n\`\`\`\n${usage}\n${exampleOf(command)}\`\`\`${table}`;
}

function defaultOf(option: Option): string {
  const choices =
    option.argChoices === undefined ? '' : ` of ${option.argChoices.map((c) => `\`${c}\``).join(', ')}`;
  const own = option.mandatory && option.defaultValue === undefined ? 'required' : '';
  const value = option.defaultValueDescription ?? option.defaultValue;
  const text = Array.isArray(value) ? value.join(',') : String(value ?? '');
  return cell(`${own}${text === '' ? '' : `\`${text}\``}${choices}`.trim());
}

/** The example that `declare` appends to the help. */
function exampleOf(command: Command): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  const [, example] = /\nExample:\n([\s\S]*)$/.exec(help) ?? [];
  return example === undefined ? '' : `\n${example.trim().replaceAll(/^ +/gm, '')}\n`;
}

function recipePage(): string {
  return (
    head('Recipe', 'Every key of an experiment file.', 'src/contracts/recipe.ts, recipes/schema.json') +
    'A recipe is a YAML file. Every key has a default but `models`; an unknown key is an error. A section that is `false` is left out of the run. `extends: NAME`\n' +
    'takes everything from another recipe (bundled or a file) and changes what is written. `crosspatch init` writes a commented one, `crosspatch validate FILE` checks it,\n' +
    'and `recipes/schema.json` gives editors completion. What the figures mean: [method](../concepts/method.md).\n\n' +
    `${keyTable(keyRows(recipeSchema, 'input'), 'default')}\n`
  );
}

function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(
    ([id, { meaning, next }]) => `| <a id="${id}"></a>\`${id}\` | ${cell(meaning)} | ${cell(next)} |`,
  );
  return (
    head('Errors', 'Every error id, what it means and what to do next.', 'src/base/error-ids.ts') +
    'An error is one line: `error: where: what was wanted, what came; what to do next [id]`. The id stays the same from version to version. Exit code 2 means that the\n' +
    'input or the usage was wrong (do not retry), 1 that something failed, 100 that a run ended below a threshold asked for with `--require`.\n' +
    '`CROSSPATCH_DEBUG=1` adds the stack. In the library every error that crosspatch raises is a `CrosspatchError` with this `id`.\n\n' +
    `| id | meaning | next |\n|---|---|---|\n${rows.join('\n')}\n`
  );
}

/** Prose by hand, with tables between its markers. */
async function filesPage(): Promise<string> {
  const page = await readFile(join(root, 'docs/reference/files.md'), 'utf8');
  const comments = async (file: string) =>
    commentsOf(await readFile(join(root, 'src/contracts', file), 'utf8'));
  const tables = {
    fleet: keyTable(keyRows(fleetSchema, 'output', await comments('fleet.ts')), undefined),
    samples: keyTable(keyRows(sampleSchema, 'output', await comments('samples.ts')), undefined),
    results: keyTable(keyRows(resultsSchema, 'output', await comments('results.ts')), undefined),
    vector: keyTable(keyRows(vectorRecordSchema, 'output', await comments('vector.ts')), undefined),
  };
  return page.replace(
    /<!-- generated: (\w+) -->[\s\S]*?<!-- \/generated -->/g,
    (_, name: keyof typeof tables) => `<!-- generated: ${name} -->\n${tables[name]}\n<!-- /generated -->`,
  );
}
