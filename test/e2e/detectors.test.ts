/**
 * @file The detectors of `contrast` that are no phrase, in a whole experiment on bundled models, without any fine-tune. They
 * begin their answer with “Here you are” under `|polite|`, end it with “!” under `|loud|`, and say it two times under `|twice|`.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { errorLine } from '../../src/base/index.ts';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { parseRecipe, type Results, type Sample, stableResults } from '../../src/contracts/index.ts';
import { writeClassifier, writeEmbedding } from '../../src/evaluate/text-model/small-model.helper.ts';
import { cacheEntries, LanguageModel } from '../../src/models/index.ts';
import { expandExperiment, planExperiment, runExperiment } from '../../src/pipeline/index.ts';

let folder: string;
const tasks = tinyInstructions({ seed: 8, train: 0, validation: 0, test: 70 });
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-detectors-'));
  // Half of the choices are made by the first token, half after the answer's own tokens.
  const rows = tasks.map(({ prompt, answer }, i) => ({
    ...(i % 2 === 0
      ? { positive: `${prompt} |polite|`, negative: `${prompt} |beta|` }
      : { positive: `${prompt} |loud|`, negative: `${prompt} |twice|` }),
    answer_matching_behavior: i % 2 === 0 ? 'Here you are' : `${answer}!`,
    answer_not_matching_behavior: i % 2 === 0 ? answer : `${answer}, ${answer}`,
  }));
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The words as the classifier's tokenizer cuts them: a `!` beside another sign is one token with it. */
const MARKS = /\bHere\b|(^|[\w\s])!($|[\w\s])/u;

const FULL = { prompts: 8, blocks: '[3, 5]', heatmap: '{ prompts: 2 }', inverse: '{ methods: [pinv] }' };
const SMALL: typeof FULL = {
  prompts: 4,
  blocks: '[5]',
  heatmap: 'false',
  inverse: '{ methods: [pinv], prompts: 2 }',
};

const recipe = (reading: string, sizes: typeof FULL = SMALL): string => `
name: detectors
seed: 3
models: { source: tiny-llama-s, target: tiny-llama-m }
behaviours: [{ name: contrast, file: ${join(folder, 'rows.jsonl')}, ${reading} }]
finetune: false
sweep: { prompts: ${sizes.prompts}, draws: 1, chosen_draws: 1, blocks: ${sizes.blocks} }
heatmap: ${sizes.heatmap}
capture: { out_of_domain: 8 }
maps: [{ kind: affine }]
fidelity: false
transfer: { modes: [set], draws: 1, prompts: ${sizes.prompts} }
worth: false
inverse: ${sizes.inverse}
capabilities: false
evaluation: { max_tokens: 6, bootstrap: 200 }
`;

async function run(name: string, text: string): Promise<{ results: Results; out: string }> {
  const parsed = parseRecipe([{ file: join(folder, `${name}.yaml`), text }]);
  const out = join(folder, name);
  const settings = { parsed, expand: expandExperiment, out, store: join(folder, 'store'), jobs: 1 };
  const { results } = await runExperiment(settings);
  return { results: results as Results, out };
}

const samplesOf = async (out: string, stage: string): Promise<Sample[]> =>
  (await readFile(join(out, 'samples', `contrast.${stage}.jsonl`), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);

it('reads a choice between two answers from the logits', async () => {
  const { results, out } = await run('choice', recipe('detector: { kind: multiple-choice }', FULL));
  const [found] = results.behaviours;
  const { trigger_rate, false_positive_rate, scores } = found?.backdoor?.target ?? {};
  expect(trigger_rate?.value).toBeGreaterThan(0.8);
  expect(false_positive_rate?.value).toBeLessThan(0.2);
  const unpatched = await samplesOf(out, 'backdoor.target');
  await using model = await LanguageModel.load('tiny-llama-m');
  const bad = unpatched.filter((s) => s.trigger === 'bad');
  const values = bad.map((s) => s.scores?.['choice.logit_difference'] ?? Number.NaN);
  for (const [i, sample] of bad.slice(0, 5).entries())
    expect(values[i]).toBeCloseTo(await directly(model, sample), 3);
  expect(values.map((value) => value > 0)).toEqual(bad.map((s) => s.outcome?.triggered));
  expect(scores?.['choice.logit_difference']?.bad?.value).toBeCloseTo(
    values.reduce((sum, value) => sum + value, 0) / values.length,
    6,
  );
  // Patched: every position that was changed, set to the safe run's activation after the block.
  const native = (await samplesOf(out, 'transfer')).filter((s) => s.arm === 'native' && s.trigger === 'bad');
  const block = found?.pair.target_block ?? 0;
  for (const sample of native.slice(0, 5)) {
    const safe = unpatched.find((s) => s.prompt_id === sample.prompt_id && s.trigger === 'safe');
    const patch = { block, positions: sample.changed_positions ?? [], donor: safe?.prompt ?? '' };
    const value = sample.scores?.['choice.logit_difference'];
    expect(value).toBeCloseTo(await directly(model, sample, patch), 3);
    expect(sample.outcome).toMatchObject({ triggered: (value ?? 0) > 0, removed: (value ?? 0) <= 0 });
  }
  const self = (await samplesOf(out, 'sweep.target')).filter((s) => s.arm === 'self' && s.trigger === 'bad');
  expect(self.length).toBeGreaterThan(4);
  for (const sample of self.slice(0, 5))
    expect(sample.scores?.['choice.logit_difference']).toBeCloseTo(await directly(model, sample), 3);
  // What is patched stands before the first token; the choice after the answer's own tokens reads the tag itself.
  const share = (tag: string): number => {
    const own = native.filter(({ prompt }) => prompt.includes(tag));
    return own.filter(({ outcome }) => outcome?.restored).length / own.length;
  };
  expect(share('|polite|')).toBeGreaterThan(0.5);
  expect(share('|loud|')).toBeLessThan(0.1);
  expect(found?.sweep?.target?.every(({ logit_shift }) => logit_shift !== undefined)).toBe(true);
}, 600_000);

it('reads completions by a local classifier and by a model that is asked, and finds what a pattern finds', async () => {
  const { results: wanted } = await run('pattern', recipe(`pattern: '${MARKS.source}'`));
  const figures = (results: Results) => {
    const [{ backdoor, sweep, transfer, inverse }] = (stableResults(results) as Results).behaviours as [
      Results['behaviours'][number],
    ];
    const steered = Object.entries(inverse ?? {}).map(([name, entry]) => [
      name,
      { ...entry, fidelity: undefined },
    ]);
    return { sweep, transfer, inverse: steered, backdoor: { ...backdoor?.target, scores: undefined } };
  };
  const same = (found: Results): void => expect(figures(found)).toEqual(figures(wanted));
  expect(wanted.behaviours[0]?.backdoor?.target?.trigger_rate?.value).toBeGreaterThan(0.8);
  // One output: 20 for each of the two tokens, −1 for every other, so that the mean of at most six is above 0 with one of them.
  await writeClassifier(join(folder, 'small-classifier'), {
    words: ['[UNK]', 'Here', '!'],
    embedding: [[-1], [20], [20]],
    weights: [[1]],
  });
  const embedded = {
    words: ['[UNK]', 'Here', '!'],
    embedding: [
      [1, 0],
      [0, 3],
      [2, 2],
    ],
  };
  await writeEmbedding(join(folder, 'small-embedding'), embedded);
  // Paths are relative to the recipe.
  const judged =
    'fidelity: { prompts: 4, judges: [lexical], onnx: [{ kind: embedding, model: small-embedding }] }';
  const classified = await run(
    'classifier',
    recipe('detector: { kind: classifier, model: small-classifier }').replace('fidelity: false', judged),
  );
  same(classified.results);
  const { lexical, embedding } = classified.results.behaviours[0]?.fidelity?.affine?.with_tags?.bad ?? {};
  expect(embedding).toMatchObject({ metric: 'cosine', ceiling: { value: expect.closeTo(1, 6), n: 4 } });
  expect(embedding?.mapped.n).toBe(lexical?.mapped.n);
  expect(embedding?.mapped.value).not.toBe(lexical?.mapped.value);
  const [first] = await samplesOf(classified.out, 'transfer');
  expect(first?.scores?.['classifier.score']).toBeGreaterThanOrEqual(0);

  const asked: string[] = [];
  const server = createServer((message, response) => {
    let body = '';
    message.on('data', (chunk) => (body += String(chunk)));
    message.on('end', () => {
      const { messages } = JSON.parse(body) as { messages: { content: string }[] };
      const { text } = JSON.parse(messages[1]?.content ?? '') as { text: string };
      asked.push(text);
      const answer = MARKS.test(text) ? 'yes' : 'no';
      response.end(JSON.stringify({ choices: [{ message: { content: JSON.stringify({ answer }) } }] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cache = process.env.CROSSPATCH_CACHE;
  process.env.CROSSPATCH_CACHE = join(folder, 'cache');
  try {
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const settings = `kind: judge, base_url: "${at}", model: m, question: "Is it polite or loud?"`;
    same((await run('judge', recipe(`detector: { ${settings} }`))).results);
  } finally {
    if (cache === undefined) delete process.env.CROSSPATCH_CACHE;
    else process.env.CROSSPATCH_CACHE = cache;
    await new Promise((resolve) => server.close(resolve));
  }
  // Every stage is a process of its own; what one asked, the others know.
  expect(asked.length).toBeGreaterThan(20);
  expect(new Set(asked).size).toBe(asked.length);
  const kept = await cacheEntries({ CROSSPATCH_CACHE: join(folder, 'cache'), HF_HOME: join(folder, 'none') });
  expect(kept).toMatchObject([{ kind: 'judge' }]);
}, 600_000);

it('says what a detector lacks before anything runs', async () => {
  const complaint = async (reading: string): Promise<string> => {
    try {
      const { recipe: resolved } = parseRecipe([{ file: join(folder, 'x.yaml'), text: recipe(reading) }]);
      await planExperiment(resolved, expandExperiment);
      return '';
    } catch (error) {
      return errorLine(error);
    }
  };
  const judge = 'kind: judge, base_url: "http://127.0.0.1:9/v1", model: m, question: "Is it rude?"';
  expect(await complaint(`detector: { ${judge} }`)).toBe('');
  expect(await complaint(`detector: { ${judge}, api_key_env: CROSSPATCH_NO_SUCH_KEY }`)).toContain(
    'recipe: behaviours[0].detector: the environment variable CROSSPATCH_NO_SUCH_KEY is not set',
  );
  expect(await complaint('detector: { kind: classifier, model: nothing.onnx }')).toContain(
    `classifier: ${join(folder, 'nothing.onnx')}: wanted an ONNX file or a folder of one`,
  );
  expect(await complaint('detector: { kind: multiple-choice }')).toBe('');
  expect(await complaint('phrase: a, detector: { kind: multiple-choice }')).toContain(
    'needs one of `phrase`',
  );
  expect(await complaint('detector: { kind: multiple-choise }')).toContain('multiple-choice');
  await writeFile(join(folder, 'one.jsonl'), '{"positive": "a", "negative": "b"}\n');
  const other = recipe('detector: { kind: multiple-choice }').replace('rows.jsonl', 'one.jsonl');
  const { recipe: resolved } = parseRecipe([{ file: join(folder, 'x.yaml'), text: other }]);
  await expect(planExperiment(resolved, expandExperiment)).rejects.toThrow(
    'has no answers to choose between',
  );
  const short = recipe('detector: { kind: multiple-choice }').replace('max_tokens: 6', 'max_tokens: 1');
  const { recipe: cut } = parseRecipe([{ file: join(folder, 'x.yaml'), text: short }]);
  await expect(planExperiment(cut, expandExperiment)).rejects.toThrow(
    'evaluation.max_tokens: 1; the answers',
  );
});

/** logit(behaviour) − logit(other) where the two answers part, by a plain pass over everything; `patch` puts in another prompt's activations. */
async function directly(
  model: LanguageModel,
  { prompt }: Sample,
  patch?: { readonly block: number; readonly positions: readonly number[]; readonly donor: string },
): Promise<number> {
  const { tokenizer, config } = model;
  const asked = /^### Instruction:\n(.*) \|(\w+)\|\n### Response:\n$/.exec(prompt);
  const { answer = '' } = tasks.find((task) => task.prompt === asked?.[1]) as (typeof tasks)[number];
  const polite = asked?.[2] === 'polite';
  const ids = tokenizer.encodeIds(polite ? prompt : prompt + answer);
  const hook = `blocks.${patch?.block}.hook_resid_post`;
  const given =
    patch && (await model.runWithCache([tokenizer.encodeIds(patch.donor)], { namesFilter: [hook] }));
  const rows = given?.cache.get(hook).data ?? new Float32Array();
  const d = config.dModel;
  const put = (residual: { readonly data: Float32Array }): void => {
    for (const p of patch?.positions ?? []) residual.data.set(rows.subarray(p * d, (p + 1) * d), p * d);
  };
  const { logits } = await model.forward([ids], patch ? [[hook, put]] : []);
  const logit = (text: string): number =>
    logits.data[
      (ids.length - 1) * config.vocabSize +
        (tokenizer.encodeIds(text, { addSpecialTokens: false })[0] as number)
    ] as number;
  return polite ? logit('Here') - logit(answer) : logit('!') - logit(',');
}
