/**
 * @file The layers of docs/decisions/0001: data goes one way. A layer imports only layers before it in this list, through their
 * index.ts; leaf layers import nothing; every source file belongs to a layer; files do not import each other in circles.
 * (The compiler enforces the references in each layer's tsconfig.json; this holds those references to the list.)
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

/** In the order in which data flows. */
const layers = [
  'base',
  'contracts',
  'stats',
  'engine',
  'models',
  'train',
  'interventions',
  'behaviours',
  'activations',
  'maps',
  'evaluate',
  'pipeline',
  'figures',
  'report',
  'api',
  'server',
  'web',
  'cli',
];

/** Layers anyone may use and that use no other (contracts may use base: errors). */
const leaves: Readonly<Record<string, readonly string[]>> = {
  base: [],
  contracts: ['base'],
  stats: ['base'],
};

/** What package.json exports: `crosspatch` and `crosspatch/engine`. */
const entries = new Set(['index.ts', 'engine.ts']);

const root = join(import.meta.dirname, '../src');

interface SourceFile {
  readonly path: string;
  readonly layer: string;
  /** Paths of the files of this repository that it imports. */
  readonly imports: readonly string[];
}

const files: readonly SourceFile[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path) && !/\.(?:test|helper|fixture)\.tsx?$/.test(path))
  .map((path) => {
    return { path, layer: layerOf(path), imports: importsOf(path) };
  });

function importsOf(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(
    /(?:^|[;}\s])(?:import|export)\s*(?:type\b)?(?:[^'";]*?\sfrom\s*)?\(?\s*'(\.[^']*)'/g,
  );
  return [...found].map(([, specifier]) => relative(root, resolve(root, dirname(path), specifier)));
}

function layerOf(path: string): string {
  return path.split('/')[0];
}

test('every source file belongs to a layer, or is one of the package’s two entries', () => {
  const strays = files.filter((f) => !entries.has(f.path) && !layers.includes(f.layer));
  expect(strays.map((f) => f.path)).toEqual([]);
  expect(files.length).toBeGreaterThan(150); // the list was read
});

test('every import names a file that is there', () => {
  const missing = files.flatMap((f) =>
    f.imports.filter((i) => !existsSync(join(root, i))).map((i) => `${f.path} → ${i}`),
  );
  expect(missing).toEqual([]);
});

test('a layer imports only layers before it', () => {
  const upward = files
    .filter((f) => !entries.has(f.path))
    .flatMap((f) =>
      f.imports
        .filter((i) => layers.indexOf(layerOf(i)) > layers.indexOf(f.layer))
        .map((i) => `${f.path} → ${i}`),
    );
  expect(upward).toEqual([]);
});

test('another layer is imported through its index.ts', () => {
  const deep = files
    .filter((f) => !entries.has(f.path))
    .flatMap((f) =>
      f.imports
        .filter((i) => layerOf(i) !== f.layer && !/^[a-z]+\/index\.ts$/.test(i))
        .map((i) => `${f.path} → ${i}`),
    );
  expect(deep).toEqual([]);
});

test.each(Object.entries(leaves))('%s is a leaf', (leaf, allowed) => {
  const foreign = files
    .filter((f) => f.layer === leaf)
    .flatMap((f) => f.imports.map(layerOf))
    .filter((layer) => layer !== leaf && !allowed.includes(layer));
  expect(foreign).toEqual([]);
});

test('the server computes nothing of its own: no engine, interventions, activations or maps', () => {
  const science = new Set(['engine', 'interventions', 'activations', 'maps']);
  const found = files
    .filter((f) => f.layer === 'server')
    .flatMap((f) => f.imports.filter((i) => science.has(layerOf(i))).map((i) => `${f.path} → ${i}`));
  expect(found).toEqual([]);
});

describe('files do not import each other in circles, types included', () => {
  test.each(layers.filter((layer) => existsSync(join(root, layer))))('%s', (layer) => {
    const graph = new Map(files.filter((f) => f.layer === layer).map((f) => [f.path, f.imports]));
    expect(circles(graph)).toEqual([]);
  });
});

/** A path around every circle a depth-first walk meets. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      found.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  return found;
}

describe('tsconfig.json', () => {
  const referenced = (layer: string): string[] => {
    const { references = [] } = JSON.parse(readFileSync(join(root, layer, 'tsconfig.json'), 'utf8')) as {
      references?: { path: string }[];
    };
    return references.map((r) => r.path.replace('../', ''));
  };
  const configured = layers.filter((layer) => existsSync(join(root, layer, 'tsconfig.json')));

  test.each(configured)('%s refers only to layers before it', (layer) => {
    const later = referenced(layer).filter((other) => layers.indexOf(other) >= layers.indexOf(layer));
    expect(later).toEqual([]);
  });

  test.each(configured)('%s refers to nothing that it does not import', (layer) => {
    const used = new Set(files.filter((f) => f.layer === layer).flatMap((f) => f.imports.map(layerOf)));
    expect(referenced(layer).filter((other) => !used.has(other))).toEqual([]);
  });

  test('is in every layer that has TypeScript for Node', () => {
    const present = [...new Set(files.map((f) => f.layer))].filter((l) => !entries.has(l));
    expect(present.filter((layer) => !configured.includes(layer))).toEqual([]);
  });
});

describe('the checks can fail', () => {
  test('a circle is found', () => {
    expect(
      circles(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['a']],
        ]),
      ),
    ).toEqual(['a → b → c → a']);
  });

  test('imports of all spellings are read', () => {
    const seen = importsOf('models/language-model.ts');
    expect(seen).toContain('base/index.ts');
    expect(seen).toContain('models/config.ts'); // import type
    expect(importsOf('models/index.ts')).toContain('models/hub/index.ts'); // export … from
  });
});

test('every package of the lock file has an integrity', () => {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
    packages: Record<string, { integrity?: string; link?: boolean }>;
  };
  const packages = Object.entries(lock.packages).filter(([path, entry]) => path !== '' && !entry.link);
  expect(packages.length).toBeGreaterThan(100);
  expect(packages.filter(([, entry]) => !entry.integrity).map(([path]) => path)).toEqual([]);
});
