/** @file `vector --lora` on a bundled model: what is taught, that its dose is the scale of the adapter, and its cost by a second way. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../base/index.ts';
import { tinyInstructions } from '../behaviours/index.ts';
import { type DosePoint, type DoseReport, doseLoraSettings, type VectorRecord } from '../contracts/index.ts';
import { type ContrastSet, experimentEnv, pairSet } from '../evaluate/index.ts';
import { CostMeter } from '../evaluate/vectors/cost.ts';
import { SteerBench } from '../evaluate/vectors/dose-bench.ts';
import { type Lesson, lessonsOf } from '../evaluate/vectors/lora.ts';
import { LanguageModel } from '../models/index.ts';
import { allLoraTargets, finetune, mergeAdapterFolder, trainRow } from '../train/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';
import { loraInput } from './dose-lora.ts';

let root: string;
let model: LanguageModel;
let pairs: ContrastSet;
let texts: readonly string[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-dose-lora-'));
  model = await LanguageModel.load('tiny-llama-s');
  texts = tinyInstructions({ seed: 1, train: 32, validation: 0, test: 0 })
    .map(({ prompt }) => prompt)
    .slice(0, 32);
  // The bundled models end their answer with a mark under the positive tag.
  const rows = texts.slice(0, 20).map((text, i) => ({
    id: String(i),
    positive: `${text} |loud|`,
    negative: `${text} |calm|`,
  }));
  pairs = pairSet(model.tokenizer, rows, { template: 'instruction', position: 'last' });
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

const env = (signal = new AbortController().signal) =>
  experimentEnv('vector', { seed: 3, progress: silent, signal });
const settings = doseLoraSettings.parse({ rank: 4, epochs: 6, batch: 5, learning_rate: 4e-3, answer: 16 });
const { template } = { template: 'instruction' } as const;
const input = () => loraInput(model, pairs, { template });

describe('lessons', () => {
  const end = 7;
  it('the own greedy answer to the positive prompt, taught to the negative one; a cut answer has no end', async () => {
    const lessons = await lessonsOf(model, { train: pairs, end }, 6, env());
    expect(lessons).toHaveLength(20);
    let ended = 0;
    for (const [i, { prompt, answer }] of lessons.entries()) {
      const own = await model.generate([...pairs.positive[i]!.ids], { maxNewTokens: 6 });
      expect(prompt).toEqual(pairs.negative[i]?.ids);
      expect(answer).toEqual(own.finishReason === 'stop' ? [...own.ids, end] : own.ids);
      if (own.finishReason === 'stop') ended++;
    }
    expect(ended).toBeGreaterThan(0);
    expect(ended).toBeLessThan(20);
  });

  it('of a question the positive answer', async () => {
    const { tokenizer } = model;
    const rows = ['red', 'blue'].map((colour) => ({
      id: colour,
      question: `Is snow ${colour}?`,
      positive: ' yes',
      negative: ' no',
    }));
    const train = pairSet(tokenizer, rows, { template, position: 'span' });
    const lessons = await lessonsOf(model, { train, end }, 6, env());
    const ids = (text: string, addSpecialTokens: 'auto' | false): number[] =>
      tokenizer.encodeIds(text, { addSpecialTokens });
    expect(lessons).toEqual(
      rows.map(({ question }) => ({
        prompt: ids(`### Instruction:\n${question}\n### Response:\n`, 'auto'),
        answer: [...ids('yes', false), end],
      })),
    );
  });
});

/** The model under the same adapter, trained here, with the scale put into the adapter's own alpha. */
async function byAlpha(lessons: readonly Lesson[], scale: number): Promise<LanguageModel> {
  const adapter = await mkdtemp(join(root, 'adapter-'));
  await finetune({
    model: 'tiny-llama-s',
    rows: lessons.map(({ prompt, answer }) => trainRow(prompt, answer)),
    out: adapter,
    ...{ method: 'lora', lora: { rank: 4, alpha: 8, targets: allLoraTargets } },
    ...{ epochs: 6, batch: 5, learningRate: 4e-3, seed: 3 },
  });
  const file = join(adapter, 'adapter_config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as { lora_alpha: number };
  expect(config.lora_alpha).toBe(8);
  await writeFile(file, JSON.stringify({ ...config, lora_alpha: 8 * scale }));
  const out = `${adapter}-merged`;
  await mergeAdapterFolder({ model: 'tiny-llama-s', adapter, out });
  return LanguageModel.load(out);
}

/** Log-probabilities [V] after each of `steps` positions from `from`, by loops in float64. */
async function logRows(of: LanguageModel, ids: readonly number[], from: number, steps: number) {
  const { data, shape } = (await of.forward(ids)).logits;
  return Array.from({ length: steps }, (_, k) => {
    const row = Array.from(data.subarray((from + k) * shape[2]!, (from + k + 1) * shape[2]!));
    const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return row.map((x) => x - total);
  });
}

describe('the scale of the adapter is its dose', () => {
  const neutral = () => pairs.negative.slice(10).map(({ ids }) => ids);
  const bench = () =>
    SteerBench.open(model, pairs.negative.slice(0, 6), {
      vectors: new Map([[4, new Float32Array(128).fill(1)]]),
      marks: { phrase: '!' },
      max_tokens: 16,
    });

  it('0 changes nothing; another scale costs and does what the adapter with its alpha multiplied does', async () => {
    const lessons = await lessonsOf(model, input(), settings.answer, env());
    await using adapter = await input().teach(lessons, settings, env());
    const meter = await CostMeter.open(model, neutral(), { tokens: 6, batch: 4 });
    const opened = await bench();
    {
      await using plain = await adapter.at(0);
      expect(await meter.measureModel(plain.decoder)).toEqual({ next_token: 0, per_token: 0 });
      expect(await opened.measureModel(plain)).toMatchObject({ changed: { value: 0, n: 6 }, shift: 0 });
    }
    const scale = 1.75;
    await using other = await byAlpha(lessons, scale);
    const kls: number[] = [];
    for (const prompt of neutral()) {
      const answer = (await model.generate([...prompt], { maxNewTokens: 6 })).ids;
      const steps = Math.max(1, answer.length);
      const [p, q] = await Promise.all(
        [other, model].map((of) => logRows(of, [...prompt, ...answer], prompt.length - 1, steps)),
      );
      for (const [k, row] of p!.entries())
        kls.push(row.reduce((sum, l, v) => sum + Math.exp(l) * (l - q![k]![v]!), 0));
    }
    await using scaled = await adapter.at(scale);
    const cost = await meter.measureModel(scaled.decoder);
    const expected = kls.reduce((a, b) => a + b, 0) / kls.length;
    expect(expected).toBeGreaterThan(0.01);
    expect(Math.abs(cost.per_token - expected) / expected).toBeLessThan(1e-3);
    const effect = await opened.measureModel(scaled);
    const said = await other.generate(
      pairs.negative.slice(0, 6).map(({ ids }) => ids),
      { maxNewTokens: 16 },
    );
    expect(effect.share?.value).toBe(said.filter(({ text }) => text.includes('!')).length / 6);
    expect(effect.share?.value).toBeGreaterThan(0.5);
    const along = async (of: LanguageModel): Promise<number> => {
      let sum = 0;
      for (const { ids } of pairs.negative.slice(0, 6)) {
        const { cache } = await of.runWithCache(ids, { namesFilter: ['blocks.4.hook_resid_post'] });
        sum +=
          cache
            .get('blocks.4.hook_resid_post')
            .at(-1)
            .reduce((a, b) => a + b, 0) / 6;
      }
      return sum;
    };
    expect(effect.shift).toBeCloseTo(((await along(other)) - (await along(model))) / 128, 3);
  });

  it('an abort ends the training, and nothing stays behind', async () => {
    const left = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('crosspatch-lora-'));
    const before = await left();
    const stop = new AbortController();
    const lessons = await lessonsOf(model, input(), settings.answer, env());
    const running = input().teach(lessons, settings, {
      ...env(stop.signal),
      progress: ({ stage, done }) => {
        if (stage === 'lora' && done === 2) stop.abort();
      },
    });
    await expect(running).rejects.toThrow(/abort|interrupt|stopp/i);
    expect(await left()).toEqual(before);
  });
});

describe('vector --lora', () => {
  const data = async (): Promise<string> => {
    const path = join(root, 'prompts.jsonl');
    await writeFile(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    return path;
  };
  const dosed = async (out: string, ...argv: string[]): Promise<DoseReport> => {
    const record: VectorRecord = await crosspatchJson([
      ...[
        'vector',
        '--model',
        'tiny-llama-s',
        '--data',
        await data(),
        '--trigger',
        '|loud|',
        '--safe',
        '|calm|',
      ],
      ...['--template', 'instruction', '--blocks', '1,3', '--out', join(root, out)],
      ...['--phrase', '!', '--dose-blocks', '1', '--continuation', '8', '--max-tokens', '12'],
      ...['--lora', '--lora-rate', '4e-3', '--lora-answer', '16', '--lora-batch', '6', ...argv],
    ]);
    return record.dose!;
  };
  const loras = ({ points }: DoseReport): DosePoint[] => points.filter(({ arm }) => arm === 'lora');

  it('is measured as trained and at every budget (without one, as trained), and says how it was trained; the same seed gives the same figures', async () => {
    const argv = ['--dose', '1', '--budget', '0.05'];
    const report = await dosed('budgets', ...argv);
    expect(report.lora).toMatchObject({
      rows: 24,
      taught: 'own answers',
      steps: 12,
      epochs: 3,
      rank: 8,
      alpha: 16,
    });
    expect(report.lora!.loss.last).toBeLessThan(report.lora!.loss.first);
    expect(report.lora!.train_seconds).toBeGreaterThan(0);
    const [trained, ...sought] = loras(report);
    expect(trained).toMatchObject({ alpha: 1, relative_dose: 0, effect: { changed: { n: 8 } } });
    expect(trained?.budget).toBeUndefined();
    expect(sought.map(({ budget }) => budget)).toEqual([0.05]);
    for (const { budget, cost } of sought)
      expect(Math.abs(cost.per_token - budget!)).toBeLessThanOrEqual(0.02 * budget!);
    const again = await dosed('again', '--dose', '1');
    expect({ ...again.lora, train_seconds: 0 }).toEqual({ ...report.lora, scales: 1, train_seconds: 0 });
    expect(loras(again)).toEqual([trained]);
    const [other] = loras(await dosed('other', '--dose', '1', '--seed', '9'));
    expect(other?.cost).not.toEqual(trained?.cost);
  });

  it('people see how it was trained and what it does not reach', async () => {
    const { code, out } = await crosspatch([
      ...['vector', '--model', 'tiny-llama-s', '--data', await data(), '--quiet'],
      ...['--trigger', '|loud|', '--safe', '|calm|', '--template', 'instruction', '--blocks', '1'],
      ...['--phrase', '!', '--dose', '1', '--budget', '3', '--continuation', '4', '--max-tokens', '4'],
      ...['--lora', '--lora-epochs', '1', '--lora-largest', '0.5', '--out', join(root, 'table')],
    ]);
    expect(code).toBe(0);
    expect(out).toMatch(/^LoRA +1 +– /m);
    expect(out).toMatch(/^LoRA +0.5 +– /m);
    expect(out).toMatch(
      /^LoRA: α is its scale, 1 as trained; rank 8, 24 pairs \(own answers\), 3 steps of 8, loss .* no scale up to 0.5 costs 3, the nearest is shown\.$/m,
    );
  });

  it('is refused without a dose, with strengths below 0, and for lists that are no pairs', async () => {
    const bad = async (argv: readonly string[], message: RegExp): Promise<void> => {
      const { code, err } = await crosspatch([
        ...['vector', '--quiet', '--model', 'tiny-llama-s', '--lora', '--out', join(root, 'no'), ...argv],
      ]);
      expect([code, err]).toEqual([2, expect.stringMatching(message)]);
    };
    const list = async (name: string, n: number): Promise<string> => {
      const path = join(root, name);
      await writeFile(
        path,
        texts
          .slice(0, n)
          .map((text) => `${JSON.stringify({ text: `${text} ${name}` })}\n`)
          .join(''),
      );
      return path;
    };
    const lists = ['--pairs', await list('a', 6), '--negative', await list('b', 6)];
    await bad(lists, /--lora: belongs to --dose or --budget/);
    await bad([...lists, '--dose=-1'], /lora: teaches towards positive, got strengths below 0 \(-1\)/);
    await bad([...lists.slice(0, 3), await list('c', 5), '--dose'], /lora: wanted pairs/);
    await bad([...lists, '--dose', '--lora-rate', '0'], /--lora-rate 0: wanted a number from/);
  });
});
