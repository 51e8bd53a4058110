/** @file Options of commands read through the recipe's sections: name, default and description have their home there. */
import { Option } from 'commander';
import type { z } from 'zod';
import {
  captureSettings,
  dataSchema,
  doseLoraSettings,
  doseSettings,
  evaluationSettings,
  fidelitySettings,
  inverseSettings,
  seedSetting,
  spanSettings,
  sweepSettings,
  transferSettings,
  vectorSettings,
  worthSettings,
} from '../contracts/index.ts';
import { wholeNumber } from './cli.ts';

/** Every section at its defaults. */
export const defaults = {
  seed: seedSetting.parse(undefined),
  data: dataSchema.parse({}),
  capture: captureSettings.parse({}),
  evaluation: evaluationSettings.parse({}),
  dose: doseSettings.parse({}),
  doseLora: doseLoraSettings.parse({}),
  inverse: inverseSettings.parse({}),
  span: spanSettings.parse({}),
  sweep: sweepSettings.parse({}),
  transfer: transferSettings.parse({}),
  fidelity: fidelitySettings.parse({}),
  vector: vectorSettings.parse({}),
  worth: worthSettings.parse({}),
} as const;

/** A setting that counts something: a key of a section's schema. */
interface CountSetting<Shape extends z.ZodRawShape> {
  readonly section: z.ZodObject<Shape>;
  readonly key: keyof Shape & string;
  /** Defaults to 1. */
  readonly least?: number;
}

/** An option for a whole number, with the default and the description of the setting. */
export function countOption<Shape extends z.ZodRawShape>(
  flag: string,
  { section, key, least = 1 }: CountSetting<Shape>,
): Option {
  const [name] = flag.split(' ');
  const { description } = section.shape[key] as unknown as z.ZodType;
  return new Option(
    flag,
    description?.replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase()),
  )
    .argParser(wholeNumber(name as string, least))
    .default((section.parse({}) as Readonly<Record<string, unknown>>)[key]);
}
