/** @file What people think of completions: `ratings.json` in the run folder, by sample id, and its export. */
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, readTextLimited, writeJsonAtomic } from '../../base/index.ts';
import type { Sample } from '../../contracts/index.ts';
import { type DataRow, toCsv } from '../../figures/index.ts';
import type { RunsFolder } from './runs-folder.ts';

export const RATINGS_FILE = 'ratings.json';

/** The scale of the LLM judge's rubric (docs/concepts/method.md#judges), so that people and judge can be compared. */
const SCALE = '5 same meaning as the ordinary answer … 1 nothing in common';

/** Most bytes read of it: some hundred thousand ratings. */
const LARGEST = 32 << 20;

const ratingSchema = z.strictObject({
  rating: z.int().min(1).max(5),
  note: z.string().optional(),
  time: z.string(),
});
/** A person's judgement: 5 same meaning … 1 nothing in common with the ordinary answer. */
export type Rating = Readonly<z.infer<typeof ratingSchema>>;

const ratingsSchema = z.strictObject({
  schema_version: z.literal(1),
  scale: z.literal(SCALE),
  ratings: z.record(z.string(), ratingSchema),
});

/** Body of a change; `rating: null` takes a judgement back. */
export const ratingChangeSchema = z.strictObject({
  id: z.string().min(1).max(1000),
  rating: z.int().min(1).max(5).nullable(),
  note: z.string().max(4000).optional(),
});
export type RatingChange = z.infer<typeof ratingChangeSchema>;

/** Ratings of all runs. Changes are written one after the other. */
export class RatingStore {
  readonly #runs: RunsFolder;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(runs: RunsFolder) {
    this.#runs = runs;
  }

  /** By sample id. Throws {@link InputError} when the file was damaged by hand: it is never overwritten then. */
  async read(run: string): Promise<Readonly<Record<string, Rating>>> {
    const path = await this.#runs.find(run, RATINGS_FILE);
    if (path === undefined) return {};
    const parsed = ratingsSchema.safeParse(json(await readTextLimited(path, LARGEST)));
    if (parsed.success) return parsed.data.ratings;
    throw new InputError(
      `${run}/${RATINGS_FILE}: does not fit (${parsed.error.issues[0]?.message}); mend or move it`,
      { id: 'run-damaged' },
    );
  }

  /** Save one judgement, or take it back. `now` is an ISO time. */
  change(run: string, { id, rating, note }: RatingChange, now: string): Promise<Rating | null> {
    const work = async () => {
      const folder = await this.#runs.run(run);
      const { [id]: _before, ...others } = await this.read(run);
      const mine: Rating | null = rating === null ? null : { rating, note: note || undefined, time: now };
      const ratings = mine === null ? others : { ...others, [id]: mine };
      await writeJsonAtomic(join(folder, RATINGS_FILE), { schema_version: 1, scale: SCALE, ratings });
      return mine;
    };
    const done = this.#turn.catch(() => {}).then(work);
    this.#turn = done;
    return done;
  }
}

/** One row a rating, with what was rated: for a spreadsheet. */
export function ratingsCsv(
  ratings: Readonly<Record<string, Rating>>,
  samples: ReadonlyMap<string, Sample>,
): string {
  return toCsv(
    Object.entries(ratings).map(([id, { rating, note, time }]): DataRow => {
      const sample = samples.get(id);
      return {
        id,
        rating,
        note: note ?? null,
        time,
        behaviour: sample?.behaviour ?? null,
        stage: sample?.stage ?? null,
        arm: sample?.arm ?? null,
        trigger: sample?.trigger ?? null,
        prompt: sample?.prompt ?? null,
        completion: sample?.completion ?? null,
        ordinary_answer: sample?.references?.safe ?? null,
      };
    }),
  );
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
