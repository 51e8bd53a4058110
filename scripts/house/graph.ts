/** @file Counts over imports and exports between files, and over stretches that occur twice. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isNode, isSource, type Node, nodes, readSources, root, type Source, tree } from './sources.ts';

/** One name taken from a file; `*` is all of them. */
interface Import {
  readonly from: string;
  readonly name: string;
}

/** The files of the repository that a file imports or re-exports from, name by name; types included. */
export function importsOf(source: Source): Import[] {
  return [...nodes(tree(source))].flatMap((node) => {
    const specifier = isNode(node.source) ? node.source.value : undefined;
    if (typeof specifier !== 'string') return [];
    const from = target(source.path, specifier);
    if (from === undefined) return [];
    const specifiers = (node.specifiers ?? []) as readonly Node[];
    if (specifiers.length === 0 && node.type !== 'TSImportType') return [{ from, name: '*' }];
    if (node.type === 'TSImportType') return [{ from, name: identifier(node.qualifier) }];
    return specifiers.map((one) => ({ from, name: identifier(one.imported ?? one.local) }));
  });
}

/** Relative specifiers, and the package's own name. */
function target(path: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(path), specifier);
  const own = /^crosspatch(?:\/(.*))?$/.exec(specifier);
  return own ? entryFile(own[1] === undefined ? '.' : `./${own[1]}`) : undefined;
}

function identifier(node: unknown): string {
  if (!isNode(node)) return '*';
  if (node.type === 'TSQualifiedName') return identifier(node.left);
  return typeof node.name === 'string' ? node.name : '*';
}

/** Names that a file exports, those it passes on from elsewhere included; `export * as x` is one name. */
export function exportedNames(path: string): string[] {
  const source = { path, text: readFileSync(join(root, path), 'utf8') };
  const body = tree(source).body as readonly Node[];
  return body.flatMap((node) => {
    if (node.type === 'ExportAllDeclaration') {
      if (isNode(node.exported)) return [identifier(node.exported)];
      return exportedNames(join(dirname(path), (node.source as Node).value as string));
    }
    if (node.type === 'ExportDefaultDeclaration') return ['default'];
    if (node.type !== 'ExportNamedDeclaration') return [];
    return [
      ...(node.specifiers as readonly Node[]).map((one) => identifier(one.exported)),
      ...(isNode(node.declaration) ? declared(node.declaration) : []),
    ];
  });
}

function declared(node: Node): string[] {
  if (Array.isArray(node.declarations))
    return (node.declarations as readonly Node[]).map((one) => identifier(one.id));
  return [identifier(node.id)];
}

interface PackageJson {
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
}

function packageExports(): PackageJson['exports'] {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageJson).exports;
}

/** The source file of an entry of package.json's exports. */
function entryFile(entry: string): string | undefined {
  const found = packageExports()[entry];
  if (typeof found !== 'object') return undefined;
  return found.types.replace(/^\.\/dist\//, 'src/').replace(/\.d\.ts$/, '.ts');
}

/** The names of every entry of package.json's exports. */
export function publicNames(): { readonly entry: string; readonly names: readonly string[] }[] {
  return Object.keys(packageExports()).flatMap((entry) => {
    const file = entryFile(entry);
    return file === undefined ? [] : [{ entry, names: [...new Set(exportedNames(file))] }];
  });
}

function layers(): string[] {
  return readdirSync(join(root, 'src')).filter((name) =>
    existsSync(join(root, 'src', name, 'tsconfig.json')),
  );
}

/** Names of a layer's index.ts that no file outside the layer imports. */
export function exportsWithoutUser(sources: readonly Source[]): string[] {
  const imports = sources
    .flatMap((s) => importsOf(s).map((i) => ({ ...i, by: s.path })))
    .filter((i) => i.by !== 'src/index.ts' || i.name !== '*'); // a whole namespace passed on is not a use
  return layers().flatMap((layer) => {
    const index = `src/${layer}/index.ts`;
    if (!existsSync(join(root, index))) return [];
    const used = new Set(
      imports.filter((i) => i.from === index && !i.by.startsWith(`src/${layer}/`)).map((i) => i.name),
    );
    if (used.has('*')) return [];
    return exportedNames(index)
      .filter((name) => !used.has(name))
      .map((name) => `${layer} ${name}`);
  });
}

/** Groups of files that reach each other by imports: the strongly connected components (Tarjan) of two files or more. */
export function circles(sources: readonly Source[]): string[] {
  const graph = new Map(sources.map((s) => [s.path, new Set(importsOf(s).map((i) => i.from))]));
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[] = [];
  const visit = (path: string): void => {
    index.set(path, index.size);
    low.set(path, index.get(path) ?? 0);
    stack.push(path);
    for (const next of graph.get(path) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) visit(next);
      else if (!stack.includes(next)) continue;
      low.set(path, Math.min(low.get(path) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(path) !== index.get(path)) return;
    const group = stack.splice(stack.indexOf(path));
    if (group.length > 1) found.push(group.join(' ↔ '));
  };
  for (const path of graph.keys()) if (!index.has(path)) visit(path);
  return found;
}

/** References of a layer's tsconfig.json that no file of the layer needs. */
export function unusedReferences(): string[] {
  return layers().flatMap((layer) => {
    const { references = [] } = JSON.parse(
      readFileSync(join(root, 'src', layer, 'tsconfig.json'), 'utf8'),
    ) as { references?: readonly { readonly path: string }[] };
    const used = new Set(
      readSources((path) => path.startsWith(`src/${layer}/`) && isSource(path))
        .flatMap(importsOf)
        .map((i) => i.from.split('/')[1]),
    );
    return references
      .map((reference) => reference.path.replace('../', ''))
      .filter((other) => !used.has(other))
      .map((other) => `${layer} ${other}`);
  });
}

const stretch = 6;

/** Pairs of equal stretches of six or more lines; imports, empty lines and indentation do not count. */
export function duplicates(sources: readonly Source[]): string[] {
  const lines = sources.flatMap((source) => [...codeLines(source), { path: source.path, line: 0, text: '' }]);
  const seen = new Map<string, number[]>();
  const found: string[] = [];
  for (let at = 0; at + stretch <= lines.length; at++) {
    const window = lines.slice(at, at + stretch);
    if (window.some(({ text }) => text === '')) continue;
    const key = window.map(({ text }) => text).join('\n');
    const earlier = seen.get(key) ?? [];
    for (const other of earlier) {
      // A longer stretch is one pair: only its first window counts.
      const before = lines[at - 1]?.text;
      if (before !== '' && before === lines[other - 1]?.text) continue;
      found.push(`${position(lines[other])} = ${position(lines[at])}`);
    }
    seen.set(key, [...earlier, at]);
  }
  return found;
}

interface Line {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

const position = (line: Line | undefined): string => `${line?.path}:${line?.line}`;

function codeLines(source: Source): Line[] {
  const imports = (tree(source).body as readonly Node[]).filter((node) => isNode(node.source));
  let at = 0;
  return source.text.split('\n').flatMap((raw, i) => {
    const start = at;
    at += raw.length + 1;
    const text = raw.trim();
    const left = text === '' || imports.some((node) => node.start <= start + 1 && start < node.end);
    return left ? [] : [{ path: source.path, line: i + 1, text }];
  });
}
