/** @file Bytes and the 256 printable characters byte-level BPE writes them as (GPT-2's table), and UTF-8 helpers. */

const encoder = new TextEncoder();
// `ignoreBOM` keeps a leading U+FEFF, as Rust's lossy decoding does.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** byte → character: printable Latin-1 stands for itself, the other 68 bytes become U+0100, U+0101, … in order. */
export const BYTE_TO_CHAR: readonly string[] = buildTable();

const CHAR_TO_BYTE: ReadonlyMap<string, number> = new Map(BYTE_TO_CHAR.map((c, b) => [c, b]));

/** UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Lossy UTF-8 decoding: one U+FFFD for each maximal broken part. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Number of UTF-8 bytes of a code point. */
export function utf8Length(codePoint: number): number {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

/** The text with every UTF-8 byte written as its character; 1 unit a byte. */
export function toByteChars(text: string): string {
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x80) return out + Array.from(utf8(text.slice(i)), (b) => BYTE_TO_CHAR[b]).join('');
    out += BYTE_TO_CHAR[c];
  }
  return out;
}

/** Bytes a byte-level token stands for, or undefined if it holds a character outside the table (an added token). */
export function byteCharsToBytes(token: string): number[] | undefined {
  const out: number[] = [];
  for (const c of token) {
    const b = CHAR_TO_BYTE.get(c);
    if (b === undefined) return undefined;
    out.push(b);
  }
  return out;
}

/** The byte of a byte-fallback token `<0xNN>`, else undefined. */
export function byteOfFallback(token: string): number | undefined {
  const m = /^<0x([0-9A-Fa-f]{2})>$/u.exec(token);
  return m ? Number.parseInt(m[1] as string, 16) : undefined;
}

/** Name of the byte-fallback token of a byte. */
export function fallbackToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/** True if the bytes end in the beginning of a UTF-8 character whose rest may still come. */
export function endsInsideCharacter(bytes: readonly number[]): boolean {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const b = bytes[bytes.length - back] as number;
    if (b < 0x80) return false;
    if (b >= 0xc0)
      return back < (b >= 0xf0 && b < 0xf5 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc2 && b < 0xe0 ? 2 : 0);
  }
  return false;
}

function buildTable(): string[] {
  const table: string[] = [];
  let next = 0x100;
  for (let b = 0; b < 256; b++) {
    const printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    table.push(String.fromCharCode(printable ? b : next++));
  }
  return table;
}
