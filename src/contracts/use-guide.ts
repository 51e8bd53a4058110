/** @file `use/BEHAVIOUR/use.json` of a run folder: how its fix is put to use. The page `README.md` beside it and the web app say the same. */
import { z } from 'zod';
import { rateSchema } from './results.ts';

/** Where the state that is put in comes from: the target itself, or the source over a map. */
export const USE_DOCUMENTS = ['native', 'mapped'] as const;

/** Paths and commands are seen from the run folder. */
export const useGuideSchema = z.strictObject({
  schema_version: z.literal(1),
  behaviour: z.string(),
  /** The model that is put to use, as `--model` takes it, and the PEFT adapter on it. */
  model: z.string(),
  adapter: z.string().optional(),
  /** Texts that mark the behaviour; absent where no single text does. */
  triggers: z.strictObject({ bad: z.string(), safe: z.string() }).optional(),
  documents: z.array(
    z.strictObject({
      name: z.enum(USE_DOCUMENTS),
      file: z.string(),
      /** What it puts in the place of the trigger. */
      puts: z.string(),
      /** Block after which it does. */
      block: z.int(),
      /** Map it goes over, `KIND.FIT`. */
      map: z.string().optional(),
      /** What the same state restored in the run. */
      restored: rateSchema.optional(),
    }),
  ),
  /** What cutting the trigger out of the prompt restores. */
  stripped: rateSchema.optional(),
  commands: z.array(z.strictObject({ does: z.string(), language: z.enum(['sh', 'ts']), text: z.string() })),
});

export type UseGuide = z.output<typeof useGuideSchema>;
