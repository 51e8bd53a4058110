/**
 * @file Packed weights beside float32 ones of the same GGUF, on real text: docs/results/parity.md. One form in a process, so that a model need
 * not fit twice:
 *
 *     npx tsx scripts/packed-parity.ts write MODEL.gguf INSTRUCTIONS.jsonl FOLDER    # float32: logits, residual streams, completions
 *     npx tsx scripts/packed-parity.ts check MODEL.gguf INSTRUCTIONS.jsonl FOLDER    # packed, compared with them
 */
import { type FileHandle, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readTexts } from '../src/behaviours/index.ts';
import { LanguageModel } from '../src/models/index.ts';

const POSITIONS = 530;
const MOST_TOKENS = 128;
const PROMPTS = 10;
const NEW_TOKENS = 40;

const [what, path, data, folder] = process.argv.slice(2);
if (
  (what !== 'write' && what !== 'check') ||
  path === undefined ||
  data === undefined ||
  folder === undefined
)
  throw new Error('usage: packed-parity.ts write|check MODEL INSTRUCTIONS FOLDER');
await mkdir(folder, { recursive: true });
const started = performance.now();
await using model = await LanguageModel.load(path, { weights: what === 'write' ? 'f32' : 'packed' });
const loaded = performance.now();
const { texts } = await readTexts(data, { limit: 400 });
const ids = texts.map(({ text }) => model.toTokens(text)[0]!.slice(0, MOST_TOKENS));
const rows: number[][] = [];
for (let seen = 0; seen < POSITIONS; seen += rows.at(-1)!.length) rows.push(ids[rows.length]!);
const names = model.hookNames.filter((name) => name.endsWith('hook_resid_post'));
const d = model.config.dModel;
const found = { positions: 0, same: 0, near_ties: 0, largest_logit: 0, logit: 0, residual: 0 };

const file = await open(join(folder, 'float32.bin'), what === 'write' ? 'w' : 'r');
for (const row of rows) {
  const { logits, cache } = await model.runWithCache([row], { namesFilter: names });
  const streams = names.map((name) => cache.get(name).data);
  for (const values of [logits.data, ...streams])
    if (what === 'write') await file.write(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  if (what === 'check') {
    compareLogits(await next(file, logits.data.length), logits.data);
    for (const values of streams) compareStream(await next(file, values.length), values);
  }
}
await file.close();
const decoding = performance.now();
const completions = await model.generate(ids.slice(0, PROMPTS), { maxNewTokens: NEW_TOKENS, stopTokens: [] });
const tokens = completions.map((completion) => [...completion.ids]);
const seconds = (from: number, to: number): number => Number(((to - from) / 1000).toFixed(1));
const costs = {
  load_seconds: seconds(started, loaded),
  text_seconds: seconds(loaded, decoding),
  decode_seconds: seconds(decoding, performance.now()),
  high_water_mb: Math.round(process.resourceUsage().maxRSS / 1024),
};
const kept = join(folder, 'completions.json');
if (what === 'write') await writeFile(kept, JSON.stringify(tokens));
const before = JSON.parse(await readFile(kept, 'utf8')) as number[][];
const equal = tokens.filter((row, i) => JSON.stringify(row) === JSON.stringify(before[i])).length;
const parted = tokens.flatMap((row, i) => {
  const at = row.findIndex((id, t) => id !== before[i]![t]);
  return at < 0 ? [] : [{ prompt: i, at, smallest_gap: completions[i]!.smallestGap }];
});
console.log(
  JSON.stringify({ what, ...found, completions: `${equal} of ${tokens.length}`, parted, ...costs }, null, 1),
);

async function next(from: FileHandle, count: number): Promise<Float32Array> {
  const values = new Float32Array(count);
  const bytes = new Uint8Array(values.buffer);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await from.read(bytes, done, bytes.length - done);
    if (bytesRead === 0) throw new Error('float32.bin ends too early: write it again with the same text');
    done += bytesRead;
  }
  return values;
}

/** Best tokens, and the largest difference; near ties are positions whose two best logits lie within 1e-3. */
function compareLogits(wanted: Float32Array, got: Float32Array): void {
  const { vocabSize } = model.config;
  for (let start = 0; start < wanted.length; start += vocabSize) {
    const [a, b] = [wanted, got].map((all) => all.subarray(start, start + vocabSize)) as [
      Float32Array,
      Float32Array,
    ];
    const [best, other] = [a, b].map((row) => row.reduce((most, v, i) => (v > row[most]! ? i : most), 0)) as [
      number,
      number,
    ];
    found.positions++;
    if (best === other) found.same++;
    else if (a[best]! - a[other]! <= 1e-3) found.near_ties++;
    for (let i = 0; i < vocabSize; i++) {
      found.largest_logit = Math.max(found.largest_logit, Math.abs(a[i]!));
      found.logit = Math.max(found.logit, Math.abs(a[i]! - b[i]!));
    }
  }
}

/** Largest ‖Δ‖ / ‖h‖ of a position. */
function compareStream(wanted: Float32Array, got: Float32Array): void {
  for (let start = 0; start < wanted.length; start += d) {
    let [difference, size] = [0, 0];
    for (let i = start; i < start + d; i++) {
      difference += (wanted[i]! - got[i]!) ** 2;
      size += wanted[i]! ** 2;
    }
    found.residual = Math.max(found.residual, Math.sqrt(difference / size));
  }
}
