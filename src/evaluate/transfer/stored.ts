/** @file Activations at spans as named tensors, and back: what a transfer hands to the parts of its prompts. */
import { CrosspatchError } from '../../base/index.ts';
import { Spans } from '../arms/spans.ts';
import { type ContrastCase, TAGGED, type TaggedState } from '../subject/cases.ts';
import { type GivenSpans, SOURCE_KINDS, type SourceKind, type TransferSpans } from './data.ts';

/** Rows of all cases of one state, one after the other: [rows,D]. */
export interface SpanTensor {
  readonly name: string;
  readonly shape: readonly [rows: number, width: number];
  readonly data: Float32Array;
}

/** Spans as tensors `who.state`. */
export function spanTensors({ native, labelled, sources }: TransferSpans): SpanTensor[] {
  return [
    ...tensorsOf('native', native),
    ...tensorsOf('labelled', labelled),
    ...[...sources].flatMap(([kind, { given, training }]) => [
      ...tensorsOf(`${kind}.given`, given),
      ...tensorsOf(`${kind}.training`, training),
    ]),
  ];
}

/** The cases spans were read at, in the same order. */
export interface SpanCases {
  readonly subject: readonly ContrastCase[];
  readonly labelled: readonly ContrastCase[];
  readonly static_prompts: number;
}

/** Those spans again. `tensor`: by name; undefined where there is none. Throws when they do not fit the cases. */
export function spansFrom(
  tensor: (name: string) => Pick<SpanTensor, 'shape' | 'data'> | undefined,
  { subject, labelled, static_prompts }: SpanCases,
): TransferSpans {
  const read = (who: string, cases: readonly ContrastCase[]): Spans | undefined => {
    const [bad, safe, other] = TAGGED.map((state) => tensor(`${who}.${state}`));
    if (bad === undefined || safe === undefined || other === undefined) return undefined;
    const rows = {
      bad: cut(bad, cases, 'bad'),
      safe: cut(safe, cases, 'safe'),
      other: cut(other, cases, 'other'),
    };
    return new Spans(bad.shape[1], cases, rows);
  };
  const training = labelled.slice(0, static_prompts);
  const sources = new Map<SourceKind, GivenSpans>();
  for (const kind of SOURCE_KINDS) {
    const given = read(`${kind}.given`, subject);
    if (given !== undefined) sources.set(kind, { given, training: read(`${kind}.training`, training) });
  }
  const native = read('native', subject);
  if (native === undefined)
    throw new CrosspatchError('transfer: spans of the target are missing', { id: 'internal' });
  return { native, labelled: read('labelled', labelled), sources };
}

function tensorsOf(who: string, spans: Spans | undefined): SpanTensor[] {
  if (spans === undefined) return [];
  return TAGGED.map((state) => {
    const parts = spans.all(state);
    const data = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part, at);
      at += part.length;
    }
    return { name: `${who}.${state}`, shape: [data.length / spans.width, spans.width] as const, data };
  });
}

/** Rows of each case. */
function cut(
  { shape, data }: Pick<SpanTensor, 'shape' | 'data'>,
  cases: readonly ContrastCase[],
  state: TaggedState,
): Float32Array[] {
  const [, width] = shape;
  let at = 0;
  const rows = cases.map((c) => {
    const from = at;
    at += c.states[state].positions.length * width;
    return data.subarray(from, at);
  });
  if (at !== data.length)
    throw new CrosspatchError(
      `transfer: stored spans hold ${data.length / width} rows, the prompts ${at / width}`,
      {
        id: 'internal',
      },
    );
  return rows;
}
