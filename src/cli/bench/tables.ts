/** @file The figures of `bench` as rows of a table: what, rate, of the limit, limit. */
import { figure } from '../table.ts';
import type { AgainstFigures, Beside } from './against.ts';
import { type InferenceFigures, PREFILL } from './inference.ts';
import type { MapsFigures } from './maps.ts';
import type { SweepFigures } from './sweep.ts';
import { TRAINING, type TrainingFigures } from './training.ts';

export function inferenceRows(f: InferenceFigures): string[][] {
  const { memory } = f;
  return [
    ['float32 products', gflops(f.gemm.flops), '', f.gemm.probe],
    ['streaming read', gigabytes(f.read.bytes), '', f.read.probe],
    [
      `prefill ${PREFILL.rows} × ${PREFILL.tokens}`,
      `${tokens(f.prefill.tokens)}, ${gflops(f.prefill.flops)}`,
      percent(f.prefill.share),
      'products',
    ],
    [
      'decode, batch 1',
      `${tokens(f.decode_1.tokens)}, ${gigabytes(f.decode_1.bytes)}`,
      percent(f.decode_1.share),
      'streaming read',
    ],
    [
      'decode, batch 16',
      tokens(f.decode_16.tokens),
      `× ${figure(f.decode_16.times_decode_1)}`,
      'decode, batch 1',
    ],
    ['capture resid_post of all blocks', `+${percent(f.capture_overhead)} time`, '', 'prefill'],
    ['load, warm', `${figure(f.load_seconds)} s`, '', ''],
    [
      'memory high-water',
      `${figure(memory.high_water / 1e9)} GB`,
      `× ${figure(memory.ratio)}`,
      'float32 weights + keys and values',
    ],
  ];
}

export function trainingRows(f: TrainingFigures): string[][] {
  return [
    [
      `full training step ${TRAINING.rows} × ${TRAINING.tokens}`,
      `${tokens(f.full.tokens)}, ${gflops(f.full.flops)}`,
      percent(f.full.share),
      'products',
    ],
    ['LoRA training step', tokens(f.lora.tokens), `× ${figure(f.lora.times_full)}`, 'full step'],
    [
      'training memory high-water',
      `${figure(f.memory.high_water / 1e9)} GB`,
      `× ${figure(f.memory.high_water / f.memory.weights_f32)}`,
      'float32 weights',
    ],
  ];
}

export function sweepRows(f: SweepFigures): string[][] {
  const { accepted, continued, again } = f.ended;
  const all = `${f.same} of ${f.completions} completions the same${f.near_ties > 0 ? `, ${f.near_ties} near ties` : ''}`;
  return [
    [
      `sweep, plain way: ${f.blocks} blocks × ${f.prompts} prompts × ${f.new_tokens} tokens`,
      `${figure(f.plain.seconds)} s, ${figure(f.plain.cpu_seconds)} s of processors`,
      '',
      '',
    ],
    [
      'sweep by verified drafts',
      `${figure(f.drafts.seconds)} s, ${figure(f.drafts.cpu_seconds)} s of processors`,
      `× ${figure(f.times_faster)} faster (processors × ${figure(f.times_faster_cpu)})`,
      `plain way; ${all}`,
    ],
    [
      'unpatched completions, which both need',
      `${figure(f.unpatched.seconds)} s`,
      `× ${figure(f.times_faster_with_unpatched)} faster`,
      'plain way, these counted to the drafts alone',
    ],
    [
      'drafts',
      `${percent(f.acceptance)} of draft tokens accepted`,
      '',
      `${accepted} runs by a draft alone, ${continued} decoded on, ${again} decoded again`,
    ],
    [
      'memory high-water of the sweep',
      `${figure(f.drafts.high_water / 1e9)} GB`,
      `× ${figure(f.drafts.high_water / f.plain.high_water)}`,
      'plain way',
    ],
  ];
}

export function mapsRows(f: MapsFigures): string[][] {
  const { whole, quarter } = f;
  return [
    [
      `affine map ${f.source_width} → ${f.target_width}, ${whole.rows} rows`,
      `${figure(whole.fit_seconds)} s, ${figure(whole.cpu_seconds)} s of processors with the rows' making`,
      `fvu ${figure(whole.fvu)}`,
      '',
    ],
    [
      'memory above the same fit on a quarter of the rows',
      `${figure(f.growth / 1e6)} MB`,
      percent(f.growth / f.rows_bytes),
      `${figure(f.rows_bytes / 1e6)} MB of further rows; ${figure(quarter.high_water / 1e9)} GB before`,
    ],
  ];
}

/** Heading of {@link againstRows}. */
export const AGAINST_HEAD = ['what', 'ours', 'ours / llama.cpp', 'llama.cpp'];

export function againstRows(figures: AgainstFigures): string[][] {
  const ways = {
    exact: 'the quantised file, exact',
    fast: 'the quantised file, fast',
    f32: 'float32',
  } as const satisfies Record<keyof AgainstFigures, string>;
  return (Object.keys(ways) as (keyof AgainstFigures)[]).flatMap((way) => {
    const found = figures[way];
    if ('skipped' in found) return [[ways[way], `skipped: ${found.skipped}`]];
    const row = (what: string, { ours, theirs, ratio }: Beside): string[] => [
      `${ways[way]}: ${what}`,
      tokens(ours),
      `× ${figure(ratio)}`,
      tokens(theirs),
    ];
    return [
      row('decode, batch 1', found.decode_1),
      row('decode, batch 16', found.decode_16),
      row(`prefill ${PREFILL.rows} × ${PREFILL.tokens}`, found.prefill),
    ];
  });
}

const gflops = (rate: number): string => `${figure(rate / 1e9)} GFLOP/s`;
const gigabytes = (rate: number): string => `${figure(rate / 1e9)} GB/s`;
const tokens = (rate: number): string => `${figure(rate)} tokens/s`;
const percent = (share: number): string => `${figure(share * 100)} %`;
