/** @file Options of commands read through the recipe's sections: name, default and description have their home there. */
import { Option } from 'commander';
import type { z } from 'zod';
import {
  captureSettings,
  dataSchema,
  evaluationSettings,
  fidelitySettings,
  inverseSettings,
  seedSetting,
  spanSettings,
  sweepSettings,
  transferSettings,
  worthSettings,
} from '../contracts/index.ts';
import { wholeNumber } from './cli.ts';

/** Every section at its defaults. */
export const defaults = {
  seed: seedSetting.parse(undefined),
  data: dataSchema.parse({}),
  capture: captureSettings.parse({}),
  evaluation: evaluationSettings.parse({}),
  inverse: inverseSettings.parse({}),
  span: spanSettings.parse({}),
  sweep: sweepSettings.parse({}),
  transfer: transferSettings.parse({}),
  fidelity: fidelitySettings.parse({}),
  worth: worthSettings.parse({}),
} as const;

/** A setting that counts something: a key of a section's schema. */
interface CountSetting {
  readonly section: z.ZodObject<Readonly<Record<string, z.ZodType>>>;
  readonly key: string;
  /** Defaults to 1. */
  readonly least?: number;
}

/** An option for a whole number, with the default and the description of the setting. */
export function countOption(flag: string, { section, key, least = 1 }: CountSetting): Option {
  const [name] = flag.split(' ');
  return new Option(
    flag,
    section.shape[key]?.description?.replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase()),
  )
    .argParser(wholeNumber(name as string, least))
    .default(section.parse({})[key]);
}
