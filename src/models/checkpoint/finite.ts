/** @file Every stored weight is a number: the bytes are scanned once when a model is loaded, since one NaN spoils every logit. */
import { open } from 'node:fs/promises';
import { CheckpointError, show } from './errors.ts';
import type { Checkpoint, TensorInfo } from './types.ts';

/** Checkpoints that were scanned; their files are taken as unchanged since. */
const scanned = new WeakSet<Checkpoint>();
const PIECE = 1 << 22;

/**
 * Refuse a checkpoint with a NaN or an infinity in a tensor of `names`, naming tensor and element. Reads every byte, at the speed
 * of the disk.
 *
 * @throws CheckpointError
 */
export async function refuseNonFiniteWeights(checkpoint: Checkpoint, names: Iterable<string>): Promise<void> {
  if (scanned.has(checkpoint)) return;
  const infos = [...names].flatMap((name) => checkpoint.tensors.get(name) ?? []);
  const buffer = new Uint8Array(PIECE);
  for (const file of new Set(infos.map((t) => t.file))) {
    const handle = await open(file, 'r');
    try {
      for (const info of infos.filter((t) => t.file === file))
        for (let at = 0; at < info.byteLength; at += PIECE) {
          const n = Math.min(PIECE, info.byteLength - at);
          for (let done = 0; done < n; ) {
            const { bytesRead } = await handle.read(buffer, done, n - done, info.offset + at + done);
            if (bytesRead === 0)
              throw new CheckpointError(file, {
                wanted: `${info.byteLength} bytes of ${show(info.name)}`,
                got: `${at + done}`,
              });
            done += bytesRead;
          }
          const bad = SCANS[info.dtype]?.(buffer.buffer, n) ?? -1;
          if (bad >= 0) refuse(info, at, bad);
        }
    } finally {
      await handle.close();
    }
  }
  scanned.add(checkpoint);
}

function refuse(info: TensorInfo, at: number, index: number): never {
  const width =
    info.byteLength /
    Math.max(
      1,
      info.shape.reduce((n, d) => n * d, 1),
    );
  throw new CheckpointError(`${info.file}: tensor ${show(info.name)}`, {
    wanted: 'finite weights',
    got: `NaN or infinity at element ${at / width + index} (${info.dtype} ${show(info.shape)})`,
    next: 'everything computed with it would be NaN: take another copy, or write the model again in float32 or bfloat16',
  });
}

/** First element whose exponent bits are all set, −1 without any. */
const SCANS: Partial<Record<string, (buffer: ArrayBuffer, bytes: number) => number>> = {
  F16: (buffer, bytes) => halves(buffer, bytes, 0x7c00),
  BF16: (buffer, bytes) => halves(buffer, bytes, 0x7f80),
  F32(buffer, bytes) {
    const bits = new Uint32Array(buffer, 0, bytes >> 2);
    for (let i = 0; i < bits.length; i++) if (((bits[i] as number) & 0x7f800000) === 0x7f800000) return i;
    return -1;
  },
  F64(buffer, bytes) {
    const values = new Float64Array(buffer, 0, bytes >> 3);
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
    return -1;
  },
};

function halves(buffer: ArrayBuffer, bytes: number, exponent: number): number {
  const bits = new Uint16Array(buffer, 0, bytes >> 1);
  for (let i = 0; i < bits.length; i++) if (((bits[i] as number) & exponent) === exponent) return i;
  return -1;
}
