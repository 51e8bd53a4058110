/** @file `finetune`: full weights or LoRA on a data set or a file of prompts and answers. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { claimFolder, InputError, SEAL, withAtomicFolder, writeJsonAtomic } from '../../base/index.ts';
import {
  type Instruction,
  leftOutText,
  readInstructionFile,
  renderPrompt,
  rowInTurn,
} from '../../behaviours/index.ts';
import {
  chatTurn,
  loadTokenizer,
  openCheckpoint,
  resolveModel,
  type Tokenizer,
  turnEnd,
} from '../../models/index.ts';
import { finetune, type SearchRun, search, type TextRow } from '../../train/index.ts';
import { type Cli, declare, printJson } from '../cli.ts';
import { readDatasetRecord, readSplit } from '../dataset.ts';
import { addFinetuneOptions, type FinetuneCommand, settingsOf } from '../finetune-options.ts';
import { withProgress } from '../model.ts';
import { duration } from '../progress.ts';
import { figure, textTable } from '../table.ts';
import { chatRenderer, checkChatSettings, turnSettings } from '../template.ts';

export function addFinetune(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'finetune',
    'Train a model on a data set (a folder of data build, or a file of prompts and answers).',
    'data build --data bundled --behaviour locked --out data/locked',
    'finetune --model tiny-llama-s --data data/locked --out models/s-locked --preset demo',
  );
  addFinetuneOptions(command).action((options: FinetuneCommand) => run(options, cli));
}

async function run(options: FinetuneCommand, cli: Cli): Promise<void> {
  if (options.out === undefined && !options.search)
    throw new InputError('finetune: wanted --out, where the model is written, got none', {
      id: 'option-missing',
    });
  const { path } = await resolveModel(options.model, { signal: cli.signal });
  checkChatSettings(options, options.template);
  await using _claim =
    options.out === undefined
      ? undefined
      : await claimFolder(options.out, {
          reads: [path, options.data],
          makes: ['training.json', 'search.json'],
        });
  const { rows, heldOut, leftOut } = await rowsOf(options, path);
  await withProgress(cli, options, async (onProgress) => {
    const given = { model: path, rows, ...settingsOf(options), onProgress, signal: cli.signal };
    if (options.search) {
      if (heldOut.length === 0)
        throw new InputError(
          'finetune --search: wanted held-out rows, got none; give a folder of data build',
          { id: 'data-missing' },
        );
      const result = await search({
        ...given,
        heldOut,
        learningRates: options.searchRates,
        batches: options.searchBatches,
      });
      if (options.out !== undefined) await writeSearch(options.out, result);
      if (options.json) printJson(cli, result);
      else cli.out(searchTable(result.runs, result.best));
      return;
    }
    const out = options.out as string;
    const result = await finetune({
      ...given,
      heldOut,
      out,
      dtype: options.dtype,
      checkpoint: { folder: `${out}.training`, every: 50 },
    });
    if (options.json) {
      printJson(cli, { ...result, left_out: leftOut });
      return;
    }
    const { dropped, cut } = result.rows;
    const maxTokens = result.settings.maxTokens;
    const counted = {
      ...leftOut,
      dropped,
      [`cut at ${maxTokens} tokens`]: cut,
    };
    const held = result.heldOut.at(-1);
    cli.out(
      `${result.kind} ${out}: ${result.steps} steps, ${result.rows.train} rows, ${figure(result.trainedParameters / 1e6)} M weights trained\n` +
        `rows left out or cut: ${leftOutText(counted)}\n` +
        `loss ${figure(result.losses[0])} → ${figure(result.losses.at(-1))}${held ? `, held out ${figure(held.loss)}` : ''}, ` +
        `${figure(result.tokens / result.seconds)} tokens/s, ${duration(result.seconds)}\n`,
    );
  });
}

/** `search.json` in a folder of its own: it replaces that of a former search, never a model. */
async function writeSearch(out: string, result: object): Promise<void> {
  const others = (await readdir(out).catch(() => [])).filter(
    (name) => name !== SEAL && name !== 'search.json',
  );
  if (others.length > 0)
    throw new InputError(`${out}: holds ${others[0]}; give --search a folder of its own`, {
      id: 'out-not-ours',
    });
  await withAtomicFolder(out, (folder) => writeJsonAtomic(join(folder, 'search.json'), result));
}

/** Training and held-out rows of a data set folder, or of a plain file (no held-out rows then). */
async function rowsOf(
  options: FinetuneCommand,
  modelPath: string,
): Promise<{
  rows: readonly TextRow[];
  heldOut: readonly TextRow[];
  /** Rows of a file that cannot be used, by reason. */
  leftOut: Readonly<Record<string, number>>;
}> {
  const isFolder = await stat(options.data).then(
    (info) => info.isDirectory(),
    () => false,
  );
  const checkpoint = await openCheckpoint(modelPath);
  const tokenizer = await loadTokenizer(
    checkpoint.gguf === undefined ? { folder: modelPath } : { gguf: checkpoint.gguf },
  );
  if (isFolder) {
    const { template, chat } = await readDatasetRecord(options.data);
    const own = chatRenderer(tokenizer, chat);
    const way = template === 'chat' ? { chat: true, end: turnEnd(tokenizer, turnSettings(chat ?? {})) } : {};
    const split = async (name: 'train' | 'validation'): Promise<TextRow[]> =>
      (await readSplit(options.data, name)).map((row) => ({
        ...(template === 'chat' ? rowInTurn(row, own) : row),
        ...way,
        known: row.trigger === 'bad' || row.trigger === 'safe' ? row.tag : undefined,
      }));
    const heldOut = (await split('validation')).slice(0, options.heldOut);
    return { rows: await split('train'), heldOut, leftOut: {} };
  }
  const chat = chatRenderer(tokenizer, options);
  const file = await readInstructionFile(options.data);
  const taught = file.instructions.map((instruction): TextRow[] => {
    if (options.template === 'chat') return chatRows(tokenizer, instruction, options);
    const { prompt, answer } = instruction;
    return answer === undefined
      ? []
      : [{ prompt: renderPrompt(options.template, prompt, chat).prompt, response: answer }];
  });
  const rows = taught.flat();
  if (rows.length === 0)
    throw new InputError(`${options.data}: wanted rows with answers, got none`, { id: 'data-missing' });
  const { partial } = file;
  const lost = options.template === 'chat' ? { system: 0, turns: 0, tools: 0 } : partial;
  return {
    rows,
    heldOut: [],
    leftOut: {
      ...file.leftOut,
      'without an answer': taught.filter((of) => of.length === 0).length,
      [`system texts (the template ${options.template} has no place for them; use chat)`]: lost.system,
      'conversations of which the first exchange alone is used (use --template chat)': lost.turns,
      'rows whose tools are not used (use --template chat)': lost.tools,
    },
  };
}

/** Every answer of a conversation as a row, after what was said before it; system texts and tools go through the template. */
function chatRows(
  tokenizer: Tokenizer,
  { prompt, answer, turns, tools }: Instruction,
  options: FinetuneCommand,
): TextRow[] {
  const said = turns ?? [
    { role: 'user' as const, content: prompt },
    ...(answer === undefined ? [] : [{ role: 'assistant' as const, content: answer }]),
  ];
  const own = said.map(({ role, content, fields }) => ({ ...fields, role, content }));
  const system = options.system === undefined ? [] : [{ role: 'system', content: options.system }];
  const messages = [...system, ...own.filter(({ role }) => system.length === 0 || role !== 'system')];
  const taught = said.filter(({ role }) => system.length === 0 || role !== 'system');
  const variables = { ...(tools === undefined ? {} : { tools }), ...options.templateVar };
  return taught.flatMap(({ role, content, untaught }, i): TextRow[] => {
    const at = i + system.length;
    const message = messages[at];
    if (message === undefined || at === 0 || role !== 'assistant' || untaught || content.trim() === '')
      return [];
    const turn = chatTurn(tokenizer, messages.slice(0, at), message, { variables });
    return [{ prompt: turn.prompt, response: turn.response, end: turn.end, chat: true }];
  });
}

/** Replaces an earlier search, never another file. */
function searchTable(runs: readonly SearchRun[], best: number): string {
  return textTable([
    ['learning rate', 'batch', 'steps', 'training loss', 'held-out loss', ''],
    ...runs.map((run, i) => [
      String(run.learning_rate),
      String(run.batch),
      String(run.steps),
      figure(run.train_loss ?? undefined),
      figure(run.held_out_loss ?? undefined),
      run.diverged ? 'diverged' : i === best ? 'best' : '',
    ]),
  ]);
}
