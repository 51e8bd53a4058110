/** @file Mutators of text and of sets of files; those of bytes and JSON are shared with the tests. Everything is drawn from one `Rng`. */
import type { Rng } from '../../src/base/index.ts';
import { mutateBytes, mutateJson, mutateJsonBytes } from '../../src/models/checkpoint/fuzz.helper.ts';

export { mutateBytes, mutateJson, mutateJsonBytes };

const ODD_TEXT = [
  '\u0000',
  '\u2028',
  '\ufeff',
  '\ud800',
  '\u202e',
  'é',
  '🙂',
  '\t',
  '\r\n',
  '\n',
  ' ',
  '"',
  "'",
  '\\',
];

/**
 * A damaged copy of `text`: 1 to 4 of removing, repeating, moving or replacing a token, or inserting a word of `words`. Tokens are
 * words, numbers, runs of white space and single signs, so most results are still sentences of the language.
 */
export function mutateText(rng: Rng, text: string, words: readonly string[]): string {
  const tokens = text.match(/\p{L}[\p{L}\p{N}_]*|\p{N}+|\s+|./gsu) ?? [''];
  for (let n = 1 + rng.int(4); n > 0 && tokens.length > 0; n--) {
    const at = rng.int(tokens.length);
    const run = 1 + rng.int(6);
    switch (rng.int(7)) {
      case 0:
        tokens.splice(at, run);
        break;
      case 1:
        tokens.splice(at, 0, ...tokens.slice(at, at + run));
        break;
      case 2:
        tokens.splice(rng.int(tokens.length), 0, ...tokens.splice(at, run));
        break;
      case 3:
        tokens[at] = rng.pick(ODD_TEXT);
        break;
      case 4:
        tokens[at] = rng.pick(tokens);
        break;
      default:
        tokens.splice(at, rng.int(2), rng.pick(words));
    }
  }
  return tokens.join('');
}

/** With one chance in `n` the sound value as it is, else a damaged one: a target that refuses everything shows nothing. */
export function mostly<T>(rng: Rng, n: number, sound: T, damaged: () => T): T {
  return rng.int(n) === 0 ? sound : damaged();
}

/** Damage the bytes of one of `files`, by name; now and then remove it or empty it. */
export function mutateFiles(
  rng: Rng,
  files: Readonly<Record<string, Uint8Array>>,
  damage: (name: string, bytes: Uint8Array) => Uint8Array,
): Record<string, Uint8Array> {
  const out: Record<string, Uint8Array> = { ...files };
  const name = rng.pick(Object.keys(out));
  const move = rng.int(12);
  if (move === 0) delete out[name];
  else if (move === 1) out[name] = new Uint8Array(0);
  else out[name] = damage(name, out[name] as Uint8Array);
  return out;
}

export function bytesOf(files: Readonly<Record<string, Uint8Array>>): number {
  return Object.values(files).reduce((sum, bytes) => sum + bytes.length, 0);
}
