/** @file Where a vector comes from: numbers in the document, a file, a run of this or another model (through a map). */
import { isAbsolute, join } from 'node:path';
import { InputError } from '../base/index.ts';
import type { Intervention, TokenSelection, VectorSource } from '../contracts/index.ts';
import {
  alignTokens,
  type FwdHook,
  HookTable,
  type LanguageModel,
  pairSpans,
  parseHookName,
  reading,
} from '../models/index.ts';
import { type PromptTokens, promptTokens, replaceAll, replaceInSelection, selectTokens } from './select.ts';
import { readVector } from './steering-file.ts';

/** Rows [n, d_source] → [n, d_target]. */
type RowMap = (rows: Float32Array) => Float32Array | Promise<Float32Array>;

/** What lies above this layer, handed in: opening other models, loading fitted maps. */
export interface Resolvers {
  /** Open (or return the opened) model of that name; whoever gives the resolver disposes of it. */
  readonly openModel?: (name: string) => Promise<LanguageModel>;
  /** Load a map's folder; it must refuse models, blocks and widths it was not made for. */
  readonly loadMap?: (
    folder: string,
    ends: {
      readonly source: LanguageModel;
      readonly sourceHook: string;
      readonly target: LanguageModel;
      readonly targetHook: string;
    },
  ) => Promise<RowMap>;
  /** Folder that paths in the document are relative to. Defaults to the working directory. */
  readonly folder?: string;
  /** Donor rows read side by side. Defaults to 16. */
  readonly donorBatch?: number;
}

/** The vectors of one edit: `values` [n, D] for a row; n = 1 serves every position. `statistic` is taken while the prompt runs. */
export type EditVectors =
  | { readonly kind: 'none' }
  | { readonly kind: 'prompt_mean'; readonly excludeFirst: boolean }
  | { readonly kind: 'values'; readonly ofRow: readonly Float32Array[] };

/** Load or compute the vectors of an edit for every prompt. `selected[row]` are its prompt positions. */
export async function resolveVectors(
  model: LanguageModel,
  edit: Intervention,
  prompts: readonly PromptTokens[],
  selected: readonly (readonly number[])[],
  resolvers: Resolvers,
  where: string,
): Promise<EditVectors> {
  if (!('vector' in edit)) return { kind: 'none' };
  const source = edit.vector;
  const d = model.config.dModel;
  const everywhere = (values: Float32Array): EditVectors => {
    const ofRow = prompts.map(() => values);
    return { kind: 'values', ofRow: checkCounts(ofRow, edit, selected, d, where) };
  };
  switch (source.from) {
    case 'statistic':
      return { kind: 'prompt_mean', excludeFirst: source.exclude_first };
    case 'inline': {
      const rows = source.values.map((row) => (typeof row === 'number' ? [row] : row));
      const flat = typeof source.values[0] === 'number' ? [rows.flat()] : rows;
      const ragged = flat.find((row) => row.length !== d);
      if (ragged !== undefined) throw wrongWidth(where, ragged.length, d);
      return everywhere(Float32Array.from(flat.flat()));
    }
    case 'file': {
      const path = isAbsolute(source.path) ? source.path : join(resolvers.folder ?? '', source.path);
      const { shape, data } = await readVector(path, source.key);
      const width = shape.at(-1) ?? 0;
      if (shape.length < 1 || shape.length > 2 || width !== d)
        throw wrongWidth(`${where}: ${source.key}`, width, d);
      return everywhere(data);
    }
    case 'run':
      return {
        kind: 'values',
        ofRow: await runVectors(model, edit, source, prompts, selected, resolvers, where),
      };
  }
}

type RunSource = Extract<VectorSource, { from: 'run' }>;

/** Donor activations, carried over by the map where there is one, paired with the recipient's positions from the end. */
async function runVectors(
  target: LanguageModel,
  edit: Intervention,
  source: RunSource,
  prompts: readonly PromptTokens[],
  selected: readonly (readonly number[])[],
  resolvers: Resolvers,
  where: string,
): Promise<Float32Array[]> {
  const model = source.model === undefined ? target : await opened(source.model, resolvers, where);
  const hook = source.hook ?? edit.hook;
  parseHookName(hook, model.nLayers);
  const map =
    source.map === undefined
      ? undefined
      : await mapped(source.map, model, hook, target, edit, resolvers, where);
  if (map === undefined && model.config.dModel !== target.config.dModel)
    throw new InputError(
      `${where}: activations of width ${model.config.dModel} do not fit a model of width ${target.config.dModel}; give a map`,
      { id: 'vector-invalid' },
    );
  const donors = prompts.map((prompt) => donorPrompt(target, source, prompt, where));
  const places = donors.map((donor, row) => {
    const rule = donorRule(source, edit.tokens, prompts[row], where);
    return selectTokens(rule, donor, target.tokenizer, `${where}: donor`).prompt;
  });
  const read = (
    rows: readonly PromptTokens[],
    positions: readonly (readonly number[])[],
  ): Promise<Float32Array[]> =>
    activations(
      model,
      hook,
      rows.map((row, i) => inModel(model, target, row, positions[i], where)),
      resolvers.donorBatch ?? 16,
    );
  const carried = async (rows: Float32Array[]): Promise<Float32Array[]> =>
    map === undefined ? rows : Promise.all(rows.map(async (row) => map(row)));
  const given = await carried(await read(donors, places));
  const width = target.config.dModel;
  const own = source.difference ? await carried(await read(prompts, selected)) : undefined;
  return given.map((values, row) => {
    const recipients = selected[row].length;
    const count = values.length / width;
    if (!Number.isInteger(count))
      throw wrongWidth(`${where}: map`, values.length / places[row].length, width);
    const { pairs } = pairSpans({ start: 0, end: recipients }, { start: 0, end: count });
    const out = new Float32Array(recipients * width);
    for (const { recipient, donor } of pairs)
      out.set(values.subarray(donor * width, (donor + 1) * width), recipient * width);
    const base = own?.[row];
    return base === undefined ? out : out.map((x, i) => x - base[i]);
  });
}

async function opened(name: string, { openModel }: Resolvers, where: string): Promise<LanguageModel> {
  if (openModel === undefined)
    throw new InputError(`${where}: another model (${name}) cannot be opened here`, {
      id: 'intervention-invalid',
    });
  return openModel(name);
}

async function mapped(
  folder: string,
  source: LanguageModel,
  sourceHook: string,
  target: LanguageModel,
  edit: Intervention,
  { loadMap }: Resolvers,
  where: string,
): Promise<RowMap> {
  if (loadMap === undefined)
    throw new InputError(`${where}: the map ${folder} cannot be loaded here`, { id: 'intervention-invalid' });
  return loadMap(folder, { source, sourceHook, target, targetHook: edit.hook });
}

/** The prompt a row's donor reads, in the edited model's tokens. */
function donorPrompt(
  target: LanguageModel,
  source: RunSource,
  prompt: PromptTokens,
  where: string,
): PromptTokens {
  if (source.prompt !== undefined)
    return promptTokens(target.tokenizer, source.prompt, prompt.addSpecialTokens);
  const replace = source.replace ?? {};
  if (prompt.text === undefined)
    throw new InputError(`${where}: \`replace\` needs prompts given as text, got token ids`, {
      id: 'intervention-invalid',
    });
  for (const text of Object.keys(replace))
    if (!prompt.text.includes(text))
      throw new InputError(
        `${where}: ${JSON.stringify(text)} to be replaced is not in ${JSON.stringify(prompt.text.slice(0, 60))}…`,
        { id: 'text-not-found' },
      );
  return promptTokens(target.tokenizer, replaceAll(prompt.text, replace), prompt.addSpecialTokens);
}

/** Where the donor is read: as the document says, else by the recipient's rule with the replacements made; a contrast is with the recipient. */
function donorRule(
  source: RunSource,
  tokens: TokenSelection,
  { text }: PromptTokens,
  where: string,
): TokenSelection {
  if (source.tokens !== undefined) return source.tokens;
  const rule = replaceInSelection(tokens, source.replace ?? {});
  if (rule.contrast === undefined) return rule;
  if (text === undefined)
    throw new InputError(`${where}: a contrast needs prompts given as text, got token ids`, {
      id: 'intervention-invalid',
    });
  return { ...rule, contrast: { ...rule.contrast, text } };
}

/** Tokens and positions of another model's own tokenizer: the last token that ends at or before (docs/concepts/method.md#paired-activations). */
function inModel(
  model: LanguageModel,
  target: LanguageModel,
  row: PromptTokens,
  positions: readonly number[],
  where: string,
): { ids: readonly number[]; positions: readonly number[] } {
  if (model === target || row.text === undefined || row.encoding === undefined)
    return { ids: row.ids, positions };
  const own = promptTokens(model.tokenizer, row.text, row.addSpecialTokens);
  const { sourceOf } = alignTokens(own.encoding!, row.encoding);
  return {
    ids: own.ids,
    positions: positions.map((p) => {
      const at = sourceOf[p];
      if (at < 0)
        throw new InputError(`${where}: no token of the other model ends at or before position ${p}`, {
          id: 'intervention-invalid',
        });
      return at;
    }),
  };
}

/** Activations [positions, D] of each row at a hook. */
async function activations(
  model: LanguageModel,
  hook: string,
  rows: readonly { ids: readonly number[]; positions: readonly number[] }[],
  batch: number,
): Promise<Float32Array[]> {
  const d = model.config.dModel;
  const out: Float32Array[] = [];
  for (let at = 0; at < rows.length; at += batch) {
    const part = rows.slice(at, at + batch);
    const read: FwdHook = [
      hook,
      reading((activation) => {
        const columns = activation.shape[1];
        part.forEach(({ positions }, b) => {
          const values = new Float32Array(positions.length * d);
          positions.forEach((p, i) => {
            const from = (b * columns + p) * d;
            values.set(activation.data.subarray(from, from + d), i * d);
          });
          out[at + b] = values;
        });
      }),
    ];
    const { layer, site } = parseHookName(hook, model.nLayers);
    if (site === 'normalized')
      await model.forward(
        part.map((r) => r.ids),
        [read],
      );
    else {
      const hooks = new HookTable([read], model.nLayers);
      await model.decoder.run(
        model.decoder.embed(
          part.map((r) => r.ids),
          { hooks },
        ),
        { hooks, to: layer + 1 },
      );
    }
  }
  return out;
}

/** One vector for all positions, or one each: anything else is refused before anything runs. */
function checkCounts(
  ofRow: readonly Float32Array[],
  edit: Intervention,
  selected: readonly (readonly number[])[],
  d: number,
  where: string,
): readonly Float32Array[] {
  ofRow.forEach((values, row) => {
    const n = values.length / d;
    if (n === 1) return;
    const wanted = selected[row].length;
    const generates =
      edit.tokens.generation ?? edit.tokens.generation_positions ?? edit.tokens.generation_window;
    if (n !== wanted || generates !== undefined)
      throw new InputError(
        `${where}: ${n} vectors for ${wanted} positions of prompt ${row}${generates === undefined ? '' : ' and the generated ones'}; give one vector, or one a position`,
        { id: 'vector-invalid' },
      );
  });
  return ofRow;
}

function wrongWidth(where: string, got: number, wanted: number): InputError {
  return new InputError(`${where}: a vector of ${got} numbers does not fit a model of width ${wanted}`, {
    id: 'vector-invalid',
  });
}
