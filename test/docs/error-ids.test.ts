/**
 * @file Error ids: every id listed in `ERRORS` is given somewhere in the source, and every id given is listed. (A throw without one has the
 * id of its class.)
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { CrosspatchError, ERRORS, errorId, InputError } from '../../src/base/index.ts';

const root = join(import.meta.dirname, '../../src');
const TABLE = 'base/error-ids.ts';

const sources = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /(?<!\.test|\.helper|\.fixture)\.tsx?$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))
  .filter(({ path }) => path !== TABLE);

/** Where ids are given: beside a message, as the default of a class, and to what was not raised on purpose. */
const given = new Map(
  sources.flatMap(({ path, text }) => [
    ...throwSites(text).flatMap((site) => found(site, /\bid: '([a-z-]+)'/g, path)),
    ...found(text, /\.id (?:\?\?|:) '([a-z-]+)'/g, path),
    ...found(text, /'([a-z-]+)' satisfies ErrorId/g, path),
  ]),
);

test('every id given to an error is listed', () => {
  expect(given.size).toBeGreaterThan(40);
  expect([...given].filter(([id]) => !Object.hasOwn(ERRORS, id))).toEqual([]);
});

test('every id listed is given somewhere', () => {
  expect(Object.keys(ERRORS).filter((id) => !given.has(id))).toEqual([]);
});

test('the classes have the ids they say', () => {
  expect(errorId(new InputError('x'))).toBe('input-invalid');
  expect(errorId(new CrosspatchError('x'))).toBe('internal');
  expect(errorId(new InputError('x', { id: 'hook-unknown' }))).toBe('hook-unknown');
  expect(errorId(new TypeError('x'))).toBe('unexpected');
});

function found(text: string, pattern: RegExp, path: string): [string, string][] {
  return [...text.matchAll(pattern)].map(([, id = '']) => [id, path]);
}

/** The text of every `new …Error(…)`, to the end of the statement. */
function throwSites(text: string): string[] {
  return [...text.matchAll(/\bnew \w*Error\(|\bsuper\(/g)].map(({ index }) => {
    const end = text.slice(index).search(/;\n/);
    return text.slice(index, end < 0 ? undefined : index + end);
  });
}
