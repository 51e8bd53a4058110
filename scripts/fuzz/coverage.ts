/** @file Branches that ran, by V8's own block coverage: per source file, functions and blocks with a count above zero. */
import { Session } from 'node:inspector/promises';

export interface Branches {
  readonly reached: number;
  readonly known: number;
}

/** Start counting. Call before the code under test is loaded: blocks of functions that were compiled before are not counted. */
export async function startCoverage(): Promise<{ stop(sources: RegExp): Promise<Branches> }> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return {
    async stop(sources) {
      const { result } = await session.post('Profiler.takePreciseCoverage');
      session.disconnect();
      const ranges = result
        .filter(({ url }) => sources.test(url))
        .flatMap(({ functions }) => functions.flatMap((f) => f.ranges));
      return { reached: ranges.filter((r) => r.count > 0).length, known: ranges.length };
    },
  };
}
