/** @file `serve --model M`: an OpenAI-compatible server of one model, with steering, until Ctrl-C. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import { readTexts, templateNames } from '../../behaviours/index.ts';
import type { Arithmetic } from '../../contracts/index.ts';
import type { WeightsForm } from '../../models/index.ts';
import type { NamedSteering, ServeLimits } from '../../server/index.ts';
import { type Cli, type CommonOptions, collect, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { adaptedFolder, arithmeticLine, arithmeticOption, checkArithmetic, weightsOption } from '../model.ts';
import { readSteering } from '../steer.ts';

interface ServeCommand extends CommonOptions, ServeLimits {
  readonly model: string;
  readonly name?: string;
  readonly alias?: readonly string[];
  readonly default?: string;
  readonly intervention?: string;
  readonly adapter?: string;
  readonly weights?: WeightsForm;
  readonly arithmetic: Arithmetic;
  readonly guardData?: string;
  readonly apiKeyEnv?: string;
  readonly drain: number;
}

/** Rows read of `--guard-data` at most. */
const GUARD_TEXTS = 1000;

/** Name of the steering that `--intervention` gives. */
const DEFAULT_ALIAS = 'steered';

export function addServe(program: Command, cli: Cli): void {
  declare(
    program,
    'serve',
    'Serve a model to OpenAI clients, steered where a request, a model name or the server says so; every answer says whether the steering fired and what it changed.',
    'serve --model tiny-llama-m --port 8080',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .addOption(arithmeticOption())
    .option(
      '--guard-data <file>',
      'for --arithmetic fast: messages of users that it is compared with exact on: JSONL (.gz), JSON or Parquet',
    )
    .option('--adapter <path>', 'PEFT adapter on the model')
    .option('--name <name>', 'what clients call the model; by default the last part of --model')
    .option(
      '--alias <name=file>',
      'steering that clients ask for as MODEL@NAME or "steering": "NAME": an intervention (.json), a folder of crosspatch vector, or a file of vectors; may be repeated',
      collect,
    )
    .option('--default <name>', 'the alias that is carried out where a request says nothing')
    .option('--intervention <file>', `short for --alias ${DEFAULT_ALIAS}=FILE --default ${DEFAULT_ALIAS}`)
    .addOption(
      new Option(
        '--template <name>',
        'text around the messages of a chat; auto: the model’s own, else instruction',
      )
        .choices(['auto', ...templateNames])
        .default('auto'),
    )
    .option('--system <text>', 'system text where a chat brings none')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addOption(new Option('--port <n>', '0: any free one').argParser(wholeNumber('--port', 0)).default(8080))
    .option('--api-key-env <name>', 'environment variable with the key that clients must send')
    .addOption(
      new Option('--max-body <bytes>', 'largest request')
        .argParser(wholeNumber('--max-body', 1024))
        .default(1_048_576),
    )
    .addOption(
      new Option('--max-tokens <n>', 'most new tokens of an answer')
        .argParser(wholeNumber('--max-tokens', 1))
        .default(1024),
    )
    .addOption(
      new Option('--queue <n>', 'answers under way or waiting; further requests get 429')
        .argParser(wholeNumber('--queue', 1))
        .default(256),
    )
    .addOption(
      new Option('--batch <n>', 'answers decoded side by side')
        .argParser(wholeNumber('--batch', 1))
        .default(16),
    )
    .addOption(
      new Option('--max-dose <x>', 'largest ‖Δ‖/‖h‖ of an edit, mean over its positions; more is refused')
        .argParser(decimal('--max-dose', 0))
        .default(4),
    )
    .addOption(
      new Option('--timeout <s>', 'seconds after which an answer is given up')
        .argParser(wholeNumber('--timeout', 1))
        .default(600),
    )
    .addOption(
      new Option('--drain <s>', 'seconds that answers under way have left when the server is told to stop')
        .argParser(wholeNumber('--drain', 0))
        .default(30),
    )
    .action((options: ServeCommand) => serve(options, cli));
}

async function serve(options: ServeCommand, cli: Cli): Promise<void> {
  const guardTexts = await guardTextsOf(options);
  const { steering, defaultSteering } = await steeringOf(options);
  const apiKey = options.apiKeyEnv === undefined ? undefined : keyFrom(options.apiKeyEnv);
  await using place = await adaptedFolder(options.model, options.adapter, cli, options);
  // Loaded here: two hundred files that no other command needs.
  const { startModelServer } = await import('../../server/index.ts');
  await using server = await startModelServer({
    ...options,
    model: place.path,
    guardTexts,
    name: options.name ?? basename(options.model).replace(/\.gguf$/i, ''),
    steering,
    defaultSteering,
    apiKey,
  });
  const { url, port, name, guarded } = server;
  const models = [name, ...[...steering.keys()].map((alias) => `${name}@${alias}`)];
  if (options.json)
    printJson(cli, {
      url,
      port,
      models,
      default: defaultSteering ?? null,
      arithmetic: guarded && { kind: 'fast', ...guarded },
    });
  else cli.out(`${url}\n`);
  if (!options.quiet && !options.json)
    cli.err(
      `models: ${models.join(', ')}; by default ${defaultSteering === undefined ? 'no steering' : `steered by ${defaultSteering}`}. Ctrl-C stops.\n`,
    );
  if (guarded !== undefined && !options.quiet && !options.json) cli.err(arithmeticLine(guarded));
  if (!cli.signal.aborted)
    await new Promise<void>((resolve) =>
      cli.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
  await server.drain(options.drain);
}

/** Texts that fast arithmetic is compared on; the guard takes a part of them itself. */
async function guardTextsOf(options: ServeCommand): Promise<string[] | undefined> {
  const { arithmetic, guardData: guard, alias, intervention } = options;
  checkArithmetic(options, [
    ...(alias === undefined ? [] : ['--alias']),
    ...(intervention === undefined ? [] : ['--intervention']),
  ]);
  if ((arithmetic === 'fast') !== (guard !== undefined))
    throw new InputError(
      guard === undefined
        ? '--arithmetic fast: wanted --guard-data FILE, messages of users to compare it with exact arithmetic on, got none'
        : '--guard-data: is for --arithmetic fast, got exact',
      { id: guard === undefined ? 'option-missing' : 'option-conflict' },
    );
  if (guard === undefined) return undefined;
  return (await readTexts(guard, { limit: GUARD_TEXTS })).texts.map(({ text }) => text);
}

async function steeringOf({ alias = [], intervention, default: named }: ServeCommand): Promise<{
  readonly steering: ReadonlyMap<string, NamedSteering>;
  readonly defaultSteering: string | undefined;
}> {
  if (intervention !== undefined && named !== undefined)
    throw new InputError('--intervention is the default; leave out --default', { id: 'option-conflict' });
  const steering = new Map<string, NamedSteering>();
  for (const given of [
    ...alias,
    ...(intervention === undefined ? [] : [`${DEFAULT_ALIAS}=${intervention}`]),
  ]) {
    const [, name = '', file = ''] = /^([\w.-]{1,64})=(.+)$/.exec(given) ?? [];
    if (name === '' || name === 'none' || steering.has(name))
      throw new InputError(
        `--alias ${given}: wanted NAME=FILE with a name of letters, digits, dots or dashes, not none, each once`,
        { id: 'option-invalid' },
      );
    steering.set(name, await readSteering(file));
  }
  return { steering, defaultSteering: intervention === undefined ? named : DEFAULT_ALIAS };
}

function keyFrom(name: string): string {
  const key = process.env[name] ?? '';
  if (key === '')
    throw new InputError(`--api-key-env ${name}: this environment variable is not set, or empty`, {
      id: 'option-invalid',
    });
  return key;
}
