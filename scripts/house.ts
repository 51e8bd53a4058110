/**
 * @file What the house looks like, counted; nothing is enforced. Run: npm run house [-- --list NAME].
 * Source files are src, scripts, bench and examples without tests, helpers and fixtures, read with the parser that Vite ships.
 */
import { parseArgs } from 'node:util';
import { circles, duplicates, exportsWithoutUser, publicNames, unusedReferences } from './house/graph.ts';
import { isSource, readSources, type Source } from './house/sources.ts';
import { conditionalSpreads, longFunctions, nonNull } from './house/syntax.ts';

interface Count {
  readonly name: string;
  readonly wanted: string;
  /** How it is counted. */
  readonly how: string;
  readonly found: readonly string[];
}

const { values } = parseArgs({ options: { list: { type: 'string' } } });
const sources = readSources(isSource);
const inSrc = sources.filter((s) => s.path.startsWith('src/'));
const names = publicNames();

const counts: readonly Count[] = [
  {
    name: 'non-null',
    wanted: '≤ 20',
    how: '`x!` in src/evaluate',
    found: inSrc.filter((s) => s.path.startsWith('src/evaluate/')).flatMap(nonNull),
  },
  {
    name: 'parameters',
    wanted: '≤ 25',
    how: 'functions with a body and five or more positional parameters',
    found: sources.flatMap(longFunctions),
  },
  {
    name: 'long-files',
    wanted: '≤ 6',
    how: 'files of more than 300 lines, style sheets included',
    found: readSources((path) => isSource(path) || path.endsWith('.css')).flatMap(tooLong),
  },
  {
    name: 'public',
    wanted: '≤ 120',
    how: "different names reachable through package.json's exports",
    found: [...new Set(names.flatMap(({ entry, names: all }) => all.map((name) => `${entry} ${name}`)))],
  },
  {
    name: 'public-root',
    wanted: '≤ 60',
    how: 'of them from the root',
    found: names.filter(({ entry }) => entry === '.').flatMap(({ names: all }) => all),
  },
  {
    name: 'layer-exports',
    wanted: '≤ 40',
    how: "names of a layer's index.ts that nothing outside the layer imports (the package root and scripts are users, tests are not)",
    found: exportsWithoutUser(sources),
  },
  {
    name: 'circles',
    wanted: '0',
    how: 'groups of files that import each other, `import type` included',
    found: circles(inSrc),
  },
  {
    name: 'references',
    wanted: '0',
    how: 'references of a tsconfig.json without an import that needs them',
    found: unusedReferences(),
  },
  {
    name: 'duplicates',
    wanted: '≤ 8',
    how: 'pairs of equal stretches of six or more lines (indentation, empty lines and imports left out)',
    found: duplicates(sources),
  },
  {
    name: 'spreads',
    wanted: '≤ 40',
    how: '`...(c ? { … } : {})` and `...(c && { … })` in object literals',
    found: sources.flatMap(conditionalSpreads),
  },
];

const listed = counts.find(({ name }) => name === values.list);
if (values.list !== undefined && listed === undefined)
  throw new Error(`--list: wanted one of ${counts.map((c) => c.name).join(', ')}, got ${values.list}`);
if (listed !== undefined) for (const line of listed.found) console.log(line);
else
  for (const { name, wanted, how, found } of counts)
    console.log(`${name.padEnd(14)} ${String(found.length).padStart(4)}  wanted ${wanted.padEnd(6)} ${how}`);

function tooLong({ path, text }: Source): string[] {
  const lines = text.split('\n').length - 1;
  return lines > 300 ? [`${path} ${lines}`] : [];
}
