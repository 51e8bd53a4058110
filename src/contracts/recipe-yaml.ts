/** @file The YAML of an experiment file as plain data: bounded in size, depth and aliases; what is refused has a line and a column. */
import { type Alias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import { showText } from '../base/index.ts';
import { RecipeError } from './recipe-error.ts';

/** One YAML file. `file` is shown in messages. */
export interface RecipeSource {
  readonly file: string;
  readonly text: string;
}

export type Yaml = ReturnType<typeof parseDocument> & { lines: LineCounter };

/** No experiment file is near these. */
const MAX_CHARACTERS = 1_000_000;
const MAX_DEPTH = 64;
const MAX_BRACKETS = 500;
/** Values an alias may stand for, all together: `*a` within `*b` within `*c` multiplies. */
const MAX_ALIASED = 1000;

/** Parse `source`. Throws {@link RecipeError} when the text is no YAML mapping. */
export function readYaml(source: RecipeSource): { doc: Yaml; value: Record<string, unknown> } {
  const lines = new LineCounter();
  const complain = (offset: number, message: string): never => {
    const { line, col } = lines.linePos(offset);
    throw new RecipeError([{ file: source.file, line, column: Math.max(1, col), path: '', message }]);
  };
  const text = source.text.startsWith('\ufeff') ? source.text.slice(1) : source.text;
  if (text.length > MAX_CHARACTERS)
    complain(0, `wanted an experiment file of at most ${MAX_CHARACTERS} characters, got ${text.length}`);
  const deep = bracketsDeeperThan(text, MAX_BRACKETS);
  if (deep !== undefined) complain(deep, `wanted at most ${MAX_DEPTH} levels of nesting, got more`);
  // Keys that are given twice are looked for below: the parser compares each with each.
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const doc = Object.assign(parsed, { lines });
  const error = doc.errors[0];
  if (error?.code === 'MULTIPLE_DOCS')
    complain(error.pos[0], 'wanted one experiment, got another document after it (after ---)');
  if (error) complain(error.pos[0], error.message.replace(/\s*\n\s*/g, ' '));
  refuseDepth(doc, complain);
  refuseKeys(doc, complain);
  refuseAliases(doc, complain);
  const value: unknown = doc.toJS();
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return complain(0, 'wanted `key: value` lines (see `crosspatch init`)');
  return { doc, value: value as Record<string, unknown> };
}

type Complain = (offset: number, message: string) => never;

/** Every key is a word, none is given twice, and none would change what an object is. */
function refuseKeys(doc: Yaml, complain: Complain): void {
  visit(doc, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const offset = (key as { range?: readonly number[] } | null)?.range?.[0] ?? map.range?.[0] ?? 0;
        if (!isScalar(key))
          return complain(offset, 'wanted a word as the key, got a list, a mapping or an alias');
        const name = String(key.value);
        if (name === '__proto__') return complain(offset, 'unknown key "__proto__"');
        if (seen.has(name))
          return complain(offset, `the key "${showText(name)}" is given twice; keys must be unique`);
        seen.add(name);
      }
      return undefined;
    },
  });
}

/** Aliases must lead to an anchor before them that they are not within, and may not multiply. */
function refuseAliases(doc: Yaml, complain: Complain): void {
  const sizes = new Map<unknown, number>();
  let total = 0;
  const size = (node: unknown): number => {
    const known = sizes.get(node);
    if (known !== undefined) return known;
    let count = 1;
    visit(node as Alias, {
      Alias(_, alias) {
        const target = alias.resolve(doc);
        count += target === undefined || target === node ? 0 : size(target);
        return count > MAX_ALIASED ? visit.BREAK : undefined;
      },
      Node() {
        count++;
      },
    });
    sizes.set(node, count);
    return count;
  };
  visit(doc, {
    Alias(_, alias, path) {
      const offset = alias.range?.[0] ?? 0;
      const target = alias.resolve(doc);
      const name = showText(alias.source, 40);
      if (target === undefined)
        return complain(offset, `the alias *${name} has no anchor &${name} before it`);
      if (path.includes(target)) return complain(offset, `the alias *${name} stands within what it names`);
      total += size(target);
      if (total > MAX_ALIASED)
        return complain(offset, `the aliases stand for more than ${MAX_ALIASED} values; write them out`);
      return undefined;
    },
  });
}

function refuseDepth(doc: Yaml, complain: Complain): void {
  visit(doc, {
    Collection(_, node, path) {
      const depth = path.filter((above) => isMap(above) || isSeq(above)).length;
      if (depth < MAX_DEPTH) return undefined;
      return complain(node.range?.[0] ?? 0, `wanted at most ${MAX_DEPTH} levels of nesting, got more`);
    },
  });
}

/** Where more than `limit` flow brackets are open, strings and comments included: the parser recurses into them. */
function bracketsDeeperThan(text: string, limit: number): number | undefined {
  let open = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '[' || c === '{') open++;
    else if ((c === ']' || c === '}') && open > 0) open--;
    if (open > limit) return i;
  }
  return undefined;
}
