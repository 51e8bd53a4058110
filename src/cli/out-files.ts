/** @file Output files of commands: a single file may replace a former output of the same command, nothing else. */
import { refuseForeignFile } from '../base/index.ts';
import { sampleSchema } from '../contracts/index.ts';

/**
 * Look at `--out` and `--samples` before the work starts. `section`: a key every document of the command has. `reads`: what the
 * command reads. Throws an `InputError` when one of them holds something else.
 */
export async function refuseForeignOutputs(
  { out, samples }: { readonly out?: string; readonly samples?: string },
  section: string,
  reads: readonly (string | undefined)[],
): Promise<void> {
  if (out !== undefined)
    await refuseForeignFile(out, (text) => Object.hasOwn(JSON.parse(text) as object, section), { reads });
  if (samples !== undefined) await refuseForeignFile(samples, isSamples, { reads });
}

function isSamples(text: string): boolean {
  const first = JSON.parse(text.slice(0, text.indexOf('\n'))) as Readonly<Record<string, unknown>>;
  return (
    sampleSchema.safeParse(first).success ||
    ('completion' in first && 'trigger' in first) ||
    ('task' in first && 'scores' in first)
  );
}
