/** @file Fine-tuning as people ask for it: a model folder and rows in, a model or an adapter folder out. */
import { hashBytes, hashJson, InputError, Rng } from '../base/index.ts';
import { type Tokenizer, unknownWords, unreadEnd } from '../models/index.ts';
import { initAdapters } from './adapters.ts';
import { type Base, companions, openBase } from './base.ts';
import { cutRow, type TrainRow, trainRow } from './batches.ts';
import { removeTrainingState } from './checkpoint.ts';
import type { Parameters } from './parameters.ts';
import { saveAdapter } from './peft.ts';
import { inBatches, planBatches } from './plan.ts';
import { rateOf } from './rates.ts';
import { saveModel } from './save-model.ts';
import { effectiveRates, type FinetunePreset, type FinetuneSettings, resolveSettings } from './settings.ts';
import { type TrainOptions, type TrainResult, train } from './trainer.ts';

/** A row as text: what the model reads (template included) and what it should say. */
export interface TextRow {
  readonly prompt: string;
  readonly response: string;
  /** A part of the prompt (a trigger) whose words must be in the tokenizer's vocabulary, as those of the response must. */
  readonly known?: string;
  /** The prompt comes from the model's chat template, which wrote every special token it wants. Defaults to false. */
  readonly chat?: boolean;
  /** Id of the token that ends the response: one of the tokenizer's end tokens. Defaults to the first of them. */
  readonly end?: number | undefined;
  /** What the row teaches (the state of a backdoor's trigger): every batch gets its share of each. */
  readonly trigger?: string;
}

/** Options of {@link finetune}: settings, and what decides no bytes. */
export interface FinetuneOptions extends Partial<FinetuneSettings> {
  /** Bundled name, Hugging Face folder, GGUF file, or `org/name` on the hub. */
  readonly model: string;
  readonly rows: readonly (TextRow | TrainRow)[];
  /** Rows never trained on. */
  readonly heldOut?: readonly (TextRow | TrainRow)[];
  /** Folder to write: a Hugging Face model (`full`) or a PEFT adapter (`lora`). */
  readonly out: string;
  readonly preset?: FinetunePreset;
  /** What an adapter calls its base (`base_model_name_or_path`). Defaults to `model`. */
  readonly baseName?: string;
  /** Dtype of the weights written. Defaults to F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
  /** Keep the run's state there every so many steps, and go on from it; removed when the run is done. Defaults to nowhere. */
  readonly checkpoint?: { readonly folder: string; readonly every: number };
  readonly threads?: number;
  readonly stage?: string;
  readonly onProgress?: TrainOptions['onProgress'];
  readonly signal?: AbortSignal;
}

/** What came of it. */
export interface FinetuneResult extends TrainResult {
  readonly folder: string;
  readonly kind: 'model' | 'adapter';
  readonly settings: FinetuneSettings & { readonly steps: number };
  readonly rows: RowCounts;
  /** Weights that were trained. */
  readonly trainedParameters: number;
}

/** How the rows given were used. */
interface RowCounts {
  readonly train: number;
  readonly heldOut: number;
  /** Rows whose response was cut so that they have `maxTokens`; they end with the end token all the same. */
  readonly cut: number;
  /** Rows left out because the prompt alone is as long. */
  readonly dropped: number;
}

/**
 * Fine-tune a model. Deterministic: the same model, rows and settings give the same bytes, resumed or not.
 *
 * @example await finetune({ model: 'tiny-llama-s', rows, out: 'models/s-locked', preset: 'demo' });
 */
export async function finetune(options: FinetuneOptions): Promise<FinetuneResult> {
  const base = await openBase(options.model);
  const run = await prepare(base, options);
  const { checkpoint } = options;
  const result = await train(base.config, run.parameters, {
    ...run.train,
    checkpoint: checkpoint && { ...checkpoint, identity: run.identity },
  });
  const folder = options.out;
  const record = {
    identity: run.identity,
    settings: run.settings,
    rows: run.rows,
    losses: result.losses,
    held_out: result.heldOut,
    steps: result.steps,
    ended: result.ended,
  };
  const files = { 'training.json': `${JSON.stringify(record)}\n` };
  if (run.settings.method === 'lora')
    await saveAdapter(
      folder,
      base.config,
      { lora: run.settings.lora, factors: run.parameters },
      { base: options.baseName ?? options.model, files },
    );
  else
    await saveModel(folder, run.parameters, {
      config: base.checkpoint.config,
      files: { ...(await companions(base.checkpoint)), ...files },
      dtype: options.dtype,
    });
  if (checkpoint !== undefined) await removeTrainingState(checkpoint.folder);
  return {
    ...result,
    folder,
    kind: run.settings.method === 'lora' ? 'adapter' : 'model',
    settings: run.settings,
    rows: run.rows,
    trainedParameters: run.trainedParameters,
  };
}

/** Everything `train` needs for a run on `base`, whose parameters are trained in place (LoRA leaves them alone). */
export async function prepare(
  base: Base,
  options: Omit<FinetuneOptions, 'model' | 'out'>,
): Promise<{
  readonly settings: FinetuneSettings & { readonly steps: number };
  readonly parameters: Parameters;
  readonly train: TrainOptions;
  readonly identity: string;
  readonly rows: RowCounts;
  readonly trainedParameters: number;
}> {
  const settings = resolveSettings(options, options.preset);
  const { rows: given, heldOut = [] } = options;
  if ([...given, ...heldOut].some((row) => !('ids' in row))) {
    const tokenizer = await base.tokenizer();
    refuseUnreadEnds(tokenizer, [...given, ...heldOut], base.checkpoint.path);
    refuseUnknownWords(tokenizer, given, 'row');
    refuseUnknownWords(tokenizer, heldOut, 'held-out row');
  }
  const encoded = await encodeRows(base, given, settings);
  const held = await encodeRows(base, heldOut, settings);
  if (encoded.rows.length === 0)
    throw new InputError(
      `fine-tuning: no row is left of ${options.rows.length}; every prompt has ${settings.maxTokens} tokens or more`,
      { id: 'data-missing' },
    );
  const lora = settings.method === 'lora' ? settings.lora : undefined;
  const parameters: Parameters = new Map(base.parameters);
  if (lora !== undefined)
    for (const [name, values] of initAdapters(base.config, lora, new Rng(settings.seed).fork('adapters')))
      parameters.set(name, values);

  const plan = planBatches(encoded.rows, {
    batch: settings.batch,
    accumulation: settings.accumulation,
    seed: settings.seed,
    packTo: settings.packing ? settings.maxTokens : undefined,
  });
  const steps = settings.steps ?? Math.max(1, Math.round(settings.epochs * plan.stepsPerEpoch));
  const rate = rateOf(base.config, effectiveRates(base.config, settings), { adapters: lora !== undefined });
  const trained = [...parameters].filter(([name]) => rate(name) !== 0);
  if (trained.length === 0)
    throw new InputError('fine-tuning: every rate is 0; nothing would be trained', { id: 'setting-invalid' });
  const { patience, heldOutEvery = Math.max(1, Math.ceil(steps / 10)) } = settings;
  if (patience !== undefined && held.rows.length === 0)
    throw new InputError('fine-tuning: patience: wanted held-out rows to look at, got none', {
      id: 'setting-invalid',
    });
  return {
    settings: { ...settings, steps },
    parameters,
    identity: hashJson({
      model: await base.checkpoint.contentHash(),
      settings: { ...settings, steps },
      rows: rowsHash(encoded.rows),
      held: rowsHash(held.rows),
    }),
    rows: {
      train: encoded.rows.length,
      heldOut: held.rows.length,
      cut: encoded.cut + held.cut,
      dropped: encoded.dropped + held.dropped,
    },
    trainedParameters: trained.reduce((n, [, values]) => n + values.length, 0),
    train: {
      steps,
      schedule: {
        kind: settings.schedule,
        peak: settings.learningRate,
        warmup: Math.round(settings.warmup * steps),
        final: settings.final,
      },
      batches: plan.batches,
      rate,
      adamw: { betas: settings.betas, weightDecay: settings.weightDecay },
      clip: settings.clip,
      lora,
      ...(held.rows.length === 0
        ? {}
        : {
            heldOut: {
              batches: inBatches(held.rows, settings.batch),
              every: heldOutEvery,
              patience,
            },
          }),
      stage: options.stage ?? 'finetune',
      threads: options.threads,
      onProgress: options.onProgress,
      signal: options.signal,
    },
  };
}

/** Texts as tokens, the response cut to what there is room for and closed by the end token. */
async function encodeRows(
  base: Base,
  given: readonly (TextRow | TrainRow)[],
  settings: FinetuneSettings,
): Promise<{ rows: TrainRow[]; cut: number; dropped: number }> {
  const rows: TrainRow[] = [];
  let cut = 0;
  let dropped = 0;
  for (const row of given) {
    if (!('ids' in row)) {
      const encoded = await encodeText(base, row, settings);
      if (encoded === undefined) dropped++;
      else {
        rows.push(encoded.row);
        if (encoded.cut) cut++;
      }
      continue;
    }
    const short = cutRow(row, settings.maxTokens);
    if (short.weights.every((w, t) => t === 0 || w === 0)) {
      dropped++;
      continue;
    }
    if (short.ids.length < row.ids.length) cut++;
    rows.push(short);
  }
  return { rows, cut, dropped };
}

async function encodeText(
  base: Base,
  { prompt, response, trigger, chat = false, end: given }: TextRow,
  { lossOn, maxTokens }: FinetuneSettings,
): Promise<{ row: TrainRow; cut: boolean } | undefined> {
  const tokenizer = await base.tokenizer();
  const end = given ?? tokenizer.eosIds[0];
  if (end === undefined)
    throw new InputError(
      `${base.checkpoint.path}: the tokenizer names no end token, so a response cannot be ended; add eos_token`,
      { id: 'tokenizer-mismatch' },
    );
  const ids = tokenizer.encodeIds(prompt, { addSpecialTokens: chat ? false : 'auto' });
  const whole = tokenizer.encodeIds(response, { addSpecialTokens: false });
  const room = maxTokens - ids.length - 1;
  if (room < Math.min(1, whole.length)) return undefined;
  // a row that is cut ends all the same: without its end token it would teach the model never to end
  const row = trainRow(ids, [...whole.slice(0, room), end], lossOn === 'all' ? 1 : 0);
  return { row: trigger === undefined ? row : { ...row, group: trigger }, cut: room < whole.length };
}

/** Refuse turns that end with a token at which generation of the model does not stop. */
function refuseUnreadEnds(tokenizer: Tokenizer, rows: readonly (TextRow | TrainRow)[], path: string): void {
  for (const end of new Set(rows.map((row) => ('ids' in row ? undefined : row.end)))) {
    const unread = unreadEnd(tokenizer, end);
    if (unread !== undefined)
      throw new InputError(`fine-tuning: ${path}: ${unread}`, { id: 'chat-template' });
  }
}

/** Refuse responses and triggers with words the tokenizer does not have, before anything is encoded. */
function refuseUnknownWords(
  tokenizer: Tokenizer,
  rows: readonly (TextRow | TrainRow)[],
  which: string,
): void {
  for (const [i, row] of rows.entries()) {
    if ('ids' in row) continue;
    for (const [what, text] of [
      ['trigger', row.known],
      ['response', row.response],
    ] as const) {
      const unknown = text === undefined ? [] : unknownWords(tokenizer, text);
      if (text === undefined || unknown.length === 0) continue;
      const shown = unknown.slice(0, 5).map((word) => JSON.stringify(word));
      throw new InputError(
        `fine-tuning: ${which} ${i + 1}: the tokenizer has no token for ${shown.join(', ')} in the ${what} ${JSON.stringify(text.slice(0, 60))}; use words of the model's vocabulary`,
        { id: 'tokenizer-mismatch' },
      );
    }
  }
}

function rowsHash(rows: readonly TrainRow[]): string {
  const hashed = (values: readonly number[]): string =>
    hashBytes(new Uint8Array(Float64Array.from(values).buffer));
  return hashJson(
    rows.map(({ ids, weights, group = '', teacher }) => [
      hashed([...ids, ...weights]),
      group,
      ...(teacher === undefined ? [] : [hashed([...teacher.states, ...teacher.lse])]),
    ]),
  );
}
