/** @file Post-processors: the special tokens a template puts around a text, and around and between two. */
import {
  asArray,
  asId,
  asObject,
  asString,
  badTokenizer,
  buildPart,
  type JsonObject,
  refuseUnknownKeys,
} from './parse.ts';

/** Ids before and after a text, and how two texts are joined; `pair` is undefined where the template does not say. */
export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly pair: readonly TemplatePart[] | undefined;
}

/** Special tokens, or the place of a text; `type` is the token_type_id there. */
export type TemplatePart =
  | { readonly ids: readonly number[]; readonly type: number }
  | { readonly text: 'A' | 'B'; readonly type: number };

/** Two texts in one row. */
export interface JoinedIds {
  readonly ids: readonly number[];
  /** `token_type_ids`: which text each token is of. */
  readonly types: readonly number[];
}

const NOTHING: Template = { before: [], after: [], pair: undefined };

const builders: Record<string, (obj: JsonObject, where: string, depth: number) => Template> = {
  Sequence(obj, where, depth) {
    refuseUnknownKeys(obj, ['processors'], where);
    return asArray(obj.processors, `${where}.processors`)
      .map((p, i) => parseTemplate(p, `${where}[${i}]`, depth + 1))
      .reduce((all, t) => {
        refuseMany([...t.before, ...all.before], where);
        refuseMany([...all.after, ...t.after], where);
        return {
          before: [...t.before, ...all.before],
          after: [...all.after, ...t.after],
          pair: t.pair ?? all.pair,
        };
      }, NOTHING);
  },
  // Only trims offsets in the Rust library; ours always cover a token's whole text.
  ByteLevel: () => NOTHING,
  TemplateProcessing: parseTemplateProcessing,
  BertProcessing: (obj, where) => parseMarks(obj, where, { doubled: false, second: 1 }),
  RobertaProcessing: (obj, where) => parseMarks(obj, where, { doubled: true, second: 0 }),
};

/** Tokens around a text; real templates have at most three. */
const MAX_AROUND = 256;

function refuseMany(ids: readonly number[], where: string): void {
  if (ids.length > MAX_AROUND) throw badTokenizer(where, `at most ${MAX_AROUND} special tokens`, ids);
}

/** The `post_processor` field of tokenizer.json; null means none. */
export function parseTemplate(value: unknown, where: string, depth = 0): Template {
  return buildPart(builders, value, { where, depth }) ?? NOTHING;
}

/** The ids of two texts put where the template has them. */
export function joinPair(
  parts: readonly TemplatePart[],
  first: readonly number[],
  second: readonly number[],
): JoinedIds {
  const stretches = parts.map((part) => ({
    type: part.type,
    ids: 'ids' in part ? part.ids : part.text === 'A' ? first : second,
  }));
  return {
    ids: stretches.flatMap(({ ids }) => ids),
    types: stretches.flatMap(({ ids, type }) => ids.map(() => type)),
  };
}

/** Ids of the special tokens. */
export function markIds(parts: readonly TemplatePart[]): number[] {
  return parts.flatMap((part) => ('ids' in part ? part.ids : []));
}

function parseTemplateProcessing(obj: JsonObject, where: string): Template {
  refuseUnknownKeys(obj, ['single', 'pair', 'special_tokens'], where);
  const special = asObject(obj.special_tokens, `${where}.special_tokens`);
  const single = parseParts(obj.single, special, `${where}.single`);
  const texts = single.flatMap((part, i) => ('text' in part ? [i] : []));
  const [at] = texts;
  if (texts.length !== 1 || at === undefined)
    throw badTokenizer(`${where}.single`, 'the text once', obj.single);
  const pair = parseParts(obj.pair ?? [], special, `${where}.pair`);
  const joins = pair.flatMap((part) => ('text' in part ? [part.text] : [])).join('') === 'AB';
  return {
    before: markIds(single.slice(0, at)),
    after: markIds(single.slice(at + 1)),
    pair: joins ? pair : undefined,
  };
}

function parseParts(value: unknown, special: JsonObject, where: string): TemplatePart[] {
  const parts = asArray(value, where).map((item, i): TemplatePart => {
    const at = `${where}[${i}]`;
    const part = asObject(item, at);
    if (part.Sequence !== undefined) {
      const { id, type_id } = asObject(part.Sequence, `${at}.Sequence`);
      const type = asId(type_id ?? 0, `${at}.Sequence.type_id`);
      return { text: asString(id, `${at}.Sequence.id`) === 'B' ? 'B' : 'A', type };
    }
    const { id, type_id } = asObject(part.SpecialToken, `${at}.SpecialToken`);
    const name = asString(id, `${at}.SpecialToken.id`);
    const entry = asObject(
      Object.hasOwn(special, name) ? special[name] : undefined,
      `${where}: special_tokens[${JSON.stringify(name)}]`,
    );
    const ids = asArray(entry.ids, `${at}.ids`).map((token) => asId(token, `${at}.ids`));
    return { ids, type: asId(type_id ?? 0, `${at}.SpecialToken.type_id`) };
  });
  refuseMany(markIds(parts), where);
  return parts;
}

/** `cls A sep`; with two texts `cls A sep B sep` (BERT), or `cls A sep sep B sep` (RoBERTa, which knows one type). */
function parseMarks(
  obj: JsonObject,
  where: string,
  { doubled, second }: { readonly doubled: boolean; readonly second: number },
): Template {
  refuseUnknownKeys(obj, ['sep', 'cls', 'trim_offsets', 'add_prefix_space'], where);
  const idOf = (key: string): number => asId(asArray(obj[key], `${where}.${key}`)[1], `${where}.${key}[1]`);
  const [cls, sep] = [idOf('cls'), idOf('sep')];
  return {
    before: [cls],
    after: [sep],
    pair: [
      { ids: [cls], type: 0 },
      { text: 'A', type: 0 },
      { ids: doubled ? [sep, sep] : [sep], type: 0 },
      { text: 'B', type: second },
      { ids: [sep], type: second },
    ],
  };
}
