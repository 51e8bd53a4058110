/** @file Vectors from a run: a donor prompt in this or another model, read at a hook, carried over by a map where there is one. */
import { InputError } from '../base/index.ts';
import type { TokenSelection, VectorSource } from '../contracts/index.ts';
import {
  alignTokens,
  type FwdHook,
  HookTable,
  type LanguageModel,
  pairSpans,
  parseHookName,
  reading,
} from '../models/index.ts';
import { type PlacedEdit, wrongWidth } from './place.ts';
import { loadedMap, type Resolvers, readerOf } from './resolvers.ts';
import { type PromptTokens, promptTokens, replaceAll, replaceInSelection, selectTokens } from './select.ts';

type RunSource = Extract<VectorSource, { from: 'run' }>;

/** Donor activations [positions, D] of every row, carried over by the map where there is one, paired with the recipient's positions from the end. */
export async function donorVectors(
  place: PlacedEdit,
  source: RunSource,
  resolvers: Resolvers,
): Promise<Float32Array[]> {
  const { model: target, edit, prompts, selected, where } = place;
  const model = await readerOf(source, target, resolvers, where);
  const hook = source.hook ?? edit.hook;
  parseHookName(hook, model.nLayers);
  const map =
    source.map === undefined
      ? undefined
      : await loadedMap(
          source.map,
          { source: model, sourceHook: hook, target, targetHook: edit.hook },
          resolvers,
          where,
        );
  if (map === undefined && model.config.dModel !== target.config.dModel)
    throw new InputError(
      `${where}: activations of width ${model.config.dModel} do not fit a model of width ${target.config.dModel}; give a map`,
      { id: 'vector-invalid' },
    );
  const donors = prompts.map((prompt) => donorPrompt(place, source, prompt));
  const places = donors.map((donor, row) => {
    const rule = donorRule(place, source, prompts[row]);
    return selectTokens(rule, donor, target.tokenizer, `${where}: donor`).prompt;
  });
  const read = (
    rows: readonly PromptTokens[],
    positions: readonly (readonly number[])[],
  ): Promise<Float32Array[]> =>
    activations(
      model,
      hook,
      rows.map((row, i) => inModel(model, place, row, positions[i])),
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

/** The prompt a row's donor reads, in the edited model's tokens. */
function donorPrompt({ model, where }: PlacedEdit, source: RunSource, prompt: PromptTokens): PromptTokens {
  if (source.prompt !== undefined)
    return promptTokens(model.tokenizer, source.prompt, prompt.addSpecialTokens);
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
  return promptTokens(model.tokenizer, replaceAll(prompt.text, replace), prompt.addSpecialTokens);
}

/** Where the donor is read: as the document says, else by the recipient's rule with the replacements made; a contrast is with the recipient. */
function donorRule({ edit, where }: PlacedEdit, source: RunSource, { text }: PromptTokens): TokenSelection {
  if (source.tokens !== undefined) return source.tokens;
  const rule = replaceInSelection(edit.tokens, source.replace ?? {});
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
  { model: target, where }: PlacedEdit,
  row: PromptTokens,
  positions: readonly number[],
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
export async function activations(
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
