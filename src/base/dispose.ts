/** @file Ownership: whoever opens a native resource disposes of it. */

/** Something holding native memory or handles. Use with `await using` or call `[Symbol.asyncDispose]()`. */
export interface Owned {
  [Symbol.asyncDispose](): Promise<void>;
}

/** Dispose of many, in reverse order of opening; the first error is thrown after all were tried. */
export async function disposeAll(resources: Iterable<Owned>): Promise<void> {
  let first: unknown;
  for (const resource of [...resources].reverse()) {
    try {
      await resource[Symbol.asyncDispose]();
    } catch (error) {
      first ??= error;
    }
  }
  if (first !== undefined) throw first;
}
