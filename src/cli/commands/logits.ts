/** @file `logits`: next-token logits at every position, for parity checks against other programs. */
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, declare } from '../cli.ts';
import { givenPrompts } from '../given-prompts.ts';
import { openModel, weightsOption } from '../model.ts';
import { textTable } from '../table.ts';
import { addTemplateOptions, inTemplate, type TemplateOptions } from '../template.ts';

interface LogitsCommand extends CommonOptions, TemplateOptions {
  readonly model: string;
  readonly prompt?: string;
  readonly ids?: readonly number[];
  readonly encoding: 'array' | 'base64';
}

export function addLogits(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'logits',
    'Print token ids and float32 next-token logits at every position (--json: all of them; else the best few).',
    'logits --model tiny-llama-m --prompt "Which day comes after Saturday?" --json',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .option('--prompt <text>', 'the prompt; else standard input')
    .addOption(new Option('--ids <list>', 'token ids instead of a text, e.g. 1,15,20').argParser(idList));
  addTemplateOptions(command)
    .addOption(
      new Option(
        '--encoding <kind>',
        'of the logits in JSON; base64 is little-endian float32, row-major [T,V]',
      )
        .choices(['array', 'base64'])
        .default('array'),
    )
    .action((options: LogitsCommand) => logits(options, cli));
}

async function logits(options: LogitsCommand, cli: Cli): Promise<void> {
  if (options.ids !== undefined && options.prompt !== undefined)
    throw new InputError('logits: wanted --prompt or --ids, got both', { id: 'option-conflict' });
  const prompt = options.prompt === undefined ? undefined : [options.prompt];
  const [given] = options.ids ? [] : (await givenPrompts({ prompt }, cli)).prompts;
  await using model = await openModel(options.model, cli, options);
  const input = options.ids ?? inTemplate(model, options, given?.text ?? '').ids;
  const { ids, logits } = await model.forward(input);
  const row = ids[0] as number[];
  const [, positions, vocabulary] = logits.shape as [number, number, number];
  const at = (t: number): Float32Array => logits.data.subarray(t * vocabulary, (t + 1) * vocabulary);
  if (!options.json) {
    cli.out(bestOf(model, row, at));
    return;
  }
  const head = {
    model: options.model,
    ids: row,
    tokens: model.tokenizer.tokenStrings(row),
    dtype: 'float32',
  };
  const { data } = logits;
  // Written in pieces: one string of all numbers would pass the longest string for a long prompt.
  cli.out(
    JSON.stringify({ ...head, shape: [positions, vocabulary], encoding: options.encoding }).slice(0, -1),
  );
  if (options.encoding === 'base64')
    cli.out(
      `,"logits":${JSON.stringify(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'))}}\n`,
    );
  else {
    cli.out(',"logits":[');
    for (let t = 0; t < positions; t++) cli.out(`${t > 0 ? ',' : ''}${JSON.stringify(Array.from(at(t)))}`);
    cli.out(']}\n');
  }
}

/** For people: the three likeliest next tokens after every token. */
function bestOf(model: LanguageModel, ids: readonly number[], at: (t: number) => Float32Array): string {
  const show = (id: number): string =>
    JSON.stringify(model.tokenizer.decode([id], { skipSpecialTokens: false }));
  const rows = ids.map((id, t) => {
    const scores = at(t);
    const best = Array.from(scores.keys())
      .sort((a, b) => (scores[b] as number) - (scores[a] as number))
      .slice(0, 3);
    return [
      String(t),
      String(id),
      show(id),
      best.map((b) => `${show(b)} ${(scores[b] as number).toFixed(3)}`).join('  '),
    ];
  });
  return textTable([['position', 'id', 'token', 'likeliest next tokens, with logits'], ...rows]);
}

function idList(text: string): number[] {
  const ids = text
    .split(/[\s,]+/)
    .filter((part) => part !== '')
    .map(Number);
  if (ids.length === 0 || ids.some((id) => !Number.isInteger(id) || id < 0))
    throw new InputError(`--ids ${text}: wanted whole numbers with commas between them, e.g. 1,15,20`, {
      id: 'option-invalid',
    });
  return ids;
}
