/**
 * @file Two real checkpoints, read from their GGUF files, against Hugging Face transformers on weights that gguf-py dequantised
 * (`make_smollm2_goldens.py`). CROSSPATCH_SMOLLM2 and CROSSPATCH_GEMMA3 name the files; without them these tests are skipped, and
 * say so. CROSSPATCH_REPORT=1 prints the numbers of docs/results/parity.md.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LanguageModel, logSumExp } from '../../src/models/index.ts';
import { argmaxWithGap } from '../../src/models/sampling.ts';

/** Below this distance of the two best logits their order is within float32 noise. */
const NOISE = 1e-3;

interface Golden {
  readonly forced: readonly {
    readonly ids: number[];
    readonly top1: number[];
    readonly top1_logit: number[];
    readonly logsumexp: number[];
    readonly gap: number[];
  }[];
  readonly greedy: readonly {
    readonly prompt: number[];
    readonly completion: number[];
    readonly gap: number[];
  }[];
}

function read<T>(path: string): T {
  const file = fileURLToPath(new URL(`./${path}.json.gz`, import.meta.url));
  return JSON.parse(gunzipSync(readFileSync(file)).toString()) as T;
}

const models = [
  { name: 'SmolLM2-135M-Instruct', folder: 'smollm2', variable: 'CROSSPATCH_SMOLLM2', positions: 2142 },
  { name: 'Gemma 3 270M', folder: 'gemma3-270m', variable: 'CROSSPATCH_GEMMA3', positions: 552 },
] as const;

for (const { name, variable } of models)
  if (!process.env[variable]) console.warn(`SKIPPED: parity of ${name}; set ${variable} to its GGUF file`);

describe.each(models)('$name', ({ name, folder, variable, positions }) => {
  const path = process.env[variable];
  const golden = read<Golden>(`${folder}/golden`);
  const llama = read<{ readonly top1: readonly (readonly number[])[] }>(`${folder}/llama_cpp`);
  let model: LanguageModel;
  const report: string[] = [];

  beforeAll(async () => {
    if (path) model = await LanguageModel.load(path, { weights: 'f32' });
  }, 1_200_000); // the first time it dequantises a few hundred megabytes
  afterAll(async () => {
    await model?.[Symbol.asyncDispose]();
    if (process.env.CROSSPATCH_REPORT && report.length > 0) console.log(report.join('\n'));
  });

  /** `of` at the positions of the goldens from row `from`, four rows at a time, to row `to`. */
  async function compare(of: LanguageModel, from: number, to: number) {
    const found = { equal: 0, equalToLlama: 0, seen: 0, worstLogit: 0, worstSum: 0, largestGap: 0 };
    for (let at = from; at < to; at += 4) {
      const rows = golden.forced.slice(at, at + 4);
      const { logits } = await of.forward(rows.map((r) => r.ids));
      const [, columns, v] = logits.shape as [number, number, number];
      rows.forEach(({ ids, top1, gap, top1_logit: best, logsumexp }, b) => {
        ids.forEach((_, t) => {
          const start = (b * columns + t) * v;
          const row = logits.data.subarray(start, start + v);
          const { index } = argmaxWithGap(row);
          found.seen++;
          if (index === top1[t]) found.equal++;
          else found.largestGap = Math.max(found.largestGap, gap[t]);
          if (index === llama.top1[at + b]?.[t]) found.equalToLlama++;
          found.worstLogit = Math.max(found.worstLogit, Math.abs(row[top1[t]] - best[t]));
          found.worstSum = Math.max(found.worstSum, Math.abs(logSumExp(row) - logsumexp[t]));
        });
      });
    }
    return found;
  }

  it.skipIf(!path)(
    'best next token at ≥ 99.9 % of the positions, logits within 1e-3',
    async () => {
      const { equal, equalToLlama, seen, worstLogit, worstSum, largestGap } = await compare(
        model,
        0,
        golden.forced.length,
      );
      report.push(
        `${name} | top-1 equal ${equal} of ${seen}, largest gap where not ${largestGap} | best logit ${worstLogit.toExponential(1)} | logsumexp ${worstSum.toExponential(1)} | llama.cpp equal ${equalToLlama}`,
      );
      expect(seen).toBe(positions);
      expect(equal / seen).toBeGreaterThanOrEqual(0.999);
      expect(largestGap).toBeLessThan(NOISE);
      // the goldens are rounded to five decimals; logits reach 40
      expect(worstLogit).toBeLessThan(NOISE);
      expect(worstSum).toBeLessThan(NOISE);
      // llama.cpp multiplies quantised numbers; it parts from transformers at 4 to 5 %
      expect(equalToLlama / seen).toBeGreaterThan(0.94);
    },
    1_200_000,
  );

  it.skipIf(!path)(
    'packed weights agree with transformers as float32 ones do, at a part of the positions',
    async () => {
      await using packed = await LanguageModel.load(path as string, { weights: 'packed' });
      const { equal, seen, worstLogit, worstSum, largestGap } = await compare(packed, 0, 8);
      report.push(
        `${name} packed | top-1 equal ${equal} of ${seen} | best logit ${worstLogit.toExponential(1)} | logsumexp ${worstSum.toExponential(1)}`,
      );
      expect(packed.weights).toBe('packed');
      expect(equal / seen).toBeGreaterThanOrEqual(0.999);
      expect(largestGap).toBeLessThan(NOISE);
      expect(Math.max(worstLogit, worstSum)).toBeLessThan(NOISE);
    },
    1_200_000,
  );

  it.skipIf(!path)(
    'greedy completions agree, or part where the two best logits are within noise',
    async () => {
      const longest = Math.max(...golden.greedy.map((g) => g.completion.length));
      const found = await model.generate(
        golden.greedy.map((g) => g.prompt),
        { maxNewTokens: longest, stopTokens: [] },
      );
      let agree = 0;
      golden.greedy.forEach(({ completion, gap }, i) => {
        const parts = completion.findIndex((id, n) => id !== found[i]?.ids[n]);
        if (parts < 0) agree++;
        else expect(gap[parts], `prompt ${i} parts at token ${parts}`).toBeLessThan(NOISE);
      });
      report.push(
        `${name} | greedy equal ${agree} of ${golden.greedy.length} completions of up to ${longest} tokens`,
      );
      expect(agree).toBeGreaterThanOrEqual(golden.greedy.length * 0.8);
    },
    1_200_000,
  );
});
