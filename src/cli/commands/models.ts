/** @file `models list|pull|inspect|convert`: the models at hand, and models of the hub and of GGUF files. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import {
  bundledModels,
  convertToHf,
  type FloatDtype,
  hubCaches,
  openCheckpoint,
  pullModel,
  resolveModel,
} from '../../models/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { describeModel, tokenizerTexts } from '../describe-model.ts';
import { inspectReference, withProgress } from '../model.ts';
import { byteSize, figure, textTable } from '../table.ts';

export function addModels(program: Command, cli: Cli): void {
  const models = program
    .command('models')
    .description('Models at hand, and models of the hub and of GGUF files.');
  addList(models, cli);
  addPull(models, cli);
  addInspect(models, cli);
  addConvert(models, cli);
}

function addList(models: Command, cli: Cli): void {
  declare(models, 'list', 'List bundled models and those pulled from the hub.', 'models list').action(
    async (options: CommonOptions) => {
      const bundled = bundledModels().map((m) => ({
        model: m.name,
        from: 'bundled',
        path: m.path,
        present: m.present,
      }));
      const rows = [...bundled, ...(await pulledModels())];
      const listed = await Promise.all(
        rows.map(async (row) => ({ ...row, bytes: row.present ? await folderBytes(row.path) : undefined })),
      );
      if (options.json) printJson(cli, listed);
      else
        cli.out(
          textTable([
            ['model', 'from', 'size', 'path'],
            ...listed.map((m) => [
              m.model,
              m.from,
              m.bytes === undefined ? 'missing' : byteSize(m.bytes),
              m.path,
            ]),
          ]),
        );
    },
  );
}

function addPull(models: Command, cli: Cli): void {
  declare(
    models,
    'pull <model>',
    'Fetch org/name[@revision] from the hub; goes on where it stopped, checks every file.',
    'models pull HuggingFaceTB/SmolLM2-135M-Instruct',
  )
    .option('--offline', 'use only what was fetched before')
    .addHelpText(
      'after',
      '\nA token for private models is read from $HF_TOKEN or a login by hf auth login, another hub from $HF_ENDPOINT.',
    )
    .action(async (reference: string, options: CommonOptions & { offline?: boolean }) => {
      const path = await withProgress(cli, options, (onProgress) =>
        pullModel(reference, {
          onProgress,
          signal: cli.signal,
          offline: options.offline,
        }),
      );
      if (options.json) printJson(cli, { model: reference, path, bytes: await folderBytes(path) });
      else cli.out(`${path}\n`);
    });
}

function addInspect(models: Command, cli: Cli): void {
  declare(
    models,
    'inspect <model>',
    'Say what a model is: family, sizes, parameters, hook points, tokenizer, and how its family was checked.',
    'models inspect tiny-llama-m',
  ).action(async (reference: string, options: CommonOptions) => {
    const about = await describeModel(await inspectReference(reference, cli, options));
    if (options.json) {
      printJson(cli, { model: reference, ...about });
      return;
    }
    const { sizes, tokenizer, parity } = about;
    const lines: [string, string][] = [
      ['path', about.path],
      [
        'family',
        `${about.family} (${about.kind === 'gguf' ? 'GGUF' : 'safetensors'}, ${about.dtypes.join(', ')})`,
      ],
      [
        'parameters',
        `${figure(about.parameters / 1e6)} M (${figure(about.embedding_parameters / 1e6)} M of them embedding and head)`,
      ],
      [
        'sizes',
        Object.entries(sizes)
          .map(([name, value]) => `${name} ${value}`)
          .join(', '),
      ],
      ['particulars', about.particulars.join(', ') || 'none'],
      ...about.notes.map((note): [string, string] => ['note', note]),
      [
        'memory',
        `${byteSize(about.float32_bytes)} of weights in float32, ${byteSize(about.kv_bytes_per_token)} of keys and values a token`,
      ],
      [
        'tokenizer',
        `${tokenizer.vocabulary} tokens, end ${tokenizer.eos_ids.join(', ')}, ${tokenizer.chat_template ? 'with' : 'no'} chat template`,
      ],
      ['hooks', `${about.hooks.length}: ${about.hooks.slice(0, 8).join(', ')}, …, ${about.hooks.at(-1)}`],
      ['parity', parity],
    ];
    for (const [name, value] of lines) cli.out(`${name.padEnd(12)} ${value}\n`);
  });
}

function addConvert(models: Command, cli: Cli): void {
  declare(
    models,
    'convert <model> <folder>',
    'Write a model (GGUF too) as a Hugging Face folder with its tokenizer.',
    'models convert SmolLM2.Q4_1.gguf SmolLM2-hf --dtype F16',
  )
    .addOption(
      new Option('--dtype <type>', 'of the weights (default: as stored; F32 for a GGUF)').choices([
        'F32',
        'F16',
        'BF16',
      ]),
    )
    .option('--overwrite', 'replace a folder that crosspatch wrote')
    .action(
      async (
        reference: string,
        folder: string,
        options: CommonOptions & { dtype?: FloatDtype; overwrite?: boolean },
      ) => {
        await withProgress(cli, options, async (onProgress) => {
          const { path } = await resolveModel(reference, { onProgress, signal: cli.signal });
          const checkpoint = await openCheckpoint(path, { onProgress });
          await convertToHf(checkpoint, folder, {
            extraFiles: await tokenizerTexts(checkpoint),
            onProgress,
            dtype: options.dtype,
            overwrite: options.overwrite,
          });
        });
        const bytes = await folderBytes(folder);
        if (options.json) printJson(cli, { model: reference, folder, bytes });
        else cli.out(`wrote ${folder} (${byteSize(bytes)})\n`);
      },
    );
}

/** Snapshots in the hub cache, `models--org--name/snapshots/<commit>`. */
async function pulledModels(): Promise<{ model: string; from: string; path: string; present: boolean }[]> {
  const { own, others } = hubCaches();
  const found = [];
  for (const [cache, home] of await modelFolders([own, ...others])) {
    const [, org, name] = /^models--(.+?)--(.+)$/.exec(home) ?? [];
    if (org === undefined) continue;
    const snapshots = join(cache, home, 'snapshots');
    for (const commit of await readdir(snapshots).catch(() => []))
      found.push({
        model: `${org}/${name}@${commit.slice(0, 8)}`,
        from: 'hub',
        path: join(snapshots, commit),
        present: (await readdir(join(snapshots, commit))).some((name) => /\.(safetensors|gguf)$/.test(name)),
      });
  }
  return found;
}

/** `models--org--name` folders of the caches, each with its cache. */
async function modelFolders(caches: readonly string[]): Promise<[string, string][]> {
  const lists = await Promise.all(
    caches.map(async (cache) =>
      (await readdir(cache).catch(() => [])).sort().map((home): [string, string] => [cache, home]),
    ),
  );
  return lists.flat();
}

async function folderBytes(folder: string): Promise<number> {
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const info = await stat(join(folder, name));
      return info.isFile() ? info.size : 0;
    }),
  );
  return sizes.reduce((a, b) => a + b, 0);
}
