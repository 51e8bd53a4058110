/** @file Options of commands read through the recipe's sections: name, default and description have their home there. */
import { Option } from 'commander';
import {
  captureSettings,
  dataSchema,
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
  inverse: inverseSettings.parse({}),
  span: spanSettings.parse({}),
  sweep: sweepSettings.parse({}),
  transfer: transferSettings.parse({}),
  fidelity: fidelitySettings.parse({}),
  vector: vectorSettings.parse({}),
  worth: worthSettings.parse({}),
} as const;

/** What describes a setting: a key of a section's schema. */
interface Described {
  readonly shape: Readonly<Record<string, { readonly description?: string | undefined }>>;
}

/** An option for a whole number from `least`, with the default and the description of a section's key. */
export function countOption(
  flag: string,
  { shape }: Described,
  key: string,
  value: number,
  least = 1,
): Option {
  const [name] = flag.split(' ');
  return new Option(
    flag,
    shape[key]?.description?.replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase()),
  )
    .argParser(wholeNumber(name as string, least))
    .default(value);
}
