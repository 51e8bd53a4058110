/** @file Post-processors: the special tokens a template puts before and after a text. Pairs of texts are not needed here. */
import { asArray, asId, asObject, asString, badTokenizer, buildPart, refuseUnknownKeys } from './parse.ts';

/** Ids before and after the text. */
export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const NOTHING: Template = { before: [], after: [] };

const builders: Record<string, (obj: Record<string, unknown>, where: string, depth: number) => Template> = {
  Sequence(obj, where, depth) {
    refuseUnknownKeys(obj, ['processors'], where);
    return asArray(obj.processors, `${where}.processors`)
      .map((p, i) => parseTemplate(p, `${where}[${i}]`, depth + 1))
      .reduce((all, t) => {
        refuseMany([...t.before, ...all.before], where);
        refuseMany([...all.after, ...t.after], where);
        return { before: [...t.before, ...all.before], after: [...all.after, ...t.after] };
      }, NOTHING);
  },
  // Only trims offsets in the Rust library; ours always cover a token's whole text.
  ByteLevel: () => NOTHING,
  TemplateProcessing: parseTemplateProcessing,
  BertProcessing: parsePair,
  RobertaProcessing: parsePair,
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

function parseTemplateProcessing(obj: Record<string, unknown>, where: string): Template {
  refuseUnknownKeys(obj, ['single', 'pair', 'special_tokens'], where);
  const special = asObject(obj.special_tokens, `${where}.special_tokens`);
  const before: number[] = [];
  const after: number[] = [];
  let texts = 0;
  for (const [i, item] of asArray(obj.single, `${where}.single`).entries()) {
    const at = `${where}.single[${i}]`;
    const part = asObject(item, at);
    if (part.Sequence !== undefined) texts++;
    else {
      const name = asString(asObject(part.SpecialToken, `${at}.SpecialToken`).id, `${at}.SpecialToken.id`);
      const entry = asObject(
        Object.hasOwn(special, name) ? special[name] : undefined,
        `${where}.special_tokens[${JSON.stringify(name)}]`,
      );
      const ids = asArray(entry.ids, `${at}.ids`).map((id) => asId(id, `${at}.ids`));
      const side = texts === 0 ? before : after;
      for (const id of ids) side.push(id);
      refuseMany(side, at);
    }
  }
  if (texts !== 1) throw badTokenizer(`${where}.single`, 'the text once', obj.single);
  return { before, after };
}

function parsePair(obj: Record<string, unknown>, where: string): Template {
  refuseUnknownKeys(obj, ['sep', 'cls', 'trim_offsets', 'add_prefix_space'], where);
  const idOf = (key: string): number => asId(asArray(obj[key], `${where}.${key}`)[1], `${where}.${key}[1]`);
  return { before: [idOf('cls')], after: [idOf('sep')] };
}
