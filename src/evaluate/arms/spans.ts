/** @file Activations at the spans of contrast prompts, of the model itself or of another over the same text, and mapped (docs/concepts/method.md#patch). */
import { InputError } from '../../base/index.ts';
import { renderPrompt } from '../../behaviours/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import {
  alignTokens,
  alignTurns,
  type LanguageModel,
  type TokenAlignment,
  userTurn,
} from '../../models/index.ts';
import {
  alignRows,
  type ContrastCase,
  type Direction,
  opposite,
  type StatePrompt,
  TAGGED,
  type TaggedState,
  type UserTurn,
} from '../subject/cases.ts';

/** A model and the block whose output is read or written. */
export interface BlockOf {
  readonly model: LanguageModel;
  readonly block: number;
}

/** Activations of one width at the spans of some cases: [n,D] per case and state, n the span in that state. */
export class Spans {
  readonly width: number;
  readonly cases: readonly ContrastCase[];
  readonly #rows: Readonly<Record<TaggedState, readonly Float32Array[]>>;
  readonly #index: ReadonlyMap<ContrastCase, number>;
  readonly #means = new Map<string, Float32Array>();

  /** `rows`: one per case, in the order of `cases`. */
  constructor(
    width: number,
    cases: readonly ContrastCase[],
    rows: Readonly<Record<TaggedState, readonly Float32Array[]>>,
  ) {
    this.width = width;
    this.cases = cases;
    this.#rows = rows;
    this.#index = new Map(cases.map((c, i) => [c, i]));
  }

  /** At the case's own span in a state. */
  of(c: ContrastCase, state: TaggedState): Float32Array {
    return this.#rows[state][this.#at(c)];
  }

  /** Those of a state (the opposite one by default) laid on the span of a patched run; `from` another case when given. */
  onto(c: ContrastCase, direction: Direction, state?: TaggedState, from = c): Float32Array {
    const { positions } = c.states[direction];
    return alignRows(this.of(from, state ?? opposite(direction)), positions.length, this.width);
  }

  /** Mean over all cases at every distance from the span's end, for a span of n tokens: one static vector per position, [n,D]. */
  mean(state: TaggedState, n: number): Float32Array {
    const key = `${state}/${n}`;
    const found = this.#means.get(key) ?? meanSpan(this.#rows[state], n, this.width);
    this.#means.set(key, found);
    return found;
  }

  /** Those of the first n cases. */
  first(n: number): Spans {
    const { bad, safe, other } = this.#rows;
    const rows = { bad: bad.slice(0, n), safe: safe.slice(0, n), other: other.slice(0, n) };
    return new Spans(this.width, this.cases.slice(0, n), rows);
  }

  /** All spans of a state, in the order of cases. */
  all(state: TaggedState): readonly Float32Array[] {
    return this.#rows[state];
  }

  /** The case whose donor stands for another prompt's: the next one, never itself (given at least two). */
  neighbour(c: ContrastCase): ContrastCase {
    return this.cases[(this.#at(c) + 1) % this.cases.length];
  }

  #at(c: ContrastCase): number {
    const at = this.#index.get(c);
    if (at === undefined) throw new RangeError(`spans: case ${c.id} was not captured`);
    return at;
  }
}

/** Activations of a model after some blocks, at its own spans. */
export async function spansAfter(
  model: LanguageModel,
  blocks: readonly number[],
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, Spans>> {
  const read = await byState((state) =>
    captureResiduals(
      model.decoder,
      cases.map((c) => ({ ids: c.states[state].ids, positions: c.states[state].positions })),
      blocks,
      { signal },
    ),
  );
  const width = model.config.dModel;
  return new Map(
    blocks.map((block, k) => [
      block,
      new Spans(width, cases, {
        bad: read.bad.map((r) => r[k]),
        safe: read.safe.map((r) => r[k]),
        other: read.other.map((r) => r[k]),
      }),
    ]),
  );
}

/** Activations of the target after its block, at its own spans. */
export async function targetSpans(
  { model, block }: BlockOf,
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<Spans> {
  return (await spansAfter(model, [block], cases, signal)).get(block) as Spans;
}

/**
 * Activations of the source where the target's spans are. Same tokens: by index; else at the last source token that ends at or
 * before the target's (docs/concepts/method.md#paired-activations: never later).
 */
export async function sourceSpans(
  { model, block }: BlockOf,
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<Spans> {
  const rows = await byState(async (state) => {
    const at = cases.map((c) => sourceRow(model, c.states[state], c.states[state].positions));
    return (await captureResiduals(model.decoder, at, [block], { signal })).map(([first]) => first);
  });
  return new Spans(model.config.dModel, cases, rows);
}

/** A prompt in the source's tokens. */
interface SourceRow {
  readonly ids: readonly number[];
  /** One for each position of the target that was asked for. */
  readonly positions: readonly number[];
  /** How each of them pairs. */
  readonly flags: TokenAlignment['flags'];
}

/** The source's tokens of a prompt (in its own chat template where the target's is in one), and its positions that correspond to the target's. */
export function sourceRow(
  model: Pick<LanguageModel, 'tokenizer'>,
  prompt: StatePrompt,
  positions: readonly number[],
): SourceRow {
  const { turn } = prompt;
  const read = turn === undefined ? undefined : turnIn(model, turn);
  const own = model.tokenizer.encode(read?.prompt ?? prompt.prompt, {
    addSpecialTokens: turn === undefined ? 'auto' : false,
  });
  if (own.ids.length === prompt.ids.length && own.ids.every((id, i) => id === prompt.ids[i]))
    return { ids: own.ids, positions, flags: positions.map(() => 'coincide') };
  const { sourceOf, flags } =
    turn === undefined || read === undefined || read.prompt === prompt.prompt
      ? alignTokens(own, prompt)
      : alignTurns(own, prompt, [{ source: read.offset, target: turn.start, length: turn.text.length }]);
  return {
    ids: own.ids,
    flags: positions.map((p) => flags[p]),
    positions: positions.map((p) => {
      const at = sourceOf[p];
      if (at < 0)
        throw new InputError(
          `transfer: no source token ends at or before target position ${p} of ${JSON.stringify(prompt.prompt.slice(0, 60))}…; the source cuts this beginning into longer tokens. Let the tag stand at the end, or take a template that writes something before it`,
          { id: 'map-mismatch' },
        );
      return at;
    }),
  };
}

/** The same user's turn in this model's own chat template. */
function turnIn(
  { tokenizer }: Pick<LanguageModel, 'tokenizer'>,
  { text, chat }: UserTurn,
): { prompt: string; offset: number } {
  return renderPrompt('chat', text, userTurn(tokenizer, chat));
}

/** What of a map rows are put through: its arithmetic and its widths. */
export type RowMap = Pick<ActivationMap, 'apply'> & {
  readonly source: { readonly width: number };
  readonly target: { readonly width: number };
};

/** The source's spans through a map: spans of the target's width. */
export async function mapSpans(map: RowMap, spans: Spans): Promise<Spans> {
  const { cases } = spans;
  const rows = await byState((state) =>
    mapRows(
      map,
      cases.map((c) => {
        const { ids, positions } = c.states[state];
        return { rows: spans.of(c, state), tokens: positions.map((p) => ids[p]) };
      }),
    ),
  );
  return new Spans(map.target.width, cases, rows);
}

/** Rows [n, d_source] of many places through a map in one call: [n, d_target] each. `tokens`: the target's ids there, for lookups. */
export async function mapRows(
  map: RowMap,
  places: readonly { readonly rows: Float32Array; readonly tokens: readonly number[] }[],
): Promise<Float32Array[]> {
  const tokenIds = Int32Array.from(places.flatMap(({ tokens }) => tokens));
  const all = new Float32Array(tokenIds.length * map.source.width);
  let at = 0;
  for (const { rows } of places) {
    all.set(rows, at);
    at += rows.length;
  }
  const mapped = map.apply(all, tokenIds.length, { tokenIds });
  const d = map.target.width;
  if (mapped.length !== tokenIds.length * d)
    throw new InputError(
      `transfer: the map gave ${mapped.length} numbers for ${tokenIds.length} rows, the target is ${d} wide`,
      { id: 'map-mismatch' },
    );
  let from = 0;
  return places.map(({ tokens }) => {
    from += tokens.length * d;
    return mapped.slice(from - tokens.length * d, from);
  });
}

/** Mean over spans at every distance from the span's end, for a span of n tokens, [n,D]. */
export function meanSpan(spans: readonly Float32Array[], n: number, width: number): Float32Array {
  const sums = new Float64Array(n * width);
  for (const span of spans) {
    const aligned = alignRows(span, n, width);
    for (let i = 0; i < sums.length; i++) sums[i] += aligned[i];
  }
  return Float32Array.from(sums, (x) => x / spans.length);
}

async function byState<T>(read: (state: TaggedState) => Promise<T[]>): Promise<Record<TaggedState, T[]>> {
  const out: Record<TaggedState, T[]> = { bad: [], safe: [], other: [] };
  for (const state of TAGGED) out[state] = await read(state);
  return out;
}
