/** @file `cache list|prune`: what crosspatch keeps to be quick again, and deleting it. */
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import { type CacheEntry, cacheEntries, cacheRoot, deleteCacheEntry } from '../../models/index.ts';
import { storeEntries } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson } from '../cli.ts';
import { byteSize, textTable } from '../table.ts';

const KINDS = [
  'hub',
  'gguf',
  'shards',
  'judge',
  'engine',
  'stage',
] as const satisfies readonly CacheEntry['kind'][];

interface ListOptions extends CommonOptions {
  readonly store?: readonly string[];
  readonly kind?: CacheEntry['kind'];
}
interface PruneOptions extends ListOptions {
  readonly name?: string;
  readonly olderThan?: number;
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function addCache(program: Command, cli: Cli): void {
  const cache = program
    .command('cache')
    .description(
      'What is kept to be quick again: hub models, converted GGUF files, answers of judges, completions of servers, finished stages.',
    );
  addSources(
    declare(cache, 'list', 'List what is kept, with sizes and when it was last used.', 'cache list'),
  ).action((options: ListOptions) => list(options, cli));
  addSources(
    declare(
      cache,
      'prune',
      'Delete kept things by name or age; nothing that crosspatch did not write.',
      'cache prune --older-than 30d --dry-run',
    ),
  )
    .option('--name <text>', 'those whose name contains this')
    .addOption(new Option('--older-than <age>', 'those not used for this long, e.g. 12h, 30d').argParser(age))
    .option('--all', 'all of them')
    .option('--dry-run', 'say what would be deleted')
    .option('--yes', 'delete without asking')
    .action((options: PruneOptions) => prune(options, cli));
}

function addSources(command: Command): Command {
  return command
    .option('--store <dir>', 'a stage store; may be repeated (default: runs/store, where it exists)', collect)
    .addOption(new Option('--kind <kind>', 'only these').choices(KINDS));
}

async function list(options: ListOptions, cli: Cli): Promise<void> {
  const entries = await entriesOf(options);
  const bytes = total(entries);
  if (options.json) printJson(cli, { cache: cacheRoot(), bytes, entries });
  else if (entries.length === 0) cli.out(`${cacheRoot()}: holds nothing\n`);
  else cli.out(`${table(entries)}\n${entries.length} kept, ${byteSize(bytes)} (${cacheRoot()})\n`);
}

async function prune(options: PruneOptions, cli: Cli): Promise<void> {
  const { name, olderThan, all, dryRun, yes } = options;
  if (name === undefined && olderThan === undefined && options.kind === undefined && !all)
    throw new InputError('cache prune: wanted --name, --older-than, --kind or --all, got none', {
      id: 'option-missing',
    });
  const before = Date.now() - (olderThan ?? 0);
  const chosen = (await entriesOf(options)).filter(
    (entry) =>
      (name === undefined || entry.name.includes(name)) &&
      (olderThan === undefined || Date.parse(entry.last_used) < before),
  );
  const doomed = chosen.filter(({ kept }) => kept === undefined);
  const bytes = total(doomed);
  const said = `${doomed.length} of ${chosen.length}, ${byteSize(bytes)}`;
  if (!options.json && chosen.length > 0) cli.out(`${table(chosen)}\n`);
  if (!dryRun && doomed.length > 0) {
    if (!yes && !(await confirmed(cli, `Delete ${said}?`))) {
      cli.err('nothing was deleted\n');
      return;
    }
    for (const entry of doomed) await deleteCacheEntry(entry);
  }
  if (options.json)
    printJson(cli, { dry_run: dryRun === true, bytes, deleted: dryRun ? [] : doomed, chosen });
  else if (chosen.length === 0) cli.out('nothing fits; see crosspatch cache list\n');
  else cli.out(`${dryRun ? 'would delete' : 'deleted'} ${said}\n`);
}

function confirmed(cli: Cli, question: string): Promise<boolean> {
  if (cli.confirm === undefined)
    throw new InputError('cache prune: wanted --yes, since there is no terminal to ask on; or --dry-run', {
      id: 'option-missing',
    });
  return cli.confirm(question);
}

async function entriesOf({ store = ['runs/store'], kind }: ListOptions): Promise<CacheEntry[]> {
  for (const place of store) if (place.startsWith('s3://')) refuseBucket(place);
  const stores = await Promise.all(store.map(storeEntries));
  const entries = [...(await cacheEntries()), ...stores.flat()];
  return kind === undefined ? entries : entries.filter((entry) => entry.kind === kind);
}

/** A bucket is not this machine's to tidy up; this machine's copy of it is a folder. */
function refuseBucket(place: string): never {
  throw new InputError(
    `--store ${place.includes('@') ? 's3://…' : place}: wanted a folder, got a bucket; this machine's copies of buckets are the folders in ${cacheRoot()}/stores, and a lifecycle rule of the bucket removes what is old there`,
    { id: 'option-invalid' },
  );
}

function table(entries: readonly CacheEntry[]): string {
  return textTable([
    ['kind', 'name', 'size', 'last used', 'path', ''],
    ...entries.map(({ kind, name, bytes, last_used, path, kept }) => [
      kind,
      name,
      byteSize(bytes),
      last_used.slice(0, 16).replace('T', ' '),
      path,
      kept === undefined ? '' : `kept: ${kept}`,
    ]),
  ]);
}

function total(entries: readonly CacheEntry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** `12h`, `30d`, `2w` in milliseconds. */
function age(text: string): number {
  const [, count, unit] = /^(\d+)([hdw])$/.exec(text) ?? [];
  const hours = { h: 1, d: 24, w: 168 }[unit ?? ''];
  if (hours === undefined)
    throw new InputError(`--older-than ${text}: wanted hours, days or weeks, e.g. 12h, 30d, 2w`, {
      id: 'option-invalid',
    });
  return Number(count) * hours * 3_600_000;
}
