/**
 * @file Every page, anchor and source file that is cited exists: in comments and strings of the source, in the schema of recipes, in links
 * between pages, and in the heads of pages (`related`, `sources`).
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const SOURCES = ['src', 'test', 'scripts', 'examples', 'bench', 'recipes'];
const SOURCE_FILE = /\.(ts|tsx|css|yaml|py|json)$/;

const pages = [...filesUnder('docs'), ...readdirSync(root)].filter((path) => path.endsWith('.md'));

describe('citations', () => {
  test('source cites pages and anchors that exist', () => {
    const cited = SOURCES.flatMap((folder) => filesUnder(folder))
      .filter((path) => SOURCE_FILE.test(path) && path !== relative(root, import.meta.filename))
      .filter((path) => statSync(join(root, path)).size < 1_000_000)
      .flatMap((path) =>
        [...read(path).matchAll(/\b(docs\/[\w./-]+\.md|[A-Z]{5,}\.md)(#[\w-]+)?/g)].map(
          ([, page = '', anchor = '']) => ({ path, page, anchor }),
        ),
      );
    expect(cited.length).toBeGreaterThan(60);
    expect(cited.filter(({ page, anchor }) => !exists(page, anchor))).toEqual([]);
  });

  test.each(pages)('%s', (path) => {
    const text = read(path);
    const links = [...text.matchAll(/\]\(([^)\s#]*)(#[^)\s]*)?\)/g)]
      .filter(([, target = '']) => !/^[a-z]+:/.test(target))
      .map(([, target = '', anchor = '']) => ({
        target: target === '' ? path : join(dirname(path), target),
        anchor,
      }));
    expect(links.filter(({ target, anchor }) => !exists(target, anchor))).toEqual([]);
    const head = /^---\n([\s\S]*?)\n---\n/.exec(text)?.[1] ?? '';
    const listed = (key: string) =>
      new RegExp(`^${key}: \\[(.*)\\]$`, 'm').exec(head)?.[1]?.split(', ') ?? [];
    expect(listed('related').filter((target) => !exists(join(dirname(path), target), ''))).toEqual([]);
    expect(listed('sources').filter((target) => !existsSync(join(root, target)))).toEqual([]);
  });
});

function exists(path: string, anchor: string): boolean {
  if (!existsSync(join(root, path))) return false;
  return anchor === '' || !path.endsWith('.md') || anchors(path).has(anchor.slice(1));
}

/** Anchors as GitHub makes them of headings, and `<a id>` of pages that name their own. */
function anchors(path: string): Set<string> {
  const text = read(path).replace(/^```[\s\S]*?^```/gm, '');
  const headings = [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => slug(heading));
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)]);
}

function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}
