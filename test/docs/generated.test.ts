/** @file The committed pages of docs/reference are what `npm run docs` makes of the program as it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { generatedPages } from '../../scripts/docs/pages.ts';

const root = join(import.meta.dirname, '../..');
const pages = await generatedPages();

test.each([...pages.keys()])('%s is up to date (else: npm run docs:pages)', (path) => {
  expect(readFileSync(join(root, path), 'utf8')).toBe(pages.get(path));
});
