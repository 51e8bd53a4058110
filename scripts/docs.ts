/** @file `npm run docs:pages`: write the generated pages of docs/reference. The API reference is apart: `npm run docs:api`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatedPages } from './docs/pages.ts';

for (const [path, text] of await generatedPages()) {
  await writeFile(join(import.meta.dirname, '..', path), text);
  console.log(path);
}
