/**
 * @file Every family against Hugging Face transformers, 4 prompts of unequal length in one batch: embedding, residuals after
 * attention and after every block, final norm, logits. Goldens: `make_family_goldens.py`.
 *
 * float64: the whole model as one graph, in the interpreter and in ONNX Runtime, within 1e-9 absolute (seen: 3e-14). float32: the
 * decoder as it runs, within 1e-4 (seen: 1e-5; transformers' own float32 errs as much). Then the same comparison on wrong configs,
 * to show that it can fail. CROSSPATCH_REPORT=1 prints the largest differences (docs/results/parity.md).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile, interpret, type Tensor, tensor } from '../../src/engine/index.ts';
import { i64 } from '../../src/engine/tensor.ts';
import { wholeModelGraph, wholeModelSurroundings } from '../../src/models/decoder/whole-model.ts';
import {
  type Checkpoint,
  Decoder,
  HookTable,
  type ModelConfig,
  openCheckpoint,
  parseModelConfig,
  readSafetensors,
  type TensorInfo,
} from '../../src/models/index.ts';

const root = fileURLToPath(new URL('./families/', import.meta.url));
const ROWS = 4;
const COLUMNS = 13;

interface Golden {
  readonly checkpoint: Checkpoint;
  readonly config: ModelConfig;
  /** Token ids, a row each. */
  readonly ids: number[][];
  /** `f64.<x>` and `f32.<x>` by name, float64 where the file has it. */
  readonly values: ReadonlyMap<string, Float32Array | Float64Array>;
  readonly weights: Readonly<Record<string, Tensor>>;
}

async function openGolden(name: string): Promise<Golden> {
  const checkpoint = await openCheckpoint(`${root}${name}`);
  const values = new Map<string, Float32Array | Float64Array>();
  const file = `${root}${name}/golden.safetensors`;
  for (const info of (await readSafetensors(file)).tensors) values.set(info.name, readExactly(info));
  const rowIds = (b: number): number[] => {
    const at = (key: string): number[] =>
      Array.from(values.get(key)?.slice(b * COLUMNS, (b + 1) * COLUMNS) ?? []);
    const mask = at('mask');
    return at('ids').filter((_, t) => mask[t] === 1);
  };
  const weights: Record<string, Tensor> = {};
  for (const key of checkpoint.tensors.keys()) {
    const { shape, data } = await checkpoint.readTensor(key);
    weights[key] = tensor('f64', shape, Float64Array.from(data));
  }
  const config = parseModelConfig(checkpoint.config, name);
  return { checkpoint, config, ids: [0, 1, 2, 3].map(rowIds), values, weights };
}

/** A golden tensor without losing a bit. */
function readExactly({ file, offset, byteLength, dtype }: TensorInfo): Float32Array | Float64Array {
  const { buffer } = Uint8Array.from(readFileSync(file).subarray(offset, offset + byteLength));
  if (dtype === 'F64') return new Float64Array(buffer);
  return dtype === 'F32' ? new Float32Array(buffer) : Float32Array.from(new Int32Array(buffer));
}

/** Largest |got − want| over the real positions of [4,13,·]. */
function worst(got: ArrayLike<number>, want: ArrayLike<number>, ids: readonly number[][]): number {
  expect(got.length).toBe(want.length);
  const width = want.length / ROWS / COLUMNS;
  let max = 0;
  ids.forEach(({ length }, b) => {
    for (let i = b * COLUMNS * width; i < (b * COLUMNS + length) * width; i++) {
      const d = Math.abs(got[i] - want[i]);
      max = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(max, d);
    }
  });
  return max;
}

function feedsOf({ ids, weights }: Golden, config: ModelConfig): Record<string, Tensor> {
  const padded = ids.flatMap((row) => Array.from({ length: COLUMNS }, (_, t) => row[t] ?? 0));
  return { ...weights, ...wholeModelSurroundings(config, COLUMNS), ids: i64([ROWS, COLUMNS], padded) };
}

/** Difference of every output from the float64 golden, by name, for the golden's weights under `config`. */
function float64Differences(golden: Golden, config: ModelConfig): Map<string, number> {
  const outputs = interpret(wholeModelGraph(config, 'f64'), feedsOf(golden, config));
  return differences(outputs, golden, 'f64');
}

function differences(
  outputs: Readonly<Record<string, Tensor>>,
  { values, ids }: Golden,
  dtype: 'f64' | 'f32',
): Map<string, number> {
  const found = new Map<string, number>();
  for (const [name, want] of values) {
    if (!name.startsWith(`${dtype}.`)) continue;
    const got = outputs[name.slice(4)];
    if (got === undefined) throw new Error(`nothing computes ${name}`);
    found.set(name.slice(4), worst(got.data as Float64Array, want, ids));
  }
  return found;
}

/** The decoder's own float32 numbers under the golden's names; `inside` runs every block in pieces. */
async function float32Outputs(
  decoder: Decoder,
  golden: Golden,
  inside: boolean,
): Promise<Record<string, Tensor>> {
  const seen: Record<string, Tensor> = {};
  const names = ['hook_embed'];
  for (let i = 0; i < decoder.nLayers; i++)
    names.push(`blocks.${i}.hook_resid_post`, ...(inside ? [`blocks.${i}.hook_resid_mid`] : []));
  const keep = (name: string) => name.replace(/^blocks\.(\d+)\.hook_(.*)$/, '$2.$1').replace('hook_', '');
  const hooks = new HookTable(
    names.map((name) => [name, (a) => void (seen[keep(name)] = { ...a, data: a.data.slice() })] as const),
    decoder.nLayers,
  );
  const { tensor: x } = await decoder.run(decoder.embed(golden.ids, { hooks }), { hooks });
  const d = decoder.config.dModel;
  const rows = decoder.normalise({ ...x, shape: [ROWS * COLUMNS, d] });
  const gain = golden.weights['model.norm.weight']?.data as Float64Array;
  const shift = decoder.config.normGain === '1+w' ? 1 : 0;
  return {
    ...seen,
    ln_final: { ...rows, data: rows.data.map((v, i) => v * (gain[i % d] + shift)) },
    logits: await decoder.logits(rows),
  };
}

/** Small mistakes of the kind one makes, each with what it needs to show. */
const mistakes: readonly (readonly [string, (c: ModelConfig) => ModelConfig | undefined])[] = [
  ['rope theta 1 % off', (c) => everyRope(c, (rope) => ({ ...rope, theta: rope.theta * 1.01 }))],
  [
    'no rope scaling',
    (c) =>
      c.blocks[0]?.rope.scaling.kind === 'none' && c.blocks.at(-1)?.rope.scaling.kind === 'none'
        ? undefined
        : everyRope(c, (rope) => ({ ...rope, scaling: { kind: 'none' } })),
  ],
  [
    'a window one token wider',
    (c) =>
      c.blocks.some((b) => b.window !== undefined)
        ? {
            ...c,
            blocks: c.blocks.map((b) => (b.window === undefined ? b : { ...b, window: b.window + 1 })),
          }
        : undefined,
  ],
  ['eps ten times larger', (c) => ({ ...c, normEps: c.normEps * 10 })],
  ['gain w instead of 1 + w, or the reverse', (c) => ({ ...c, normGain: c.normGain === 'w' ? '1+w' : 'w' })],
  ['the other activation', (c) => ({ ...c, activation: c.activation === 'silu' ? 'geluTanh' : 'silu' })],
  ['attention scale 1 % off', (c) => ({ ...c, attentionScale: c.attentionScale * 1.01 })],
  [
    'no attention soft-cap',
    (c) => {
      const { attentionSoftcap, ...rest } = c;
      return attentionSoftcap === undefined ? undefined : rest;
    },
  ],
  [
    'no logit soft-cap',
    (c) => {
      const { logitSoftcap, ...rest } = c;
      return logitSoftcap === undefined ? undefined : rest;
    },
  ],
  ['no embedding scale', (c) => (c.embedScale === 1 ? undefined : { ...c, embedScale: 1 })],
  ['no norm of queries and keys', (c) => (c.qkNorm ? { ...c, qkNorm: false } : undefined)],
  ['no biases', (c) => (c.qkvBias ? { ...c, qkvBias: false } : undefined)],
];

function everyRope(
  c: ModelConfig,
  change: (rope: ModelConfig['blocks'][number]['rope']) => ModelConfig['blocks'][number]['rope'],
): ModelConfig {
  const changed = new Map(c.blocks.map(({ rope }) => [rope, change(rope)]));
  return { ...c, blocks: c.blocks.map((b) => ({ ...b, rope: changed.get(b.rope) ?? b.rope })) };
}

const report: string[] = [];
afterAll(() => {
  if (process.env.CROSSPATCH_REPORT) console.log(report.toSorted().join('\n'));
});

describe.each(readdirSync(root))('family %s equals transformers', (name) => {
  let golden: Golden;
  beforeAll(async () => {
    golden = await openGolden(name);
  });
  const largest = (found: ReadonlyMap<string, number>): number => Math.max(...found.values());
  const note = (kind: string, found: ReadonlyMap<string, number>): void => {
    report.push(
      `${name} | ${kind} | residuals ${largest(new Map([...found].filter(([k]) => k !== 'logits'))).toExponential(1)} | logits ${found.get('logits')?.toExponential(1)}`,
    );
  };

  it('float64, in the interpreter: 1e-9', () => {
    const found = float64Differences(golden, golden.config);
    note('float64 interpreter', found);
    expect(found.size).toBe(3 + 2 * golden.config.blocks.length);
    for (const [tensorName, d] of found) expect(d, tensorName).toBeLessThan(1e-9);
  });

  it('float64, in ONNX Runtime: 1e-9', async () => {
    const feeds = feedsOf(golden, golden.config);
    await using session = await compile(wholeModelGraph(golden.config, 'f64'), {
      threads: 1,
      weights: golden.weights,
    });
    const found = differences(await session.run(feeds), golden, 'f64');
    note('float64 runtime', found);
    for (const [tensorName, d] of found) expect(d, tensorName).toBeLessThan(1e-9);
  });

  it('float32, run whole and then in pieces: 1e-4', async () => {
    await using decoder = await Decoder.open(golden.checkpoint, { threads: 1 });
    for (const inside of [false, true]) {
      const outputs = await float32Outputs(decoder, golden, inside);
      const found = differences(outputs, golden, 'f32');
      note(inside ? 'float32 in pieces' : 'float32', found);
      expect(found.size).toBe(3 + golden.config.blocks.length);
      for (const [tensorName, d] of found) expect(d, tensorName).toBeLessThan(1e-4);
      for (let i = 0; inside && i < decoder.nLayers; i++) {
        const mid = golden.values.get(`f64.resid_mid.${i}`) as Float64Array;
        expect(worst(outputs[`resid_mid.${i}`]?.data as Float32Array, mid, golden.ids)).toBeLessThan(1e-4);
      }
    }
  });

  it('and not when the config is a little wrong', () => {
    for (const [mistake, make] of mistakes) {
      const wrong = make(golden.config);
      if (wrong === undefined) continue;
      expect(largest(float64Differences(golden, wrong)), mistake).toBeGreaterThan(1e-7);
    }
  });
});
