/** @file README.md beside this file: every case names tests that exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const table = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
const rows = table
  .split('\n')
  .filter((line) => /^\| (F\d|hostile)/.test(line))
  .map((line) => {
    const [, id = '', ...rest] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const [, file = '', name = ''] = /^`(\S+) › (.+)`$/.exec(rest.at(-2) ?? '') ?? [];
    return { id, file, name: name.replaceAll('\\|', '|') };
  });

it.each(rows)('$id: $file › $name', ({ file, name }) => {
  expect(existsSync(join(root, file)), file).toBe(true);
  expect(readFileSync(join(root, file), 'utf8')).toContain(name);
});

it('names every case and every hostile file', () => {
  const cases = [
    ...'01 02 03 05 06 08 09 11 13 14 15 16 17 18 19 20 21 22 23 24 26 27 28 30 31 32 33 36 37 39 40'.split(
      ' ',
    ),
  ].map((number) => `F${number}`);
  expect([...new Set(rows.map(({ id }) => id).filter((id) => id.startsWith('F')))]).toEqual(cases);
  const named = table.replaceAll('\\', '');
  for (const file of readdirSync(join(import.meta.dirname, 'hostile')))
    expect(named, file).toContain(file.startsWith('recipe-') ? 'recipe-*.yaml' : file);
});
