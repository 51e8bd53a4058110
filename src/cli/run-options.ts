/** @file Options of commands that run stages. */
import { type Command, Option } from 'commander';
import { collect, wholeNumber } from './cli.ts';
import { queueOption, queuePasswordOption } from './queue.ts';

/** What is changed in the file, how much runs side by side and where, and the dry run. */
export function addComputeOptions(command: Command): Command {
  return command
    .option('--set <key=value>', 'replace a value of the file; may be repeated', collect)
    .addOption(
      new Option('--limit <n>', 'at most this many prompts per figure').argParser(wholeNumber('--limit', 1)),
    )
    .addOption(
      new Option('-j, --jobs <n>', 'stages that run side by side').argParser(wholeNumber('-j', 1)).default(2),
    )
    .addOption(
      new Option(
        '--threads <n>',
        'threads per stage (default: the cores divided by -j); another number gives other last digits',
      ).argParser(wholeNumber('--threads', 1)),
    )
    .addOption(queueOption())
    .addOption(queuePasswordOption())
    .option('--dry-run', 'say what would be done, what is stored, and about how long the rest takes');
}

/** Where finished stages are kept, for a command whose output is a folder called `what`. */
export function storeOption(what: string): Option {
  return new Option(
    '--store <place>',
    `where finished stages are kept: a folder, or s3://bucket/prefix (default: "store" beside the ${what} folder)`,
  );
}
