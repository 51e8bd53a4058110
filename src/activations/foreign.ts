/**
 * @file A folder of activations that another tool wrote (see exchange.ts): opened, and checked against a model. T tokens of a text, H
 * layers, d width. vLLM's files hold [T,H,d]; some tools write [H,T,d]: shapes decide, and where they cannot, nobody guesses.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { InputError } from '../base/index.ts';
import { readSafetensors, readTensorFloat32, refuseNonFinite, type TensorInfo } from '../models/index.ts';
import type { CaptureText } from './capture.ts';
import { HIDDEN_STATES, idOf, isExchanged, STATED, TOKEN_IDS, TOKENS_FIRST } from './exchange.ts';

/** What the first axis of `hidden_states` counts. */
export type AxisOrder = 'tokens' | 'layers';

/** The model that was run, as far as its activations show it. */
export interface ForeignModel {
  readonly width: number;
  readonly vocabulary: number;
  readonly context: number;
}

/** Settings of {@link openForeign}. */
interface ForeignOptions {
  /** Hooks of the layers, canonical. Defaults to what the files state. */
  readonly hooks?: readonly string[] | undefined;
  /** For folders whose shapes fit both ways. Defaults to what the shapes decide. */
  readonly order?: AxisOrder | undefined;
}

/** An opened folder; its activations are read a text at a time. */
export interface ForeignActivations {
  readonly hooks: readonly string[];
  readonly texts: readonly CaptureText[];
  /** Of all files where they agree, else F32. */
  readonly dtype: 'F32' | 'F16' | 'BF16';
  /** [T,H,d] of text `i`. @throws InputError when one is not a number */
  hidden(i: number): Promise<Float32Array>;
}

/** One file, its header read. */
interface ForeignFile {
  readonly path: string;
  readonly text: CaptureText;
  readonly states: TensorInfo;
  readonly hooks: string | undefined;
  readonly order: AxisOrder | undefined;
}

/**
 * Open the folder and check every file but for its numbers: both tensors, token ids of the vocabulary, as many rows as tokens, the
 * width of the model, as many layers as hooks, an order that is certain.
 */
export async function openForeign(
  folder: string,
  model: ForeignModel,
  options: ForeignOptions = {},
): Promise<ForeignActivations> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new InputError(`${folder}: wanted a folder of {id}.safetensors, cannot read one`, {
      id: 'file-unreadable',
      cause,
    });
  });
  const files: ForeignFile[] = [];
  for (const name of names.filter(isExchanged).sort()) files.push(await openFile(join(folder, name), model));
  if (files.length === 0)
    throw new InputError(
      `${folder}: wanted files {id}.safetensors, found none${names.some((n) => n.endsWith('.zst')) ? '; decompress the .zst files first' : ''}`,
      { id: 'data-missing' },
    );
  const hooks = options.hooks ?? statedHooks(files, folder);
  const fits = files.map((file) => fittingOrders(file, hooks.length, model.width));
  const orders = decideOrders(files, fits, options.order, folder);
  const dtypes = new Set(files.map(({ states }) => states.dtype));
  const [only = 'F32'] = dtypes;
  return {
    hooks,
    texts: files.map(({ text }) => text),
    dtype: dtypes.size === 1 && (only === 'F16' || only === 'BF16') ? only : 'F32',
    hidden: async (i) => {
      const { states, path, text } = files[i] as ForeignFile;
      const { data } = await readTensorFloat32(states);
      refuseNonFinite(data, `${path}: ${HIDDEN_STATES}`);
      return orders[i] === 'layers' ? tokensFirst(data, text.ids.length, hooks.length) : data;
    },
  };
}

async function openFile(path: string, { vocabulary, context }: ForeignModel): Promise<ForeignFile> {
  const { tensors, metadata } = await readSafetensors(path);
  const [tokens, states] = [TOKEN_IDS, HIDDEN_STATES].map((name) => tensors.find((t) => t.name === name));
  if (tokens === undefined || states === undefined)
    throw invalid(
      `${path}: wanted tensors ${TOKEN_IDS} and ${HIDDEN_STATES}, as vLLM's connector writes them, got ${tensors.map((t) => t.name).join(', ') || 'none'}`,
    );
  if (tokens.shape.length !== 1 || !['I64', 'I32'].includes(tokens.dtype))
    throw invalid(
      `${path}: wanted ${TOKEN_IDS} as whole numbers [T], got ${tokens.dtype} [${tokens.shape.join(',')}]`,
    );
  if (!['F32', 'F16', 'BF16'].includes(states.dtype))
    throw invalid(`${path}: wanted ${HIDDEN_STATES} in F32, F16 or BF16, got ${states.dtype}`);
  const ids = [...(await readTensorFloat32(tokens)).data];
  const strange = ids.findIndex((id) => !(id >= 0 && id < vocabulary));
  if (strange >= 0)
    throw invalid(
      `${path}: ${TOKEN_IDS}[${strange}] is ${ids[strange]}, the model's tokens are 0…${vocabulary - 1}; another model was captured`,
    );
  if (ids.length === 0 || ids.length > context)
    throw invalid(`${path}: wanted 1 to ${context} tokens, the context of the model, got ${ids.length}`);
  return {
    path,
    text: { id: metadata[STATED.id] ?? idOf(basename(path)), ids },
    states,
    hooks: metadata[STATED.hooks],
    order: metadata[STATED.order] === TOKENS_FIRST ? 'tokens' : undefined,
  };
}

function statedHooks(files: readonly ForeignFile[], folder: string): readonly string[] {
  const stated = new Set(files.map(({ hooks }) => hooks));
  const [one] = stated;
  if (stated.size > 1)
    throw invalid(
      `${folder}: its files state different hooks (${[...stated].slice(0, 3).join(' | ')}); split them`,
    );
  if (one === undefined)
    throw new InputError(
      `${folder}: its files do not say which layers they hold; give --blocks (0-based, the residual after the block) or --vllm-layers (as eagle_aux_hidden_state_layer_ids counts)`,
      { id: 'option-missing' },
    );
  return one.split(',');
}

/** The orders that the shape allows, one at least. */
function fittingOrders(
  { path, text, states, order }: ForeignFile,
  layers: number,
  width: number,
): AxisOrder[] {
  const tokens = text.ids.length;
  const { shape } = states;
  const is = (...wanted: number[]): boolean => wanted.join() === shape.join();
  const fits: AxisOrder[] = [];
  if (is(tokens, layers, width) || (layers === 1 && is(tokens, width))) fits.push('tokens');
  if (is(layers, tokens, width)) fits.push('layers');
  if (order !== undefined && fits.includes(order)) return [order];
  if (order === undefined && fits.length > 0) return fits;
  throw invalid(
    `${path}: wanted ${HIDDEN_STATES} [${tokens} tokens, ${layers} layers, ${width}], got [${shape.join(',')}]; ${hint(shape, tokens, layers, width)}`,
  );
}

/** What a shape that does not fit most likely means. */
function hint(shape: readonly number[], tokens: number, layers: number, width: number): string {
  if (shape.at(-1) !== width) return `the model's width is ${width}: another model was captured`;
  const [first, second] = shape as [number, number];
  if (shape.length === 3 && first === tokens) return `give ${second} layers, this is ${layers}`;
  if (shape.length === 3 && second === tokens) return `give ${first} layers, this is ${layers}`;
  return `rows and ${TOKEN_IDS} must be as many: with vLLM turn prefix caching off`;
}

/** An order for every file. Where a shape fits both ways it is that of the other files, if they agree. */
function decideOrders(
  files: readonly ForeignFile[],
  fits: readonly (readonly AxisOrder[])[],
  given: AxisOrder | undefined,
  folder: string,
): AxisOrder[] {
  const sure = new Set(fits.flatMap((orders) => (orders.length === 1 ? orders : [])));
  return fits.map((orders, i) => {
    const { path, states } = files[i] as ForeignFile;
    const at = `${path}: ${HIDDEN_STATES} [${states.shape.join(',')}]`;
    if (given !== undefined) {
      if (orders.includes(given)) return given;
      throw invalid(`${at} cannot be ${given} first; leave --order out`);
    }
    const [order] = orders;
    const [others] = sure;
    // One layer and one token: both orders are the same numbers.
    const same = states.shape[0] === 1 && states.shape[1] === 1;
    if (order !== undefined && (orders.length === 1 || same)) return order;
    if (others !== undefined && sure.size === 1) return others;
    throw invalid(
      `${at} has as many tokens as layers, and no other file of ${folder} says which axis is which; give --order tokens (vLLM's) or --order layers`,
    );
  });
}

/** [H,T,d] → [T,H,d]. */
function tokensFirst(data: Float32Array, tokens: number, layers: number): Float32Array {
  const d = data.length / (tokens * layers);
  const out = new Float32Array(data.length);
  for (let h = 0; h < layers; h++)
    for (let t = 0; t < tokens; t++) {
      const from = (h * tokens + t) * d;
      out.set(data.subarray(from, from + d), (t * layers + h) * d);
    }
  return out;
}

function invalid(message: string): InputError {
  return new InputError(message, { id: 'data-invalid' });
}
