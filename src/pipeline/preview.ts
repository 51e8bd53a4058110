/** @file What a run will write, as far as its finished stages go: figures to look at while it goes on. */
import type { Plan } from './plan.ts';
import type { FinishedNode } from './runner.ts';
import type { InputsSoFar, StageInput } from './stage.ts';

/** Name of the file in the run folder; it is gone once `results.json` is there. */
export const PREVIEW = 'results.partial.json';

/** The output of node `id` from the stages that are finished; undefined where it has no preview, or nothing of it is there yet. */
export function previewOutput(
  plan: Plan,
  id: string,
  finished: ReadonlyMap<string, FinishedNode>,
): object | undefined {
  const node = plan.get(id);
  if (node.kind === 'source' || node.stage.preview === undefined) return undefined;
  const input = (from: string): StageInput<object> | undefined => {
    const done = finished.get(from);
    if (done) return done;
    const output = previewOutput(plan, from, finished);
    return output && { key: '', folder: '', output };
  };
  const entries = Object.entries(node.inputs).map(
    ([name, ids]) => [name, typeof ids === 'string' ? input(ids) : ids.map(input)] as const,
  );
  const isEmpty = entries.every(([, found]) =>
    Array.isArray(found) ? found.every((one) => one === undefined) : found === undefined,
  );
  if (isEmpty) return undefined;
  return node.stage.preview(node.params, Object.fromEntries(entries) as InputsSoFar<unknown>);
}
