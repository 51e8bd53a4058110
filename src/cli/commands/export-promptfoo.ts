/** @file `export promptfoo`: a run as a regression test of a served model. */
import { type Command, Option } from 'commander';
import { stringify } from 'yaml';
import { InputError, refuseForeignFile, writeFileAtomic } from '../../base/index.ts';
import { promptfooSuite } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';

interface PromptfooCommand extends CommonOptions {
  readonly behaviour?: string;
  readonly alias?: string;
  readonly phrase?: string;
  readonly tests: number;
  readonly url: string;
}

/** First line of what is written, by which it is known again. */
const MARK = '# Made by crosspatch export promptfoo.';

export function addExportPromptfoo(group: Command, cli: Cli): void {
  declare(
    group,
    'promptfoo <run> <file>',
    'Write a promptfooconfig.yaml: prompts of the run with and without the trigger, asked of the plain and of the steered model at crosspatch serve. The steered one passes, the plain one fails on the trigger.',
    'export promptfoo runs/demo promptfooconfig.yaml --behaviour locked',
  )
    .option('--behaviour <name>', 'which behaviour of the run, where it has several')
    .option(
      '--alias <name>',
      'the document of use/BEHAVIOUR: native or mapped; by default the one that restored more',
    )
    .option('--phrase <text>', 'what marks the behaviour, where the recipe does not say')
    .addOption(
      new Option('--tests <n>', 'prompts with the trigger at most, and as many without')
        .argParser(wholeNumber('--tests', 1))
        .default(10),
    )
    .option('--url <url>', 'where the server is', 'http://127.0.0.1:8080/v1')
    .action((run: string, file: string, options: PromptfooCommand) => promptfoo(run, file, options, cli));
}

async function promptfoo(run: string, file: string, options: PromptfooCommand, cli: Cli): Promise<void> {
  if (!/\.ya?ml$/i.test(file))
    throw new InputError(`${file}: wanted a name that ends in .yaml, e.g. promptfooconfig.yaml`, {
      id: 'option-invalid',
    });
  await refuseForeignFile(file, (text) => text.startsWith(MARK));
  const { config, behaviour, alias, ...counts } = await promptfooSuite(run, options);
  const serve = `# Start the server with the command in use/${behaviour}/README.md of the run.`;
  await writeFileAtomic(
    file,
    `${MARK}\n${serve}\n${stringify(config, { lineWidth: 0, aliasDuplicateObjects: false })}`,
  );
  if (options.json) printJson(cli, { file, behaviour, alias, ...counts });
  else
    cli.out(
      `wrote ${file}: ${counts.triggered} tests with the trigger (of ${counts.restored} that ${alias}.json restored, of ${counts.shown} that show ${behaviour}), ${counts.ordinary} without\n`,
    );
}
