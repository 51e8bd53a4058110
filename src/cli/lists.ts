/** @file Parsers of options that take lists. */
import { InputError } from '../base/index.ts';
import { nearest } from '../contracts/index.ts';

/** Parser of whole numbers and ranges from 0: `0,2,5..7`. */
export function blockList(flag: string): (text: string) => number[] {
  return (text) =>
    text.split(',').flatMap((part) => {
      const [, from, to = from] = /^\s*(\d+)(?:\.\.(\d+))?\s*$/.exec(part) ?? [];
      if (from === undefined || Number(to) < Number(from))
        throw new InputError(`${flag} ${text}: wanted block numbers and ranges, e.g. 0,2,5..7`, {
          id: 'option-invalid',
        });
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
    });
}

/** Parser of numbers from `least` with commas between them. */
export function numberList(flag: string, least: number): (text: string) => number[] {
  return (text) => {
    const numbers = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
    if (numbers.some((n) => !(n >= least) || !Number.isFinite(n)))
      throw new InputError(`${flag} ${text}: wanted numbers from ${least} with commas between them`, {
        id: 'option-invalid',
      });
    return numbers;
  };
}

/** Parser of some of `known`, with commas between them; `none` is the empty list. */
export function choiceList<const T extends string>(flag: string, known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text === 'none'
      ? []
      : text.split(',').map((part) => {
          const name = known.find((k) => k === part.trim());
          if (name !== undefined) return name;
          const near = nearest(part, known);
          throw new InputError(
            `${flag} ${text}: wanted some of ${known.join(', ')}, or none; got "${part}"${near ? `; did you mean "${near}"?` : ''}`,
            { id: 'option-invalid' },
          );
        });
}
