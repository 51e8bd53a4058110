/** @file A stage by its name and the module that exports it: how another process gets at what cannot be sent. */
import { CrosspatchError } from '../base/index.ts';
import type { AnyStage } from './stage.ts';

/** The stage called `name` that `module` (a URL) exports. */
export async function findStage({
  module,
  name,
}: {
  readonly module: string;
  readonly name: string;
}): Promise<AnyStage> {
  const exports = Object.values((await import(module)) as Record<string, unknown>);
  const found = exports.find(
    (value) =>
      value !== null &&
      typeof value === 'object' &&
      (value as { name?: unknown }).name === name &&
      typeof (value as { run?: unknown }).run === 'function',
  );
  if (!found)
    throw new CrosspatchError(`${name}: ${module} exports nothing of that name that can run`, {
      id: 'internal',
    });
  return found as AnyStage;
}
