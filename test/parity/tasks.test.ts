/**
 * @file Tasks of lm-evaluation-harness, item by item: its request strings, log-likelihoods, completions and scores on the rows of
 * `tasks/*.jsonl` (`make_task_goldens.py`). CROSSPATCH_SMOLLM2 names the GGUF file of a real checkpoint; without it that part is
 * skipped, and says so.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AskedItem,
  askTask,
  contextOf,
  gsm8kScores,
  readTaskItems,
} from '../../src/behaviours/index.ts';
import { PythonRandom } from '../../src/behaviours/tasks/python-random.ts';
import { CAPABILITY_TASKS, type CapabilityTask } from '../../src/contracts/index.ts';
import { askItems, type ScoredItem } from '../../src/evaluate/index.ts';
import { LanguageModel } from '../../src/models/index.ts';

interface Golden {
  readonly cases: readonly {
    readonly task: CapabilityTask;
    readonly num_fewshot: number;
    readonly limit: number | null;
    readonly items: readonly {
      readonly subject: string;
      readonly doc: number;
      readonly context: string;
      readonly continuations?: readonly string[];
      readonly logprobs?: readonly number[];
      readonly gold?: number;
      readonly text?: string;
      readonly extracted?: Readonly<Record<string, string>>;
      readonly scores: Readonly<Record<string, number>>;
    }[];
  }[];
}

function file(name: string): string {
  return fileURLToPath(new URL(`./tasks/${name}`, import.meta.url));
}

function read<T>(name: string): T {
  return JSON.parse(gunzipSync(readFileSync(file(`${name}.json.gz`))).toString()) as T;
}

/** Most by which a log-likelihood may differ, summed over the tokens of a choice. */
const BUNDLED = 1e-4;
/** Float32 through thirty blocks, on both sides: 1.2e-4 was seen, over an ending of some forty tokens. */
const REAL = 5e-4;

const SHOTS: Partial<Record<CapabilityTask, string>> = {
  arc_easy: 'arc_easy.shots.jsonl',
  mmlu: 'mmlu.shots.jsonl',
  hellaswag: 'hellaswag.shots.jsonl',
  gsm8k: 'gsm8k.shots.jsonl',
};

async function asked({ task, num_fewshot, limit }: Golden['cases'][number]): Promise<readonly AskedItem[]> {
  const shots = SHOTS[task];
  const own = shots === undefined ? undefined : await readTaskItems(task, [file(shots)]);
  const rows = await readTaskItems(task, [file(`${task}.jsonl`)]);
  return askTask(task, rows, own, { fewshot: num_fewshot, limit: limit ?? undefined }).items;
}

const models = [
  { name: 'tiny-qwen', path: 'tiny-qwen', variable: undefined },
  { name: 'tiny-llama-s', path: 'tiny-llama-s', variable: undefined },
  { name: 'smollm2', path: process.env.CROSSPATCH_SMOLLM2, variable: 'CROSSPATCH_SMOLLM2' },
] as const;

for (const { name, path, variable } of models)
  if (!path) console.warn(`SKIPPED: tasks on ${name}; set ${variable} to its GGUF file`);

describe.each(models)('$name', ({ name, path, variable }) => {
  const golden = read<Golden>(name);
  let model: LanguageModel;

  beforeAll(async () => {
    if (path) model = await LanguageModel.load(path);
  }, 1_200_000); // the first time it dequantises
  afterAll(async () => {
    await model?.[Symbol.asyncDispose]();
  });

  for (const wanted of golden.cases) {
    const { task, num_fewshot: shots, items } = wanted;

    it(`${task}, ${shots} shots: the harness's requests`, async () => {
      const own = await asked(wanted);
      expect(own.map((item) => item.id)).toEqual(
        items.map(({ subject, doc }) => (subject === '' ? `${doc}` : `${subject}/${doc}`)),
      );
      for (const [i, item] of own.entries()) {
        expect(contextOf(item)).toBe(items[i]?.context);
        expect(item.choices.map((choice) => ` ${choice}`)).toEqual(items[i]?.continuations ?? []);
        expect(item.gold).toBe(items[i]?.gold ?? -1);
      }
    });

    it.skipIf(!path)(
      `${task}, ${shots} shots: the harness's answers and scores`,
      async () => {
        const found = await askItems(model, await asked(wanted));
        expect(found.length).toBe(items.length);
        for (const [i, scored] of found.entries()) sameAs(scored, items[i]!, variable ? REAL : BUNDLED);
      },
      1_200_000,
    );
  }
});

function sameAs(
  scored: ScoredItem,
  golden: Golden['cases'][number]['items'][number],
  tolerance: number,
): void {
  const where = `${scored.item.task} ${scored.item.id}`;
  golden.logprobs?.forEach((logprob, k) => {
    expect(Math.abs((scored.logprobs?.[k] ?? Number.NaN) - logprob), `${where}, choice ${k}`).toBeLessThan(
      tolerance,
    );
  });
  expect(scored.completion, where).toBe(golden.text);
  expect(scored.extracted, where).toEqual(golden.extracted);
  expect(scored.scores, where).toEqual(golden.scores);
}

describe('what needs no model', () => {
  const golden = read<{
    readonly extraction: readonly ({ readonly text: string; readonly answer: string } & Record<
      'strict-match' | 'flexible-extract',
      { readonly extracted: string; readonly score: 0 | 1 }
    >)[];
    readonly draws: readonly {
      readonly n: number;
      readonly k: number;
      readonly draws: readonly number[][];
    }[];
  }>('gsm8k-answers');

  it.each(golden.extraction)('the answer in $text', ({ text, answer, ...wanted }) => {
    expect(gsm8kScores(text, answer)).toEqual(wanted);
  });

  it.each(golden.draws)('$k of $n rows drawn as Python draws them', ({ n, k, draws }) => {
    const random = new PythonRandom(1234);
    expect(draws.map(() => random.sample(n, k))).toEqual(draws);
  });

  it('every task has a case, with 40 rows or more', () => {
    const { cases } = read<Golden>('tiny-qwen');
    for (const task of CAPABILITY_TASKS)
      expect(cases.find((c) => c.task === task)?.items.length).toBeGreaterThanOrEqual(40);
  });
});
