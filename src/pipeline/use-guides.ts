/** @file The guides of a run folder: how its fix is put to use, per behaviour. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, parseJson, readTextLimited } from '../base/index.ts';
import { type UseGuide, useGuideSchema } from '../contracts/index.ts';

export const LARGEST_GUIDE = 1 << 20;

/** A guide from its text; `where` names the file in errors. */
export function parseUseGuide(text: string, where: string): UseGuide {
  const parsed = useGuideSchema.safeParse(parseJson(text, where));
  if (parsed.success) return parsed.data;
  throw new InputError(
    `${where}: does not fit (${parsed.error.issues[0]?.message}); run the experiment again`,
    {
      id: 'run-damaged',
    },
  );
}

/** By name of the behaviour; none where the run has not come so far. */
export async function readUseGuides(folder: string): Promise<UseGuide[]> {
  const names = await readdir(join(folder, 'use')).catch(() => [] as string[]);
  return Promise.all(
    names
      .filter((name) => !name.startsWith('.'))
      .sort()
      .map(async (name) => {
        const file = join(folder, 'use', name, 'use.json');
        return parseUseGuide(await readTextLimited(file, LARGEST_GUIDE), file);
      }),
  );
}
