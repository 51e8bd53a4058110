/** @file What a person wrote for a model: a path, or `org/name[@rev]` on the hub. */
import { existsSync } from 'node:fs';
import { InputError } from '../../base/index.ts';

/** A model on the hub. */
export interface HubReference {
  /** `org/name`. */
  readonly id: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

const NAME = '[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?';
const REFERENCE = new RegExp(`^(${NAME}/${NAME})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,126}))?$`);

/** Parse `org/name[@rev]`; the revision defaults to `main`. Throws `InputError`. */
export function parseHubReference(text: string): HubReference {
  const [, id, revision = 'main'] = REFERENCE.exec(text) ?? [];
  if (id === undefined || id.includes('--') || text.includes('..'))
    throw new InputError(`hub: wanted org/name or org/name@revision, got "${text}"; check the name`, {
      id: 'model-not-found',
    });
  return { id, revision };
}

/**
 * Whether `text` means a place on disk: anything that exists, begins like a path, names a file type, or has not
 * exactly one slash. What is a path is never looked for on the network.
 */
export function isPath(text: string): boolean {
  if (/^(\.{0,2}[/\\]|\.{1,2}$|~|[A-Za-z]:[/\\])/.test(text) || /\.(gguf|safetensors|json)$/i.test(text))
    return true;
  return existsSync(text) || !REFERENCE.test(text);
}
