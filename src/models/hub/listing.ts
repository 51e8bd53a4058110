/** @file What a commit of the hub holds, and which of its files a model needs. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CrosspatchError, InputError, parseJson, showValue } from '../../base/index.ts';
import { type HubConnection, readJson, request, withRetries } from './http.ts';
import type { HubReference } from './reference.ts';

/** A commit and what is in it. */
export interface Listing {
  readonly sha: string;
  readonly files: readonly string[];
}

/**
 * What is needed to run a model, of the files at the top of a repository: configs, tokenizer and safetensors (not
 * the `consolidated` copy of some repositories); without safetensors its only GGUF.
 */
export function wantedFiles(files: readonly string[]): string[] {
  const top = files.filter((f) => !f.includes('/') && !/^consolidated.*\.safetensors$/.test(f));
  const small = top.filter((f) => /\.(json|jinja|model)$|^(merges|vocab)\.txt$/.test(f));
  const safetensors = top.filter((f) => f.endsWith('.safetensors'));
  const single = safetensors.filter((f) => f === 'model.safetensors');
  const gguf = top.filter((f) => f.endsWith('.gguf'));
  const weights =
    single.length > 0 ? single : safetensors.length > 0 ? safetensors : gguf.length === 1 ? gguf : [];
  return [...small, ...weights];
}

/**
 * The files of a commit that `filter` takes, or {@link wantedFiles}.
 *
 * @throws InputError where no weights are among the latter
 */
export function chosenFiles(
  listing: Listing,
  filter: ((name: string) => boolean) | undefined,
  { id }: HubReference,
): string[] {
  const names = filter === undefined ? wantedFiles(listing.files) : listing.files.filter(filter);
  if (names.length === 0 || (filter === undefined && !names.some((n) => /\.(safetensors|gguf)$/.test(n)))) {
    const weights = listing.files.filter((f) => /\.(safetensors|gguf|bin)$/.test(f));
    throw new InputError(
      `hub: ${id}: wanted safetensors or one GGUF, got ${weights.length === 0 ? 'no weights' : weights.slice(0, 12).join(', ')}; name the files to fetch, or take another model`,
      { id: 'model-unsupported' },
    );
  }
  return names;
}

/** Ask the hub for the commit of a revision and its files. */
export async function listRevision(
  connection: HubConnection,
  { id, revision }: HubReference,
): Promise<Listing> {
  const url = `${connection.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
  const answer = await withRetries(connection, async () =>
    readJson(connection, await request(connection, url), url),
  );
  return parseListing(answer, url);
}

/** The hub's answer `{sha, siblings: [{rfilename}]}`; names that would leave the folder are refused. */
function parseListing(answer: unknown, where: string): Listing {
  const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== 'string' || !/^[0-9a-f]{40,64}$/.test(sha) || !Array.isArray(siblings))
    throw new CrosspatchError(
      `${where}: wanted a commit and its files, got another answer; check the endpoint`,
      { id: 'hub-answer' },
    );
  const files = siblings.map((s: unknown) => (s as { rfilename?: unknown } | null)?.rfilename);
  return { sha, files: safeNames(files, where) };
}

function safeNames(files: readonly unknown[], where: string): string[] {
  return files.map((name) => {
    if (typeof name !== 'string' || !name.split('/').every((part) => /^(?!\.{1,2}$)[^\\\0:]+$/.test(part)))
      throw new CrosspatchError(
        `${where}: wanted plain file names, got ${showValue(name)}; check the endpoint`,
        { id: 'hub-answer' },
      );
    return name;
  });
}

/** The files of a commit as they were listed; undefined where that was not kept, or is not legible. */
export async function storedListing(home: string, sha: string, at: string): Promise<string[] | undefined> {
  try {
    const path = join(home, 'listings', `${sha}.json`);
    const { files } = parseJson(await readFile(path), path) as { files?: unknown };
    return Array.isArray(files) ? safeNames(files, at) : undefined;
  } catch {
    return undefined;
  }
}
