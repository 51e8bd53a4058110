/** @file Tables of keys from zod schemas: one row per key, nested keys as `a.b`. */
import { z } from 'zod';

/** The part of JSON Schema that zod emits and that is shown. */
interface Node {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Node;
  readonly propertyNames?: Node;
  readonly items?: Node;
  readonly prefixItems?: readonly Node[];
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
}

export interface KeyRow {
  readonly path: string;
  readonly type: string;
  readonly fallback: string;
  readonly description: string;
}

/** What a reader gets (`output`), or what a writer may give (`input`: keys with defaults are optional). */
export function keyRows(schema: z.ZodType, io: 'input' | 'output', comments: Comments = new Map()): KeyRow[] {
  const root = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' }) as Node;
  return rowsOf(root, '', comments);
}

/** Descriptions that a schema has as comments above its keys, by key. */
export type Comments = ReadonlyMap<string, string>;

/** Comments directly above a key; a key that stands in several schemas has none, since it may mean several things. */
export function commentsOf(source: string): Comments {
  const found = source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])+)\*\/\s*\n\s*(\w+): /g);
  return new Map(
    [...found]
      .filter(([, , key = '']) => source.match(new RegExp(`\\b${key}: `, 'g'))?.length === 1)
      .map(([, text = '', key = '']) => [key, words(text)]),
  );
}

function words(comment: string): string {
  return comment
    .replace(/\s*\n\s*\*? ?/g, ' ')
    .replace(/\{@link (\w+)\}/g, '$1')
    .trim();
}

function rowsOf(node: Node, path: string, comments: Comments): KeyRow[] {
  const object = objectOf(node);
  if (object === undefined) return kindRows(node, path, comments);
  const shown = new Map<string, string>();
  const named = Object.entries(object.properties ?? {}).flatMap(([key, child]) => {
    const at = { path: path === '' ? key : `${path}.${key}`, key, required: object.required?.includes(key) };
    const rows = rowAndBelow(child, at, comments);
    const form = JSON.stringify(child);
    const twin = shown.get(form);
    if (rows.length > 1 && twin !== undefined) return [{ ...rows[0]!, description: `as \`${twin}\`` }];
    shown.set(form, key);
    return rows;
  });
  const { additionalProperties: any } = object;
  if (typeof any !== 'object' || Object.keys(any).length === 0) return named;
  const keys = object.propertyNames?.enum?.join(' \\| ');
  const key = keys === undefined ? '*NAME*' : 'KEY';
  const at = { path: path === '' ? key : `${path}.${key}`, key, required: true };
  const below = rowAndBelow(any, at, comments);
  return [
    ...named,
    ...below.map((row, i) => (i === 0 && keys !== undefined ? { ...row, description: `KEY: ${keys}` } : row)),
  ];
}

/** Keys of alternatives that their `kind` tells apart, each under its kind. */
function kindRows(node: Node, path: string, comments: Comments): KeyRow[] {
  return alternatives(node).flatMap((child) => {
    const { kind, ...properties } = child.properties ?? {};
    if (kind?.const === undefined) return [];
    return rowsOf({ ...child, properties }, `${path}(${String(kind.const)})`, comments);
  });
}

/** A key in its place. */
interface Place {
  readonly path: string;
  readonly key: string;
  readonly required: boolean | undefined;
}

function rowAndBelow(node: Node, { path, key, required }: Place, comments: Comments): KeyRow[] {
  const below = isRate(node) ? [] : rowsOf(node, path, comments);
  const listed = objectOf(node.items ?? {}) && !isRate(node.items ?? {});
  const inList = listed ? rowsOf(node.items ?? {}, `${path}[]`, comments) : [];
  const row: KeyRow = {
    path,
    type: typeOf(node),
    fallback: fallbackOf(node, required === true),
    description: node.description ?? comments.get(key) ?? '',
  };
  return [row, ...below, ...inList];
}

function fallbackOf({ default: given }: Node, required: boolean): string {
  if (given === undefined) return required ? 'required' : '';
  const text = JSON.stringify(given);
  return text === '{}' ? '' : text;
}

/** The object in `node`, or the only one among its alternatives. */
function objectOf(node: Node): Node | undefined {
  if (node.properties !== undefined || typeof node.additionalProperties === 'object') return node;
  const objects = alternatives(node).flatMap((child) => objectOf(child) ?? []);
  return objects.length === 1 ? objects[0] : undefined;
}

const RATE = ['value', 'n', 'ci95'];

function isRate(node: Node): boolean {
  if (node.properties !== undefined) return Object.keys(node.properties).join() === RATE.join();
  return alternatives(node).some(isRate);
}

function alternatives(node: Node): readonly Node[] {
  return node.anyOf ?? node.oneOf ?? [];
}

function typeOf(node: Node): string {
  if (node.const !== undefined) return `\`${JSON.stringify(node.const)}\``;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(' \\| ');
  const options = alternatives(node);
  if (options.length > 0) return [...new Set(options.map(typeOf))].join(' \\| ');
  if (isRate(node)) return 'rate';
  if (node.prefixItems !== undefined) return `[${node.prefixItems.map(typeOf).join(', ')}]`;
  if (node.items !== undefined) return `list of ${typeOf(node.items)}`;
  if (node.properties !== undefined || typeof node.additionalProperties === 'object') return 'object';
  const type = Array.isArray(node.type) ? node.type.join(' \\| ') : (node.type ?? 'any');
  return `${type === 'integer' ? 'whole number' : type}${range(node)}`;
}

function range({ minimum, maximum, exclusiveMinimum }: Node): string {
  const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `≥ ${minimum}` : '';
  const high = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `≤ ${maximum}` : '';
  const above = exclusiveMinimum === undefined ? '' : `> ${exclusiveMinimum}`;
  const said = [low, above, high].filter((part) => part !== '').join(', ');
  return said === '' ? '' : ` ${said}`;
}

/** A Markdown table; `fallback` heads its column, or the column is left out. */
export function keyTable(rows: readonly KeyRow[], fallback: string | undefined): string {
  const head =
    fallback === undefined
      ? '| key | type | meaning |\n|---|---|---|'
      : `| key | type | ${fallback} | meaning |\n|---|---|---|---|`;
  const lines = rows.map(({ path, type, fallback: given, description }) => {
    const shown = given === '' || given === 'required' ? given : `\`${given}\``;
    const cells = [
      `\`${path.replaceAll('*', '')}\``,
      type,
      ...(fallback === undefined ? [] : [shown]),
      cell(description),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [head, ...lines].join('\n');
}

export function cell(text: string): string {
  return text.replaceAll(/(?<!\\)\|/g, '\\|').replace(/\s*\n\s*/g, ' ');
}
