/**
 * @file Documents carried out. Everything that can be wrong is found before the model runs: unknown hooks, blocks, widths, spans
 * that do not occur. Afterwards `proof()` says what was changed, and refuses to call nothing something.
 */
import { basename } from 'node:path';
import { InputError } from '../base/index.ts';
import {
  type Intervention,
  type InterventionDocument,
  type InterventionDocumentInput,
  type InterventionEffect,
  type InterventionInput,
  parseIntervention,
} from '../contracts/index.ts';
import {
  type Activation,
  type FwdHook,
  type HookContext,
  hookName,
  type LanguageModel,
  parseHookName,
} from '../models/index.ts';
import { applyOp, norm } from './ops.ts';
import type { RowColumns } from './patch.ts';
import type { Resolvers } from './resolvers.ts';
import {
  type PromptInput,
  type PromptTokens,
  promptTokens,
  type SelectedTokens,
  selectTokens,
} from './select.ts';
import { type EditVectors, resolveVectors } from './vectors.ts';
import { firesOn, holdsTexts, ofAll } from './when.ts';

/** Options of {@link applyIntervention}. */
export interface ApplyOptions extends Resolvers {
  /** Changing nothing is what is expected (self-patch, ceiling), no error. Defaults to false. */
  readonly expectNoop?: boolean;
  /** A prompt without a text that an edit looks for: an error, or one that is left as it is. Defaults to `error`. */
  readonly unmatched?: 'error' | 'skip';
}

/** A document ready for one list of prompts. */
export interface AppliedIntervention {
  /** For `generate`, `forward` and the other passes over exactly these prompts (a teacher-forced pass may have more tokens after). */
  readonly fwdHooks: readonly FwdHook[];
  /** The prompts' token ids, as the hooks expect them. */
  readonly ids: readonly (readonly number[])[];
  /** Whether the document is carried out at all, a prompt (its `when`). */
  readonly fires: readonly boolean[];
  /**
   * What has been done since the last `reset`: effects[row][edit], of a prompt on which it is not carried out []. Throws {@link InputError}
   * where an edit never fired or changed nothing, unless that was expected.
   */
  proof(): InterventionEffect[][];
  /** Forget what was done; the same hooks may then run again. */
  reset(): void;
}

/**
 * Prepare an intervention, or several in order, for some prompts (text, or token ids where no text is looked for). `intervention` is a
 * plain object, checked here.
 *
 * @throws InputError for an unknown key, hook or block, a vector of another width, a text that does not occur in the prompt
 * @example
 * const edit = { op: 'suppress', hook: mlpOut(3), tokens: { prompt: 'all' } } as const;
 * const steered = await applyIntervention(model, edit, [prompt]);
 * const text = await model.generate([prompt], { fwdHooks: steered.fwdHooks });
 * steered.proof(); // [[{ hook: 'blocks.3.hook_resid_post', op: 'set', positions: [5, 6], relative_change: 0.4 }]]
 */
export async function applyIntervention(
  model: LanguageModel,
  intervention: InterventionInput | readonly InterventionInput[] | InterventionDocumentInput,
  prompts: readonly PromptInput[],
  options: ApplyOptions = {},
): Promise<AppliedIntervention> {
  const document = parseIntervention(intervention);
  if (prompts.length === 0)
    throw new InputError('intervention: no prompt was given', { id: 'intervention-invalid' });
  if (
    document.model !== undefined &&
    ![model.checkpoint.path, basename(model.checkpoint.path)].includes(document.model)
  )
    throw new InputError(
      `intervention: made for the model ${document.model}, this one is ${basename(model.checkpoint.path)}`,
      { id: 'map-mismatch' },
    );
  const rows = prompts.map((prompt) => promptTokens(model.tokenizer, prompt));
  const skips = options.unmatched === 'skip';
  const fires = (await firesOn(model, document, rows, options)).map(
    (does, row) => does && (!skips || holdsTexts(document, rows[row])),
  );
  const prompted = rows.filter((_, row) => fires[row]);
  const edits: CompiledEdit[] = [];
  for (const [i, edit] of document.interventions.entries()) {
    const where = `interventions.${i} (${edit.op} at ${edit.hook})`;
    const hook = hookName(parseHookName(edit.hook, model.nLayers));
    const chosen = prompted.map((row) => selectTokens(edit.tokens, row, model.tokenizer, where));
    const selected = chosen.map((s) => s.prompt);
    const vectors: EditVectors =
      prompted.length === 0
        ? { kind: 'none' }
        : await resolveVectors({ model, edit, prompts: prompted, selected, where }, options);
    refuseZero(edit, vectors, where);
    edits.push({
      edit,
      hook,
      where,
      selected: ofAll(chosen, fires, UNTOUCHED),
      vectors:
        vectors.kind === 'values' ? { ...vectors, ofRow: ofAll(vectors.ofRow, fires, NOTHING) } : vectors,
      done: rows.map(() => ({ positions: [], ratios: 0, fired: 0 })),
    });
  }
  if (document.conflict === 'error') refuseOverlap(edits);
  const hooks = [...new Set(edits.map((e) => e.hook))];
  return {
    fires,
    ids: rows.map((r) => r.ids),
    fwdHooks: hooks.map((hook): FwdHook => {
      const met = { edits: edits.filter((e) => e.hook === hook), resolve: conflicts[document.conflict] };
      return [hook, (activation, context) => run(met, rows, activation, context)];
    }),
    proof: () =>
      rows.map((_, row) =>
        fires[row] ? edits.map((e) => effectOf(e, row, options.expectNoop ?? false)) : [],
      ),
    reset: () => {
      for (const e of edits) e.done = rows.map(() => ({ positions: [], ratios: 0, fired: 0 }));
    },
  };
}

/** What is selected in a prompt on which nothing is carried out. */
const UNTOUCHED: SelectedTokens = { prompt: [], generated: undefined };

interface Done {
  positions: number[];
  /** Σ ‖Δ‖/‖h‖ over the positions edited. */
  ratios: number;
  fired: number;
}

interface CompiledEdit {
  readonly edit: Intervention;
  readonly hook: string;
  readonly where: string;
  readonly selected: readonly SelectedTokens[];
  readonly vectors: EditVectors;
  done: Done[];
  /** Mean of each row's prompt at the hook, for `prompt_mean`. */
  means?: Map<number, Float32Array>;
}

/** Which of the edits that meet at one position are carried out, in order. */
type Resolution = (met: CompiledEdit[]) => CompiledEdit[];

const conflicts: Record<InterventionDocument['conflict'], Resolution> = {
  sequential: (met) => met,
  priority: (met) =>
    met.filter((e) => met.every((other) => other.edit.priority <= e.edit.priority)).slice(0, 1),
  error: (met) => {
    if (met.length > 1) throw meet(met[0], met[1]);
    return met;
  },
};

/** One firing of a hook: every row, every column that stands for a selected token. */
function run(
  { edits, resolve }: { readonly edits: readonly CompiledEdit[]; readonly resolve: Resolution },
  prompts: readonly PromptTokens[],
  { data, shape }: Activation,
  { starts, counts, rows }: HookContext,
): void {
  const columns = shape[1];
  const d = data.length / (rows.length * columns);
  rows.forEach((row, b) => {
    const promptLength = prompts[row]?.ids.length;
    if (promptLength === undefined)
      throw new InputError(`intervention: compiled for ${prompts.length} prompts, the run has a row ${row}`, {
        id: 'intervention-invalid',
      });
    const here = data.subarray(b * columns * d, (b + 1) * columns * d);
    const [start, count] = [starts[b], counts[b]];
    takeMeans(edits, row, promptLength, { data: here, width: d, start, count });
    for (let t = 0; t < count; t++) {
      const position = start + t;
      const met = edits.filter((e) => selects(e.selected[row], position, promptLength));
      if (met.length === 0) continue;
      const h = here.subarray(t * d, (t + 1) * d);
      for (const e of resolve(met)) carryOut(e, row, position, h);
    }
  });
}

function selects({ prompt, generated }: SelectedTokens, position: number, promptLength: number): boolean {
  return position < promptLength
    ? prompt.includes(position)
    : (generated?.(position - promptLength) ?? false);
}

function carryOut(e: CompiledEdit, row: number, position: number, h: Float32Array): void {
  const before = h.slice();
  applyOp(e.edit, h, vectorAt(e, row, position, h.length));
  const size = norm(before);
  for (let i = 0; i < h.length; i++) before[i] = h[i] - before[i];
  const done = e.done[row];
  done.fired++;
  const change = norm(before);
  done.ratios += size > 0 ? change / size : Number(change > 0);
  if (!done.positions.includes(position)) done.positions.push(position);
}

const NOTHING = new Float32Array(0);

function vectorAt(
  { vectors, selected, means }: CompiledEdit,
  row: number,
  position: number,
  d: number,
): Float32Array {
  if (vectors.kind === 'none') return NOTHING;
  if (vectors.kind === 'prompt_mean') {
    const mean = means?.get(row);
    if (mean === undefined)
      throw new InputError('intervention: the mean of the prompt is not known before the prompt has run', {
        id: 'intervention-invalid',
      });
    return mean;
  }
  const values = vectors.ofRow[row];
  const k = values.length === d ? 0 : selected[row].prompt.indexOf(position);
  return values.subarray(k * d, (k + 1) * d);
}

/** Keep the prompt's mean when the prompt passes, before anything is edited at this hook. */
function takeMeans(
  edits: readonly CompiledEdit[],
  row: number,
  promptLength: number,
  { data, width: d, start, count }: RowColumns,
): void {
  for (const e of edits) {
    if (e.vectors.kind !== 'prompt_mean' || start !== 0 || count < promptLength) continue;
    const from = e.vectors.excludeFirst && promptLength > 1 ? 1 : 0;
    const sums = new Float64Array(d);
    for (let t = from; t < promptLength; t++) for (let j = 0; j < d; j++) sums[j] += data[t * d + j];
    (e.means ??= new Map()).set(
      row,
      Float32Array.from(sums, (x) => x / (promptLength - from)),
    );
  }
}

function effectOf(e: CompiledEdit, row: number, expectNoop: boolean): InterventionEffect {
  const { positions, ratios, fired } = e.done[row];
  if (!expectNoop && ratios === 0) {
    const why = fired === 0 ? 'never fired' : `fired at ${fired} tokens and changed nothing`;
    throw new InputError(`${e.where}: ${why} in prompt ${row}; an intervention without effect is an error`, {
      id: 'no-effect',
    });
  }
  return {
    hook: e.hook,
    op: e.edit.op,
    positions: positions.slice().sort((a, b) => a - b),
    relative_change: fired === 0 ? 0 : ratios / fired,
  };
}

/** A direction of length 0 has no direction. */
function refuseZero(edit: Intervention, vectors: EditVectors, where: string): void {
  const directed =
    edit.op === 'project' || edit.op === 'clamp' || ('normalize' in edit && edit.normalize !== 'none');
  if (!directed || vectors.kind !== 'values') return;
  if (vectors.ofRow.some((v) => norm(v) === 0))
    throw new InputError(`${where}: the vector is zero; it has no direction`, { id: 'vector-invalid' });
}

function refuseOverlap(edits: readonly CompiledEdit[]): void {
  edits.forEach((a, i) => {
    for (const b of edits.slice(i + 1)) {
      if (a.hook !== b.hook) continue;
      if (a.selected.some((s, row) => s.prompt.some((p) => b.selected[row].prompt.includes(p))))
        throw meet(a, b);
    }
  });
}

function meet(a: CompiledEdit, b: CompiledEdit): InputError {
  return new InputError(
    `${a.where} and ${b.where} meet at one position, and the document says conflict: error`,
    { id: 'intervention-invalid' },
  );
}
