/** @file The source files of the repository, parsed once. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'vite';

export const root = join(import.meta.dirname, '../..');

/** A node of the ESTree that the parser returns; TypeScript nodes included. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

export interface Source {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

const isTest = (path: string): boolean =>
  /\.(?:test|helper|fixture)\.tsx?$|\/testing(?:-samples)?\.ts$/.test(path);

/** TypeScript that ships or that people run; no tests, and nothing that only tests use. */
export const isSource = (path: string): boolean => /\.tsx?$/.test(path) && !isTest(path);

export function readSources(wanted: (path: string) => boolean): Source[] {
  return ['src', 'scripts', 'bench', 'examples']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (path) => `${folder}/${path}`,
      ),
    )
    .filter(wanted)
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

const parsed = new Map<string, Node>();

/** The syntax tree of a file. */
export function tree({ path, text }: Source): Node {
  const known = parsed.get(path);
  if (known !== undefined) return known;
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const node = program as unknown as Node;
  parsed.set(path, node);
  return node;
}

/** Every node below `node`, itself first. */
export function* nodes(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node))
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) yield* nodes(child);
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** `path:line` of a node. */
export function place({ path, text }: Source, node: Node): string {
  return `${path}:${text.slice(0, node.start).split('\n').length}`;
}
