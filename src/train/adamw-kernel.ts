/**
 * @file The AdamW update of a stretch of values, four at a time: a WebAssembly module of one loop, assembled here. Plain
 * JavaScript computes it in float64, one value at a time, two to three times slower.
 */

/** Values a call takes: four tiles of 32 KiB stay in the second-level cache. */
const TILE = 8192;

/** The scalars of one update: m ← b1·m + n1·g, v ← b2·v + n2·g², w ← decay·w − rate·m / (√(u·v) + eps), g scaled by `clip` first. */
interface AdamWScalars {
  readonly b1: number;
  /** 1 − b1. */
  readonly n1: number;
  readonly b2: number;
  /** 1 − b2. */
  readonly n2: number;
  /** 1 / (1 − b2^step): the second moment without its bias. */
  readonly u: number;
  readonly eps: number;
  /** Learning rate / (1 − b1^step). */
  readonly rate: number;
  /** 1 − learning rate · weight decay. */
  readonly decay: number;
  readonly clip: number;
}

const scalarNames = ['b1', 'n1', 'b2', 'n2', 'u', 'eps', 'rate', 'decay', 'clip'] as const;

/** Update `w`, `m` and `v` (equal lengths) in place from the gradient `g`. All arithmetic in float32. */
type AdamWKernel = (
  w: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  scalars: AdamWScalars,
) => void;

/** The part of the WebAssembly interface used here: Node's own types leave it out. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly run: (bytes: number, ...scalars: number[]) => void;
      readonly memory: { readonly buffer: ArrayBuffer };
    };
  };
};

/** Compile the kernel. It owns 128 KiB through which the values pass. */
export function adamWKernel(): AdamWKernel {
  const { run, memory } = new WebAssembly.Instance(new WebAssembly.Module(assemble())).exports;
  const [tw, tg, tm, tv] = [0, 1, 2, 3].map((i) => new Float32Array(memory.buffer, i * TILE * 4, TILE)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return (w, g, m, v, scalars) => {
    const values = scalarNames.map((name) => scalars[name]);
    for (let at = 0; at < w.length; at += TILE) {
      const n = Math.min(TILE, w.length - at);
      tw.set(w.subarray(at, at + n));
      tg.set(g.subarray(at, at + n));
      tm.set(m.subarray(at, at + n));
      tv.set(v.subarray(at, at + n));
      // A last odd piece computes up to three stale values after its end; they are not copied back.
      run(Math.ceil(n / 4) * 16, ...values);
      const whole = n === TILE;
      w.set(whole ? tw : tw.subarray(0, n), at);
      m.set(whole ? tm : tm.subarray(0, n), at);
      v.set(whole ? tv : tv.subarray(0, n), at);
    }
  };
}

// ── the module (WebAssembly core specification 2.0, chapter 5: binary format) ───────────────────────────────────────

const I32 = 0x7f;
const F32 = 0x7d;
const local = { get: (i: number) => [0x20, i], set: (i: number) => [0x21, i], tee: (i: number) => [0x22, i] };
const simd = (op: number): number[] => [0xfd, ...leb(op)];
const splat = simd(0x13);
const [sqrt, add, sub, mul, div] = [0xe3, 0xe4, 0xe5, 0xe6, 0xe7].map(simd) as [
  number[],
  number[],
  number[],
  number[],
  number[],
];
/** Load or store 16 bytes at the address on the stack plus `offset`. */
const load = (offset: number): number[] => [...simd(0x00), 4, ...leb(offset)];
const store = (offset: number): number[] => [...simd(0x0b), 4, ...leb(offset)];

function assemble(): Uint8Array<ArrayBuffer> {
  const bytes = 0; // parameter: end of the tile in bytes
  const scalar = (name: (typeof scalarNames)[number]): number[] => [
    ...local.get(1 + scalarNames.indexOf(name)),
    ...splat,
  ];
  const [at, g, m, v] = [10, 11, 12, 13] as const; // locals after the ten parameters
  const tile = (i: number): number => i * TILE * 4;
  const body = [
    ...[0x03, 0x40], // loop
    // g ← clip · g
    ...[...local.get(at), ...load(tile(1)), ...scalar('clip'), ...mul, ...local.set(g)],
    // m ← b1·m + n1·g
    ...local.get(at),
    ...[...local.get(at), ...load(tile(2)), ...scalar('b1'), ...mul],
    ...[...local.get(g), ...scalar('n1'), ...mul, ...add, ...local.tee(m), ...store(tile(2))],
    // v ← b2·v + (n2·g)·g
    ...local.get(at),
    ...[...local.get(at), ...load(tile(3)), ...scalar('b2'), ...mul],
    ...[
      ...local.get(g),
      ...scalar('n2'),
      ...mul,
      ...local.get(g),
      ...mul,
      ...add,
      ...local.tee(v),
      ...store(tile(3)),
    ],
    // w ← decay·w − (rate·m) / (√(u·v) + eps)
    ...local.get(at),
    ...[...local.get(at), ...load(tile(0)), ...scalar('decay'), ...mul],
    ...[...local.get(m), ...scalar('rate'), ...mul],
    ...[
      ...local.get(v),
      ...scalar('u'),
      ...mul,
      ...sqrt,
      ...scalar('eps'),
      ...add,
      ...div,
      ...sub,
      ...store(tile(0)),
    ],
    // at ← at + 16, again while at < bytes
    ...[...local.get(at), 0x41, 16, 0x6a, ...local.tee(at), ...local.get(bytes), 0x49, 0x0d, 0],
    ...[0x0b, 0x0b], // end of loop, end of function
  ];
  const locals = [2, 1, I32, 3, 0x7b]; // one i32, three v128
  const code = [...locals, ...body];
  const parameters = [I32, ...scalarNames.map(() => F32)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
    ...section(1, [1, 0x60, parameters.length, ...parameters, 0]), // one function type
    ...section(3, [1, 0]), // one function of it
    ...section(5, [1, 0, Math.ceil((TILE * 16) / 65_536)]), // memory, in pages of 64 KiB
    ...section(7, [2, ...named('run'), 0, 0, ...named('memory'), 2, 0]), // exports
    ...section(10, [1, ...leb(code.length), ...code]),
  ]);
}

const section = (id: number, content: readonly number[]): number[] => [
  id,
  ...leb(content.length),
  ...content,
];
const named = (text: string): number[] => [text.length, ...Buffer.from(text)];

/** Unsigned LEB128. */
function leb(n: number): number[] {
  return n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...leb(n >>> 7)];
}
