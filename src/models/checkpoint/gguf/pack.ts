/**
 * @file Quantised rows as sums of symmetric 4-bit planes, which ONNX Runtime multiplies as they are, and a shift per block:
 *
 *     W[n, k] = Σ_p scale_p[n, b] · (code_p[n, k] − 8) + shift[n, b],   b the block of k
 *
 * Nothing is quantised again. q of 4 bits is one plane. q of 4 + r bits is q = 2ʳ·hi + lo: hi is a plane of scale 2ʳ·s; lo has r bits, and
 * with r < 4 it is written as 8 + lo, so that the plane is s·lo itself. What the −8 took away and the minimum are the shift, one number
 * per block, which is zero and not kept where a type is centred (`levels.ts`).
 */
import { levels } from './levels.ts';

/** Planes of some rows, one value after the other. Lengths: codes values / 2, scales and shift values / block. */
export interface PackedRows {
  readonly codes: readonly Uint8Array[];
  readonly scales: readonly Float32Array[];
  readonly shift: Float32Array | undefined;
}

/** What a type is packed into; undefined for one that is kept as floats. */
export interface PackedForm {
  readonly block: 16 | 32;
  readonly planes: 1 | 2;
  readonly shifted: boolean;
}

export function packedForm(type: string): PackedForm | undefined {
  if (!Object.hasOwn(levels, type)) return undefined;
  const { bits, block, centred } = levels[type]!;
  return { block, planes: bits === 4 ? 1 : 2, shifted: !centred || bits === 8 };
}

/** Whether a tensor is a matrix of a type that is packed. */
export function isPackable({
  type,
  shape,
}: {
  readonly type: string;
  readonly shape: readonly number[];
}): boolean {
  return shape.length === 2 && packedForm(type) !== undefined;
}

/** Room for `values` numbers. */
export function packedRows({ block, planes, shifted }: PackedForm, values: number): PackedRows {
  const each = <T>(make: () => T): T[] => Array.from({ length: planes }, make);
  return {
    codes: each(() => new Uint8Array(values / 2)),
    scales: each(() => new Float32Array(values / block)),
    shift: shifted ? new Float32Array(values / block) : undefined,
  };
}

/** Pack whole blocks of a type into `out`, which has room for just them. The function returned keeps its scratch memory. */
export function packer(type: string): (bytes: Uint8Array, out: PackedRows) => void {
  const { bits, block, centred, read } = levels[type]!;
  const low = bits - 4;
  let q = new Uint8Array(0);
  let scales = new Float64Array(0);
  let minima = new Float64Array(0);
  return (bytes, out) => {
    const values = out.codes[0]!.length * 2;
    if (q.length !== values) {
      q = new Uint8Array(values);
      scales = new Float64Array(values / block);
      minima = new Float64Array(values / block);
    }
    read(bytes, q, scales, minima);
    const [high, rest] = out.codes as [Uint8Array, Uint8Array | undefined];
    for (let i = 0; i < high.length; i++) high[i] = (q[2 * i]! >> low) | ((q[2 * i + 1]! >> low) << 4);
    if (rest !== undefined) {
      const mask = (1 << low) - 1;
      const eights = low < 4 ? 0x88 : 0;
      for (let i = 0; i < rest.length; i++)
        rest[i] = eights | (q[2 * i]! & mask) | ((q[2 * i + 1]! & mask) << 4);
    }
    const unit = 1 << low;
    const taken = 8 * unit + (low < 4 ? 0 : 8);
    const middle = 2 ** (bits - 1);
    for (let b = 0; b < scales.length; b++) {
      const s = scales[b]!;
      out.scales[0]![b] = s * unit;
      if (low > 0) out.scales[1]![b] = s;
      if (out.shift !== undefined) out.shift[b] = s * taken + (centred ? -s * middle : minima[b]!);
    }
  };
}
