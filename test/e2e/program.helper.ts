/**
 * @file How these tests start the program: as it is built, where CI has just built it (a process is up in a fraction of the time, and there are
 * hundreds), else from source.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const path = (relative: string): string => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const BUILT = path('dist/cli/main.js');
const LOADER = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Arguments of `node` before the command's own; from source, for tests that bring stages of their own in TypeScript. */
export const FROM_SOURCE: readonly string[] = ['--import', LOADER, path('src/cli/main.ts')];

/** Arguments of `node` before the command's own. */
export const PROGRAM: readonly string[] =
  process.env.CI !== undefined && existsSync(BUILT) ? [BUILT] : FROM_SOURCE;

/** The same as words of a shell. */
export const PROGRAM_LINE = [process.execPath, ...PROGRAM].map((word) => `'${word}'`).join(' ');
