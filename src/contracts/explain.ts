/**
 * @file Complaints about user input in words: where, what was wanted, what came, and the nearest valid name. One place for the
 * recipe, the intervention document and the server, so that all of them say the same.
 */
import { z } from 'zod';
import { showText, showValue } from '../base/index.ts';

/** One thing wrong with a document. `path` leads to the value, or to the unknown key itself. */
export interface Complaint {
  readonly path: readonly (string | number)[];
  /** Starts with the dotted path; one line; no file name. */
  readonly message: string;
}

/** The part of JSON Schema that zod emits and that is read here. */
export interface JsonSchemaNode {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchemaNode>>;
  readonly additionalProperties?: boolean | JsonSchemaNode;
  readonly items?: JsonSchemaNode;
  readonly anyOf?: readonly JsonSchemaNode[];
  readonly oneOf?: readonly JsonSchemaNode[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
}

const inputSchemas = new WeakMap<z.ZodType, JsonSchemaNode>();

/** JSON Schema (draft 2020-12) of what a user may write: defaults make a key optional. */
export function inputSchema(schema: z.ZodType): JsonSchemaNode {
  const known = inputSchemas.get(schema);
  if (known) return known;
  const made = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' });
  inputSchemas.set(schema, made as JsonSchemaNode);
  return made as JsonSchemaNode;
}

/** Complaints that are put into words; the rest is counted. */
const MOST = 20;

/** The first complaints of a failed parse of `input`, in the order of the document's schema, and how many there are in all. */
export function complaints(
  schema: z.ZodType,
  error: z.ZodError,
  input: unknown,
): { shown: Complaint[]; total: number } {
  const root = inputSchema(schema);
  const shown: Complaint[] = [];
  let total = 0;
  for (const issue of error.issues) {
    total += issue.code === 'unrecognized_keys' ? issue.keys.length : 1;
    if (shown.length < MOST) shown.push(...explain(issue, root, input, []).slice(0, MOST - shown.length));
  }
  return { shown, total: Math.max(total, shown.length) };
}

function explain(
  issue: z.core.$ZodIssue,
  root: JsonSchemaNode,
  input: unknown,
  prefix: readonly (string | number)[],
): Complaint[] {
  const path = [...prefix, ...issue.path.map((p) => (typeof p === 'symbol' ? String(p) : p))];
  const value = valueAt(input, path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, MOST)
      .map((key) => ({ path: [...path, key], message: unknownKey(root, path, key, value) }));
  }
  if (issue.code === 'invalid_union') {
    const branch = closestBranch(issue.errors, value);
    if (branch) return branch.flatMap((inner) => explain(inner, root, input, path));
    const allowed = allowedValues(root, path);
    if (allowed.length > 0) return [{ path, message: wrongValue(path, allowed, value) }];
    return [{ path, message: `${dotted(path)}: does not fit any of the forms allowed here${got(value)}` }];
  }
  if (issue.code === 'invalid_value') {
    return [{ path, message: wrongValue(path, allowedValues(root, path, issue.values), value) }];
  }
  if (issue.code === 'invalid_type' && value === undefined) {
    return [{ path, message: `${dotted(path)}: missing; wanted ${article(issue.expected)}` }];
  }
  const words = issue.message.replace(/^(Invalid input|Too small|Too big|Invalid string): /, '');
  return [{ path, message: `${dotted(path)}: ${words.replace(/\s*\n\s*/g, ' ')}${got(value)}` }];
}

/** Of a union's branches, the one that got furthest into the value; none when all failed at its door. */
function closestBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
  value: unknown,
): readonly z.core.$ZodIssue[] | undefined {
  const depth = (issues: readonly z.core.$ZodIssue[]) =>
    Math.max(0, ...issues.map((i) => i.path.length + (i.code === 'unrecognized_keys' ? 1 : 0)));
  const inside = branches.filter((issues) => depth(issues) > 0);
  if (inside.length > 0) return inside.toSorted((a, b) => a.length - b.length || depth(b) - depth(a))[0];
  if (value === undefined) return branches[0];
  return branches.find((issues) =>
    issues.every((i) => i.code !== 'invalid_type' && i.code !== 'invalid_value'),
  );
}

function unknownKey(
  root: JsonSchemaNode,
  path: readonly (string | number)[],
  key: string,
  parent: unknown,
): string {
  const keys = keysAt(root, path, parent);
  const near = nearest(key, keys);
  const where = path.length === 0 ? '' : ` in ${dotted(path)}`;
  const hint = near ? `did you mean "${near}"?` : `known keys: ${keys.join(', ')}`;
  return `unknown key "${showText(key)}"${where}; ${hint}`;
}

function wrongValue(path: readonly (string | number)[], allowed: readonly unknown[], value: unknown): string {
  const near = typeof value === 'string' ? nearest(value, allowed.map(String)) : undefined;
  const hint = near ? `; did you mean "${near}"?` : '';
  const wanted = allowed.map((a) => (typeof a === 'string' ? a : JSON.stringify(a))).join(' | ');
  return `${dotted(path)}: wanted ${wanted}${got(value)}${hint}`;
}

/** Keys allowed in the object at `path`; where branches differ, those of the branches whose constants fit `value`. */
export function keysAt(root: JsonSchemaNode, path: readonly (string | number)[], value?: unknown): string[] {
  const objects = schemasAt(root, path).filter((node) => node.properties);
  const fitting = objects.filter((node) => constantsFit(node, value));
  const keys = (fitting.length > 0 ? fitting : objects).flatMap((node) => Object.keys(node.properties ?? {}));
  return [...new Set(keys)];
}

function constantsFit(node: JsonSchemaNode, value: unknown): boolean {
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(node.properties ?? {}).every(
    ([key, sub]) => sub.const === undefined || sub.const === (value as Record<string, unknown>)[key],
  );
}

function allowedValues(
  root: JsonSchemaNode,
  path: readonly (string | number)[],
  fallback: readonly unknown[] = [],
): unknown[] {
  const nodes = schemasAt(root, path);
  const found = nodes.flatMap((n) => (n.const !== undefined ? [n.const] : (n.enum ?? [])));
  return [...new Set(found.length > 0 ? found : fallback)];
}

/** Every schema that may describe the value at `path`, unions taken apart. Empty when the path leads nowhere. */
export function schemasAt(root: JsonSchemaNode, path: readonly (string | number)[]): JsonSchemaNode[] {
  let nodes = alternatives(root);
  for (const step of path) {
    nodes = nodes.flatMap((node) => alternatives(child(node, step)));
  }
  return nodes;
}

function child(node: JsonSchemaNode, step: string | number): JsonSchemaNode | undefined {
  if (typeof step === 'number' || /^\d+$/.test(step)) if (node.items) return node.items;
  if (node.properties && Object.hasOwn(node.properties, step)) return node.properties[step];
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
}

function alternatives(node: JsonSchemaNode | undefined): JsonSchemaNode[] {
  if (!node) return [];
  const branches = node.anyOf ?? node.oneOf;
  return branches ? branches.flatMap(alternatives) : [node];
}

/**
 * The candidate nearest to `word` (Damerau-Levenshtein distance, case and `-`/`_` aside), or undefined when none is near
 * enough: at most a third of the longer word, or the one a prefix of the other.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = (s: string) => s.toLowerCase().replace(/[-_\s]/g, '');
  let best: { name: string; distance: number } | undefined;
  for (const name of candidates) {
    const [a, b] = [plain(word), plain(name)];
    const prefix = Math.min(a.length, b.length) >= 3 && (a.startsWith(b) || b.startsWith(a));
    const most = Math.max(1, Math.floor(Math.max(a.length, b.length) / 3));
    if (!prefix && Math.abs(a.length - b.length) > most) continue; // as many edits at least
    const distance = prefix ? Math.min(1, Math.abs(a.length - b.length)) : editDistance(a, b);
    if (distance <= most && (!best || distance < best.distance)) best = { name, distance };
  }
  return best?.name;
}

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours each cost 1. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(substitution, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/** `maps[0].kind` from `['maps', 0, 'kind']`; `document` for the root. */
export function dotted(path: readonly (string | number)[]): string {
  if (path.length === 0) return 'document';
  return path.map((p, i) => (typeof p === 'number' ? `[${p}]` : i === 0 ? p : `.${p}`)).join('');
}

function valueAt(input: unknown, path: readonly (string | number)[]): unknown {
  let value = input;
  for (const step of path) {
    if (value === null || typeof value !== 'object') return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

function got(value: unknown): string {
  if (value === undefined) return '';
  return `, got ${showValue(value, 60)}`;
}

function article(noun: string): string {
  return /^[aeio]/.test(noun) ? `an ${noun}` : `a ${noun}`;
}
