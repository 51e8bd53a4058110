/** @file Seeds and mutators for the tests of bad files; no part of the program. Everything is drawn from one `Rng`. */
import type { Rng } from '../../base/index.ts';

/** Numbers that break length arithmetic. */
const EDGE_COUNTS: readonly bigint[] = [
  0n,
  1n,
  7n,
  255n,
  65535n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/**
 * A damaged copy of `bytes`: 1 to 4 of flipping a bit, overwriting a byte, writing an edge-case integer of 1, 4 or 8
 * bytes, cutting the end off, removing, repeating or inserting a run. `within` limits where (the header, say).
 */
export function mutateBytes(rng: Rng, bytes: Uint8Array, within = bytes.length): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let n = 1 + rng.int(4); n > 0 && out.length > 0; n--) {
    const at = rng.int(Math.max(1, Math.min(within, out.length)));
    const run = 1 + rng.int(24);
    switch (rng.int(8)) {
      case 0:
        out[at] ^= 1 << rng.int(8);
        break;
      case 1:
        out[at] = rng.int(256);
        break;
      case 2:
      case 3:
        writeCount(out, at, rng.pick([1, 4, 8]), rng.pick(EDGE_COUNTS));
        break;
      case 4:
        out = out.slice(0, at);
        break;
      case 5:
        out = splice(out, at, run, new Uint8Array(0));
        break;
      case 6:
        out = splice(out, at, 0, out.slice(at, at + run));
        break;
      default:
        out = splice(
          out,
          at,
          0,
          Uint8Array.from({ length: run }, () => rng.int(256)),
        );
    }
  }
  return out;
}

function writeCount(out: Uint8Array, at: number, width: number, value: bigint): void {
  for (let i = 0; i < width && at + i < out.length; i++)
    out[at + i] = Number((value >> BigInt(8 * i)) & 255n);
}

function splice(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  const tail = bytes.subarray(Math.min(bytes.length, at + removed));
  const out = new Uint8Array(at + inserted.length + tail.length);
  out.set(bytes.subarray(0, at));
  out.set(inserted, at);
  out.set(tail, at + inserted.length);
  return out;
}

/** Values that a JSON file of ours should never hold where it matters. */
const EDGE_JSON: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  0.5,
  1e308,
  2 ** 53,
  -(2 ** 31),
  '',
  'F32',
  '\u0000',
  '__proto__',
  [],
  [[]],
  [0, 0],
  [-1, 4],
  [2 ** 52, 2 ** 52],
  {},
  { dtype: 'F32' },
];

/**
 * A damaged copy of a JSON value: somewhere in it, 1 to 3 times, a value replaced by an edge case or by another part
 * of the same document, a key removed, renamed or added, an element repeated.
 */
export function mutateJson(rng: Rng, value: unknown): unknown {
  let out = structuredClone(value);
  for (let n = 1 + rng.int(3); n > 0; n--) out = mutateOnce(rng, out, out);
  return out;
}

function mutateOnce(rng: Rng, value: unknown, root: unknown): unknown {
  const isBranch = typeof value === 'object' && value !== null;
  if (!isBranch || rng.int(8) === 0)
    return rng.int(4) === 0 ? structuredClone(anyPart(rng, root)) : structuredClone(rng.pick(EDGE_JSON));
  if (Array.isArray(value)) {
    if (value.length === 0) return [structuredClone(rng.pick(EDGE_JSON))];
    const i = rng.int(value.length);
    if (rng.int(4) === 0) value.splice(i, rng.int(2), structuredClone(value[i]));
    else value[i] = mutateOnce(rng, value[i], root);
    return value;
  }
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record);
  if (keys.length === 0) return { x: structuredClone(rng.pick(EDGE_JSON)) };
  const key = rng.pick(keys);
  const move = rng.int(8);
  if (move === 0) delete record[key];
  else if (move === 1) record[`${key}_x`] = structuredClone(rng.pick(EDGE_JSON));
  else if (move === 2) {
    record[rng.pick(keys)] = structuredClone(record[key]);
  } else record[key] = mutateOnce(rng, record[key], root);
  return record;
}

function anyPart(rng: Rng, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || rng.int(3) === 0) return value;
  const parts = Object.values(value);
  return parts.length === 0 ? value : anyPart(rng, rng.pick(parts));
}

/** Bytes of a mutated JSON document: mostly well-formed with wrong content, sometimes broken text as well. */
export function mutateJsonBytes(rng: Rng, value: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(mutateJson(rng, value)));
  return rng.int(4) === 0 ? mutateBytes(rng, text) : text;
}

/** A safetensors file from its JSON header and data, with a true length field. */
export function safetensorsBytes(header: Uint8Array, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + header.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  out.set(data, 8 + header.length);
  return out;
}
